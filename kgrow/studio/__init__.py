"""A page for searches without a command line, served to the browser of the same computer alone."""
