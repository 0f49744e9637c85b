"""Fuzzing: bytes that nobody would send, for as long as one likes. The test suite runs a bounded part of it."""
