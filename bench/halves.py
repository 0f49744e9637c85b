"""Requests of `bench.wire`: made beforehand as far as possible, so that the next one costs well below a microsecond."""

import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from msgspec import Struct

from bench.events import Events

PATH: Final = "/v1/datamarts/1/user_activities"

_SAMPLE_MS: Final = 1_700_000_000_000  # As long as the time of day, which is put in its place.


class Load(Struct, frozen=True, kw_only=True):
    """What to send.

    Attributes:
        host, port, token: where, and by whose right.
        connections: how many at a time, kept alive.
        seconds: for how long; not for a first contact.
        users, event_bytes, seed: what a request is.
        batch: events of a request, each of some user. One is an object, more are an array.
        rate: requests a second; None for as many as are taken.
        first_contact: send one event of each user, once, and end.
        accepted: what an answer says of each event that it accepts; empty where a 200 says all.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    connections: int = 64
    seconds: float = 0.0
    users: int = 50_000
    event_bytes: int = 330
    seed: int = 1
    batch: int = 1
    rate: float | None = None
    first_contact: bool = False
    accepted: str = ""


class Halves:
    """Events in two halves: what is before the time of day, one for each user, and what is behind, one for each page.

    All of them together have one length, and so has every request.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._random = Random(load.seed).random
        events, sample = Events(users=load.users, size_bytes=load.event_bytes), b"%d" % _SAMPLE_MS
        halves = [events.item(user, _SAMPLE_MS).split(sample) for user in range(max(load.users, 1000))]
        self.item_bytes = max(len(head) + len(sample) + len(tail) for head, tail in halves)
        # Every name of a user is as long as the others; page numbers are not, and the longest are most of them.
        tails = {tail for head, tail in halves if len(head) + len(sample) + len(tail) == self.item_bytes}
        self._tails = sorted(tails)
        self._heads = [head for head, _ in halves[: load.users]]
        self._single = [self._head(1) + head for head in self._heads]

    def made(self) -> Callable[[], bytes]:
        """A function that makes the next request, of users at random, that happens now."""
        heads, tails, chance, now, batch = self._single, self._tails, self._random, time.time, self._load.batch
        users, pages = len(heads), len(tails)
        if batch > 1:
            return lambda: self._many([int(chance() * users) for _ in range(batch)])
        return lambda: heads[int(chance() * users)] + b"%d" % int(now() * 1000) + tails[int(chance() * pages)]

    def first_contact(self) -> Iterator[bytes]:
        """Requests with one event of each user."""
        users = range(self._load.users)
        for start in range(0, len(users), self._load.batch):
            yield self._many(users[start : start + self._load.batch])

    def _many(self, users: Sequence[int]) -> bytes:
        heads, tails, chance, pages = self._heads, self._tails, self._random, len(self._tails)
        middle = b"%d" % int(time.time() * 1000)
        items = b",".join([heads[user] + middle + tails[int(chance() * pages)] for user in users])
        return b"%s[%s]" % (self._head(len(users), 2), items)

    def _head(self, count: int, brackets: int = 0) -> bytes:
        length = count * self.item_bytes + (count - 1) + brackets
        return (
            f"POST {PATH} HTTP/1.1\r\nhost: {self._load.host}:{self._load.port}\r\n"
            f"authorization: {self._load.token or 'none'}\r\ncontent-type: application/json\r\n"
            f"content-length: {length}\r\n\r\n"
        ).encode()
