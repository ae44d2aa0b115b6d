"""The output of a search for people: progress while it runs, a table at its end."""
