"""How accurate candidates will be, for less than their training costs: approximate, unless it is `full`."""
