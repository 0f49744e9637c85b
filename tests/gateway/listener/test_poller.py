"""One epoll for many sockets: who has something is called, whoever else is closed or fails meanwhile."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from gateway.collect.listener import poller
from gateway.collect.listener.poller import Poller

pytestmark = pytest.mark.skipif(Poller.where_possible() is None, reason="no epoll here")


@asynccontextmanager
async def polling() -> AsyncIterator[Poller]:
    """A poller at work."""
    made = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        yield made
        nursery.cancel_scope.cancel()


def pairs(stack: ExitStack, number: int) -> list[tuple[socket.socket, socket.socket]]:
    """Connected sockets; the first of each does not block."""
    made = [socket.socketpair() for _ in range(number)]
    for pair in made:
        pair[0].setblocking(False)
        for one in pair:
            stack.enter_context(one)
    return made


async def test_whoever_has_something_is_called_until_it_is_read():
    seen: list[bytes] = []
    with ExitStack() as stack:
        ((ours, theirs),) = pairs(stack, 1)
        async with polling() as made:
            made.watch(ours, lambda: seen.append(ours.recv(2)))
            theirs.send(b"abcde")
            await wait_all_tasks_blocked()
            assert seen == [b"ab", b"cd", b"e"]
            made.forget(ours)
            theirs.send(b"f")
            await wait_all_tasks_blocked()
            assert seen[3:] == []
            made.watch(ours, lambda: seen.append(ours.recv(2)))
            theirs.close()
            with trio.move_on_after(0.05):
                await trio.sleep_forever()
            assert seen[3] == b"f"
            assert set(seen[4:]) == {b""}, "an end is something, again and again, until it is forgotten"
            made.forget(ours)


async def test_one_that_is_closed_by_another_is_not_called():
    called: list[int] = []
    with ExitStack() as stack:
        made_pairs = pairs(stack, 2)
        async with polling() as made:

            def close_both(index: int) -> Callable[[], None]:
                def close() -> None:
                    called.append(index)
                    for ours, _ in made_pairs:
                        made.forget(ours)
                        ours.close()

                return close

            for index, (ours, theirs) in enumerate(made_pairs):
                made.watch(ours, close_both(index))
                theirs.send(b"x")
            await wait_all_tasks_blocked()
    assert len(called) == 1


async def test_one_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(poller, "log", lambda message, *level, **more: lines.append(message))
    seen: list[bytes] = []
    with ExitStack() as stack:
        (bad, bad_end), (good, good_end) = pairs(stack, 2)
        async with polling() as made:

            def fail() -> None:
                bad.recv(10)
                raise RuntimeError("a fault of ours")

            made.watch(bad, fail)
            made.watch(good, lambda: seen.append(good.recv(10)))
            bad_end.send(b"x")
            good_end.send(b"y")
            await wait_all_tasks_blocked()
            good_end.send(b"z")
            await wait_all_tasks_blocked()
    assert seen == [b"y", b"z"]
    assert lines == ["a connection failed"]


async def test_a_socket_that_was_never_watched_is_forgotten_and_the_others_are_not():
    seen: list[bytes] = []
    with ExitStack() as stack:
        (ours, _), (other, other_end) = pairs(stack, 2)
        async with polling() as made:
            made.watch(other, lambda: seen.append(other.recv(10)))
            made.forget(ours)
            ours.close()
            made.forget(ours)
            other_end.send(b"x")
            await wait_all_tasks_blocked()
    assert seen == [b"x"]
