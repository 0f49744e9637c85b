"""Tests of the collect plane's own listener: its parts alone, and the whole on real sockets."""
