"""The events that benches send: page views of a shop, of a given size, made quickly enough never to be the bottleneck.

Everything that does not differ is written once; an event then costs one formatting of bytes, well below a microsecond,
where the engine takes tens.
"""

import time
from itertools import count
from random import Random
from typing import Final, Literal

Form = Literal["items", "events"]
"""How a batch is sent: an array of items with one event each, each of some user; or one item of one user."""

PAGES: Final = 1000
_SITE: Final = "1"


class Events:
    """Makes requests' bodies.

    Args:
        users: how many different users there are.
        size_bytes: of an item of one event (form `items`) or of an event (form `events`), about.
        with_ids: give each event an `$event_id`, so that the engine must look whether it came before.
        seed: of chance, and the first part of the event ids: two with the same send the same.
        prefix: of the users' names: two with different ones have no user in common.
    """

    def __init__(
        self, *, users: int, size_bytes: int = 330, with_ids: bool = False, seed: int = 1, prefix: str = "visitor"
    ) -> None:
        self.users = users
        self._random = Random(seed)
        self._ids = count()
        self._seed = seed
        self._with_ids = with_ids
        self._name = prefix.encode() + b"-%08d"
        event = (
            b'{"$ts":%d,"$event_name":"$page_view","$properties":{"$url":"https://shop.example/page/%d",'
            b'"$referrer":"https://shop.example/","category":"chairs","price":149.90'
        )
        if with_ids:
            event = event.replace(b'"$event_name"', b'"$event_id":"%s","$event_name"')
        root = (
            b'{"$type":"SITE_VISIT","$session_status":"IN_SESSION","$site_id":"%s","$user_agent_id":"%%s","$events":['
        )
        self._root = root % _SITE.encode()
        # Measured on a finished one: numbers and names differ by a digit or two.
        bare = len(self._fill(event + b"}}", 0, 1_700_000_000_000))
        item = bare + len(self._root % self.name(0)) + len(b"]}")
        self._event = event + b',"text":"' + _text(size_bytes - bare - 10) + b'"}}'
        self._event_in_item = event + b',"text":"' + _text(size_bytes - item - 10) + b'"}}'

    def name(self, user: int) -> bytes:
        """The `$user_agent_id` of a user."""
        return self._name % user

    def item(self, user: int, ts_ms: int) -> bytes:
        """An item with one event."""
        return self._root % self.name(user) + self._fill(self._event_in_item, user, ts_ms) + b"]}"

    def items(self, users: range, ts_ms: int) -> list[bytes]:
        """An item with one event of each of these users."""
        return [self.item(user, ts_ms) for user in users]

    def random_items(self, size: int, ts_ms: int) -> list[bytes]:
        """`size` items with one event each, of users at random."""
        choose = self._random.randrange
        return [self.item(choose(self.users), ts_ms) for _ in range(size)]

    def body(self, form: Form, size: int) -> bytes:
        """The body of a request with `size` events that happen now, of users at random."""
        ts_ms = time.time_ns() // 1_000_000
        if form == "items":
            return array(self.random_items(size, ts_ms))
        user = self._random.randrange(self.users)
        events = [self._fill(self._event, user, ts_ms + index) for index in range(size)]
        return self._root % self.name(user) + b",".join(events) + b"]}"

    def _fill(self, template: bytes, user: int, ts_ms: int) -> bytes:
        page = (user * 31 + ts_ms) % PAGES
        if not self._with_ids:
            return template % (ts_ms, page)
        return template % (ts_ms, b"%d-%d" % (self._seed, next(self._ids)), page)


def array(items: list[bytes]) -> bytes:
    """Items as one JSON array."""
    return b"[" + b",".join(items) + b"]"


def _text(size: int) -> bytes:
    return (b"lorem ipsum dolor sit amet " * (max(size, 0) // 27 + 1))[: max(size, 0)]
