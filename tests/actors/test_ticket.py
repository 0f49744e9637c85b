"""A batch under way: what it takes along, and what its commit is to do."""

import trio

from engine.actors.ticket import StoreState, Ticket
from engine.store.port import Count
from tests.actors.stores import notes

MINUTE_MS = 60_000


async def test_counters_of_many_submitters_are_added_up_by_datamart_and_minute():
    ticket = Ticket(StoreState())
    ticket.add([*notes(1), Count(1, (("a", 1), ("b", 2)), MINUTE_MS + 5)], 10)
    ticket.add([Count(1, (("a", 1),), 2 * MINUTE_MS - 1), *notes(2)], 10)
    ticket.add([Count(2, (("a", 1),), MINUTE_MS)], 10)
    ticket.add([Count(1, (("a", 1),), 2 * MINUTE_MS)], 10)
    assert (ticket.submitted, ticket.size_bytes) == (6, 40)
    assert ticket.takes(1, 1)
    assert ticket.seal() == [
        *notes(1, 2),
        Count(1, (("a", 2), ("b", 2)), MINUTE_MS),
        Count(2, (("a", 1),), MINUTE_MS),
        Count(1, (("a", 1),), 2 * MINUTE_MS),
    ]
    assert not ticket.takes(1, 1)
    await trio.lowlevel.checkpoint()
