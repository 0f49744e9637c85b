"""What the engine has room for, and whether a request fits into it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.actors.draft import Draft
from engine.actors.router import Router
from engine.errors import HotUser, Overloaded
from engine.rates import Buckets

if TYPE_CHECKING:
    from engine.actors.user_actor import Entry, UserKey


@dataclass(frozen=True, slots=True)
class Bounds:
    """What `accept` refuses above (house: How it fails)."""

    max_live_users: int
    max_unstored_activities: int
    max_journal_bytes: int
    max_kept_bytes: int
    dead_letter_ms: int


class UserRates:
    """How many events a user point may send: more come from a robot, or a loop.

    Args:
        per_s, burst, max_tracked: as in `Buckets`.
        now_s: monotonic time.

    Attributes:
        buckets: one a user point that sends.
    """

    def __init__(self, per_s: float, burst: int, max_tracked: int, now_s: Callable[[], float]) -> None:
        self.buckets: Buckets[UserKey] = Buckets(per_s, burst, max_tracked)
        self.is_limited = per_s > 0
        self._now_s = now_s

    def check(self, draft: Draft) -> None:
        """Raise when a user of a request may send nothing more for now. What the engine asks itself has no limit.

        Raises:
            HotUser: one of its users has sent too many.
        """
        if not self.is_limited:
            return
        now_s = self._now_s()
        for key in _sent(draft):
            if wait_s := self.buckets.wait_s(key, now_s):
                raise HotUser("this user sends too fast", user_point=key[1], retry_after_s=math.ceil(wait_s))

    def count(self, draft: Draft) -> None:
        """Count the events of a request that was taken."""
        if not self.is_limited:
            return
        now_s = self._now_s()
        for key, events in _sent(draft).items():
            self.buckets.take(key, now_s, events)


def _sent(draft: Draft) -> "dict[UserKey, int]":
    """Events by user; those who sent none, as whoever asks to close a session, are not there."""
    found: dict[UserKey, int] = {}
    for delivery in draft.deliveries():
        events = sum([record.weight for record in delivery.records])
        if events:
            found[delivery.key] = found.get(delivery.key, 0) + events
    return found


def check_room(router: Router, bounds: Bounds, draft: Draft) -> "list[Entry] | None":
    """Raise when a mailbox or the registry has no room for what the draft delivers.

    Returns:
        Whom `Router.deliver_to` gives each of the deliveries, where all are active, nothing waits for them, and nobody
        is merged: nearly always. Else None.

    Raises:
        HotUser, Overloaded: nothing was taken.
    """
    deliveries = draft.deliveries()
    entries = router.at_leisure([delivery.key for delivery in deliveries])
    if entries is not None:
        return entries if len(deliveries) == len(draft.routes) else None
    wanted: dict[UserKey, tuple[int, int]] = {}
    for delivery in deliveries:
        messages, size_bytes = wanted.get(delivery.key, (0, 0))
        wanted[delivery.key] = (messages + 1, size_bytes + delivery.size_bytes)
    new_users = 0
    for key, (messages, size_bytes) in wanted.items():
        if router.visitor(key) is None:
            new_users += 1
        elif not router.has_room(key, size_bytes, messages):
            raise HotUser("this user sends faster than their events are taken", user_point=key[1])
    if new_users and router.live_users + new_users > bounds.max_live_users:
        raise Overloaded(f"{router.live_users} users are active", retry_after_s=10)
    return None
