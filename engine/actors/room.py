"""What the engine has room for, and whether a request fits into it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.actors.draft import Draft
from engine.actors.router import Router
from engine.errors import HotUser, Overloaded

if TYPE_CHECKING:
    from engine.actors.user_actor import UserKey


@dataclass(frozen=True, slots=True)
class Bounds:
    """What `accept` refuses above (house: How it fails)."""

    max_live_users: int
    max_unstored_activities: int
    max_journal_bytes: int
    max_kept_bytes: int
    dead_letter_ms: int


def check_room(router: Router, bounds: Bounds, draft: Draft) -> None:
    """Raise when a mailbox or the registry has no room for what the draft delivers.

    Raises:
        HotUser, Overloaded: nothing was taken.
    """
    deliveries = draft.deliveries()
    for delivery in deliveries:
        if not router.is_at_leisure(delivery.key):
            break
    else:
        return  # Nearly always: all are active and nothing waits for them.
    wanted: dict[UserKey, tuple[int, int]] = {}
    for delivery in deliveries:
        messages, size_bytes = wanted.get(delivery.key, (0, 0))
        wanted[delivery.key] = (messages + 1, size_bytes + delivery.size_bytes)
    new_users = 0
    for key, (messages, size_bytes) in wanted.items():
        if router.visitor(key) is None:
            new_users += 1
        elif not router.has_room(key, size_bytes, messages):
            raise HotUser("this user sends faster than their events are taken")
    if new_users and router.live_users + new_users > bounds.max_live_users:
        raise Overloaded(f"{router.live_users} users are active", retry_after_s=10)
