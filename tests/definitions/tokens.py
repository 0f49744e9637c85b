"""Tokens that tests can foresee."""

from collections.abc import Callable
from itertools import count


def counting_tokens() -> Callable[[], str]:
    """Makes token-1, token-2, …"""
    numbers = count(1)
    return lambda: f"token-{next(numbers)}"
