"""Tokens that tests can foresee."""

from collections.abc import Callable
from itertools import count


def counting_tokens() -> Callable[[], str]:
    """Makes token-1, token-2, …"""
    numbers = count(1)
    return lambda: f"token-{next(numbers)}"


def counting_keys() -> Callable[[], str]:
    """Makes tracker keys that end in 1, 2, …"""
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012}"
