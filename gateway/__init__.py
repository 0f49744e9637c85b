"""HTTP and the `sojourn` command. Sees the public names of `engine` and nothing else of it."""
