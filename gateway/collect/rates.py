"""How fast senders may send: token buckets by client address and by token, in bounded tables."""

import ipaddress
import math
import random
import time
from collections.abc import Callable, Mapping

from engine import RateSettings
from gateway.errors import RequestError


class Buckets:
    """One bucket a key, full at first; who empties theirs waits until it has refilled.

    Args:
        per_s: how fast a bucket refills; 0 is no limit.
        burst: how much one holds.
        max_tracked: buckets that are kept; who has not sent for longest is forgotten first, which can only help them.
        now_s: monotonic time.

    Attributes:
        refused: how often somebody was told to wait.
    """

    def __init__(self, per_s: float, burst: int, max_tracked: int, now_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._max_tracked = max_tracked
        self._now_s = now_s
        # A dictionary keeps the order of insertion, and a bucket that is used is inserted anew.
        self._levels: dict[str, tuple[float, float]] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str, amount: float = 1.0) -> float:
        """Take from a bucket.

        Returns:
            0 when it had something in it, else seconds until it has again; nothing was taken then. A bucket may go
            below zero: otherwise what is larger than the bucket could never pass.
        """
        if not self._per_s:
            return 0.0
        now_s = self._now_s()
        level, at_s = self._levels.pop(key, (self._burst, now_s))
        level = min(self._burst, level + (now_s - at_s) * self._per_s)
        if level < 1.0:
            self._levels[key] = (level, now_s)
            self.refused += 1
            return (1.0 - level) / self._per_s
        if len(self._levels) >= self._max_tracked:
            del self._levels[next(iter(self._levels))]
        self._levels[key] = (level - amount, now_s)
        return 0.0


class Rates:
    """The limits of the collect plane.

    Args:
        settings: how much is allowed.
        now_s: monotonic time.

    Attributes:
        addresses, tokens: the buckets.
    """

    def __init__(self, settings: RateSettings, now_s: Callable[[], float] = time.monotonic) -> None:
        most = settings.max_tracked
        self.addresses = Buckets(settings.requests_per_s_of_address, settings.burst_of_address, most, now_s)
        self.tokens = Buckets(settings.requests_per_s_of_token, settings.burst_of_token, most, now_s)
        self._limits_addresses = settings.requests_per_s_of_address > 0
        self._limits_tokens = settings.requests_per_s_of_token > 0

    def statistics(self) -> Mapping[str, float]:
        """How full the tables are; how often somebody was told to wait is counted by status."""
        return {"rate_buckets_of_addresses": len(self.addresses), "rate_buckets_of_tokens": len(self.tokens)}

    def check_address(self, address: str) -> None:
        """Count a request of this client address.

        Raises:
            RequestError: 429, too many.
        """
        if self._limits_addresses and (wait_s := self.addresses.take(_network(address))):
            raise too_fast("address", wait_s)

    def check_token(self, token: str) -> None:
        """Count a request with this token.

        Raises:
            RequestError: 429, too many.
        """
        if self._limits_tokens and (wait_s := self.tokens.take(token)):
            raise too_fast("token", wait_s)


def too_fast(what: str, wait_s: float) -> RequestError:
    """429, with whole seconds, spread so that those who were refused together do not come back together."""
    least_s = max(1, math.ceil(wait_s))
    headers = {"retry-after": str(random.randint(least_s, 2 * least_s))}
    return RequestError(429, f"too_many_requests_of_{what}", f"this {what} sends too fast", headers=headers)


def _network(address: str) -> str:
    """One household has one IPv4 address, also where it is written as IPv6, but a whole /64 of IPv6."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
