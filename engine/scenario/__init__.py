"""An automation's storyline: compiled, and walked from one wait to the next. Pure."""
