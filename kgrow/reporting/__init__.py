"""What people see of a search: progress while it runs, a table at its end."""
