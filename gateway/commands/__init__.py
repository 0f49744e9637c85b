"""One module a command of `sojourn`."""
