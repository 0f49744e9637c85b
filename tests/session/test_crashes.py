"""Decision 8: what happens is a function of the records alone, and a crash anywhere is no crash.

Both laws by brute force over small journals: each prefix of the journal, with each number of commits behind it.
"""

import pytest
from hypothesis import given, settings

from tests.session.drawn import USERS, VERSIONS, Sent, journals
from tests.session.oracle import Left, PlainFold
from tests.session.world import Stored, World

pytestmark = pytest.mark.slow


def run(journal: list[Sent]) -> World:
    """A world in which all of it happened and nothing is committed yet."""
    world = World(VERSIONS)
    for record, _ in journal:
        world.send(record)
    return world


def by_user(stored: list[Stored]) -> list[Stored]:
    """What was stored, user by user; of two users the order between them says nothing."""
    return [one for user in USERS for one in stored if one[0] == user]


@settings(max_examples=400)
@given(journals(30))
def test_the_fold_is_the_plain_fold(journal: list[Sent]):
    """Every rule with its bookkeeping against the same rules without any."""
    world, plain = run(journal), PlainFold(VERSIONS)
    expected: list[Left] = []
    for record, what in journal:
        expected += plain.apply(record, what)
    world.check()
    world.commit(10**6)
    assert [one[:3] for one in by_user(world.stored)] == [one for user in USERS for one in expected if one[0] == user]
    assert not world.journal
    assert not world.states


@settings(max_examples=200)
@given(journals(14))
def test_a_crash_anywhere_is_no_crash(journal: list[Sent]):
    """After each record and each commit: what is stored in the end is the same, byte for byte."""
    whole = run(journal)
    whole.commit(10**6)
    expected = by_user(whole.stored)
    for length in range(1, len(journal)):
        before = run(journal[:length])
        for commits in range(len(before.flying) + 1):
            world = before.fork()
            world.commit(commits)
            world.crash()
            world.check()
            for record, _ in journal[length:]:
                world.send(record)
            # Pending parts of a user who sends nothing more are the timer's: it sees them at once.
            world.expire(0)
            world.commit(10**6)
            assert by_user(world.stored) == expected


@settings(max_examples=200)
@given(journals(14))
def test_crash_after_crash(journal: list[Sent]):
    """A crash after every record, with one commit between two of them: pending parts leave one by one."""
    whole = run(journal)
    whole.commit(10**6)
    world = World(VERSIONS)
    for record, _ in journal:
        world.send(record)
        while world.flying:
            world.commit(1)
            world.crash()
            world.check()
            # What was pending leaves at the next call; here the timer's, at a time when nothing else is due.
            world.expire(0)
    assert by_user(world.stored) == by_user(whole.stored)


@settings(max_examples=100)
@given(journals(20))
def test_a_snapshot_has_the_same_future(journal: list[Sent]):
    """Put away and taken out again before each record: the same leaves, with the same states."""
    calm, restless = World(VERSIONS), World(VERSIONS)
    for record, _ in journal:
        calm.send(record)
        for user in USERS:
            restless.bounce(user)
        restless.send(record)
        assert restless.flying == calm.flying


@settings(max_examples=100)
@given(journals(20))
def test_records_may_be_replayed(journal: list[Sent]):
    """Those that were applied are ignored, in any number and order."""
    world = World(VERSIONS)
    for index, (record, _) in enumerate(journal):
        world.send(record)
        for earlier, _ in journal[: index + 1]:
            visitor = world.visitors.get(earlier.user_point)
            if visitor is not None and earlier.user_point == record.user_point:
                assert visitor.apply(earlier) == ()
    world.check()
