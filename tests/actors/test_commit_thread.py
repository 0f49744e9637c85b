"""The thread of the commits: the loop stands aside while rows are placed, and no longer than it may."""

import threading
import time

import pytest

from engine.actors.commit_thread import CommitThread
from engine.store.port import CommitReport


class Placing:
    """A store's `commit` in two halves, with a gate before each."""

    def __init__(self):
        self.rows, self.sync = threading.Event(), threading.Event()
        self.thread = None

    def commit(self, operations):
        assert self.rows.wait(30)
        self.thread.placed()
        assert self.sync.wait(30)
        self.thread.placed()
        return CommitReport(stored=len(operations))


def started(stand_aside_s):
    store = Placing()
    store.thread = CommitThread(store.commit, stand_aside_s)
    store.thread.start()
    return store, store.thread


async def test_the_loop_goes_on_when_the_rows_are_in_place():
    store, thread = started(30)
    threading.Timer(0.05, store.rows.set).start()
    thread.hand_over([1, 2])
    assert store.rows.is_set()
    store.sync.set()
    assert (await thread.result()).stored == 2
    thread.stop()


async def test_the_loop_goes_on_when_it_has_waited_long_enough_and_the_next_batch_is_as_any():
    store, thread = started(0.01)
    begun = time.perf_counter()
    thread.hand_over([1])
    assert 0.005 < time.perf_counter() - begun < 10
    store.rows.set()
    store.sync.set()
    await thread.result()
    for number in range(1, 200):  # Whoever lets the lock go first, neither is harmed.
        thread.hand_over([1] * number)
        assert (await thread.result()).stored == number
    thread.stop()


async def test_nobody_stands_aside_for_a_store_that_does_not_tell():
    store, thread = started(0)
    thread.hand_over([1])
    store.rows.set()
    store.sync.set()
    assert (await thread.result()).stored == 1
    thread.stop()


async def test_what_a_commit_raises_comes_out_and_the_thread_lives():
    failures = [ValueError("a bug")]

    def commit(operations):
        if failures:
            raise failures.pop()
        return CommitReport(stored=len(operations))

    thread = CommitThread(commit, 30)
    thread.start()
    thread.hand_over([1])
    with pytest.raises(ValueError, match="a bug"):
        await thread.result()
    thread.hand_over([1])
    assert (await thread.result()).stored == 1
    thread.stop()
