"""What the connections of a listener share."""

from collections import Counter

import trio

from engine import CollectSettings
from gateway.collect.listener.budget import Budget
from gateway.collect.listener.client_address import Proxies
from gateway.collect.listener.connection import LINGER_S, Timeout
from gateway.collect.listener.heads import KnownHeads
from gateway.collect.listener.parser import Limits
from gateway.collect.listener.poller import Poller
from gateway.collect.listener.received import Received
from gateway.collect.plane import Plane
from gateway.collect.request import Request
from gateway.collect.short import ShortWay


class Shared:
    """Bounds, clock and counters of a listener.

    Args:
        plane: what answers.
        settings: the bounds.
        nursery: where answers are worked on and leftovers are written.

    Attributes:
        now_s: the listener's time, moved by its sweeper: exact enough for timeouts, and costs nothing to read.
        is_draining: whether the listener stops.
        timeouts: how often a connection was given up, by what it was waited for.
    """

    def __init__(self, plane: Plane, settings: CollectSettings, nursery: trio.Nursery) -> None:
        self.plane = plane
        self.nursery = nursery
        self.budget = Budget(settings.max_buffered_bytes)
        self.known_heads = KnownHeads(self._shorten)
        self.poller = Poller.where_possible()
        self.proxies = Proxies(settings.trusted_proxies, settings.forwarded_header)
        self.max_pipelined = settings.max_pipelined
        self.limits = Limits(
            max_request_line_bytes=settings.max_request_line_bytes,
            max_header_bytes=settings.max_header_bytes,
            max_headers=settings.max_headers,
            max_body_bytes=settings.max_body_bytes,
        )
        self.now_s = trio.current_time()
        self.is_draining = False
        self.timeouts: Counter[str] = Counter()
        self.idle_timeout_s = settings.idle_timeout_s
        self._timeouts_s = {
            Timeout.IDLE: settings.idle_timeout_s,
            Timeout.HEAD: settings.head_timeout_s,
            Timeout.BODY: settings.body_timeout_s,
            Timeout.WRITE: settings.write_timeout_s,
            Timeout.LINGER: LINGER_S,
        }

    def _shorten(self, head: Received) -> ShortWay | None:
        # With one place a connection there is no room behind a request, and more to do than to answer.
        if self.max_pipelined < 2:
            return None
        return self.plane.shorten(Request(method=head.method, path=head.target, headers=head.headers))

    def timeout_s(self, waited_for: Timeout) -> float:
        """How long is waited for this."""
        return self._timeouts_s[waited_for]
