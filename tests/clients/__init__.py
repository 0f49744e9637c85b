"""Unmodified clients of other platforms against a running server."""
