"""How fast senders may send: token buckets by client address and by token, in bounded tables."""

import ipaddress
import math
import random
import time
from collections.abc import Callable, Mapping

from engine import Buckets, RateSettings
from gateway.errors import RequestError


class Rates:
    """The limits of the collect plane.

    Args:
        settings: how much is allowed.
        now_s: monotonic time.

    Attributes:
        addresses, tokens: the buckets.
        are_limited: whether anybody may be told to wait.
    """

    def __init__(self, settings: RateSettings, now_s: Callable[[], float] = time.monotonic) -> None:
        most = settings.max_tracked
        self._now_s = now_s
        self.addresses: Buckets[str] = Buckets(settings.requests_per_s_of_address, settings.burst_of_address, most)
        self.tokens: Buckets[str] = Buckets(settings.requests_per_s_of_token, settings.burst_of_token, most)
        self._limits_addresses = settings.requests_per_s_of_address > 0
        self._limits_tokens = settings.requests_per_s_of_token > 0
        self.are_limited = self._limits_addresses or self._limits_tokens

    def statistics(self) -> Mapping[str, float]:
        """How full the tables are; how often somebody was told to wait is counted by status."""
        return {"rate_buckets_of_addresses": len(self.addresses), "rate_buckets_of_tokens": len(self.tokens)}

    def check_address(self, address: str) -> None:
        """Count a request of this client address.

        Raises:
            RequestError: 429, too many.
        """
        if self._limits_addresses:
            self._take(self.addresses, _network(address), "address")

    def check_token(self, token: str) -> None:
        """Count a request with this token.

        Raises:
            RequestError: 429, too many.
        """
        if self._limits_tokens:
            self._take(self.tokens, token, "token")

    def _take(self, buckets: Buckets[str], key: str, what: str) -> None:
        now_s = self._now_s()
        if wait_s := buckets.wait_s(key, now_s):
            raise too_fast(what, wait_s)
        buckets.take(key, now_s)


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
