"""What left the journal is booked at once, and whoever waits for it hears of it."""

import trio
from trio.testing import wait_all_tasks_blocked

from engine.actors.settling import Settling
from engine.model.record import record_size_bytes
from engine.pipeline.stage import Envelope, Send
from engine.session.closed import Closed, Source
from engine.session.member import member_of
from tests.actors.outbox.world import World, destination
from tests.actors.routers import point, site_at
from tests.clocks import START_MS
from tests.session.build import NOON, record_of

SITE = site_at(1, "site:1", 1)


class Numbers:
    """Stands for the router and the intake: their numbers go down."""

    unstored = 10
    journal_bytes = 10_000

    def settled(self, envelopes):
        self.unstored -= len(envelopes)


def envelope(*sequences):
    members = tuple(member_of(record_of(sequence, NOON), SITE) for sequence in sequences)
    return Envelope(Closed(Source.SESSION, 1, point(1), sequences, members=members))


def test_settled_envelopes_are_taken_off_the_numbers():
    numbers = Numbers()
    settling = Settling(lambda sequence: False)
    settling.settled([envelope(1)])  # Before anybody follows.
    settling.follow(numbers, numbers)
    settling.settled([envelope(1, 2), envelope()])
    assert numbers.unstored == 8
    assert numbers.journal_bytes == 10_000 - 2 * record_size_bytes(record_of(1, NOON))


async def test_who_waits_goes_on_when_the_last_of_theirs_has_left():
    journal = {1, 2, 3}
    settling = Settling(journal.__contains__)
    done = []

    async def wait(*sequences):
        await settling.wait(sequences)
        done.append(sequences)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, 1, 2)
        nursery.start_soon(wait, 3)
        nursery.start_soon(wait)
        nursery.start_soon(wait, 9)
        await wait_all_tasks_blocked()
        assert sorted(done) == [(), (9,)]
        for gone, expected in ((1, 2), (3, 3), (2, 4)):
            journal.discard(gone)
            settling.settled([])
            await wait_all_tasks_blocked()
            assert len(done) == expected


async def test_news_that_concern_somebody_else_are_slept_over():
    asked = []
    settling = Settling(lambda sequence: asked.append(sequence) is None and len(asked) < 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settling.wait, (7,))
        for _ in range(4):
            await wait_all_tasks_blocked()
            settling.settled([])
    assert asked == [7] * 5


async def test_the_outbox_hears_of_what_was_committed(autojump_clock):
    world = World(destination("a"))
    async with world.running() as outbox:
        world.send("a", 1)
        closed = Closed(Source.MOVE, 1, bytes(16), (), saves_state=False)
        effect = Send(1, "a", (1).to_bytes(16), START_MS, "/1", b"{}")
        Settling(lambda sequence: False, None, outbox).settled([Envelope(closed, effects=(effect,))])
        await trio.sleep(1)
        assert world.called("a") == [1]
