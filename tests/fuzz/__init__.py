"""A bounded part of what `fuzz/` does for as long as one likes."""
