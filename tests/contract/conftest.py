"""Fixtures that run a test against both stores."""

from tests.contract.harness import harness, store

__all__ = ["harness", "store"]
