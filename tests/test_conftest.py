"""The test glue itself: an async test really runs, really fails, and on the clock that it asked for."""

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

A_YEAR_S = 365 * 24 * 3600.0


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Runs pytest on a source with our conftest.py beside it; gives back its result."""
    pytester.makeconftest(Path(__file__).with_name("conftest.py").read_text())

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider")

    return run


def test_an_async_test_that_fails_is_a_failure(run):
    result = run("""
        import trio

        async def test_false():
            await trio.lowlevel.checkpoint()
            assert 1 == 2
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2*"])


def test_what_a_child_task_raises_fails_the_test(run):
    run("""
        import trio

        async def child():
            raise ValueError("from the child")

        async def test_child():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
    """).assert_outcomes(failed=1)


def test_an_async_property_that_does_not_hold_is_a_failure(run):
    result = run("""
        import trio
        from hypothesis import given, strategies as st

        @given(st.integers())
        async def test_all_small(number):
            await trio.lowlevel.checkpoint()
            assert number < 100
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*number=100*"])


def test_two_clocks_are_refused(run):
    run("""
        async def test_two(mock_clock, autojump_clock):
            pass
    """).assert_outcomes(failed=1)


async def test_the_autojump_clock_jumps(autojump_clock: MockClock):
    before = trio.current_time()
    await trio.sleep(A_YEAR_S)
    assert trio.current_time() - before == A_YEAR_S


async def test_the_mock_clock_stands_until_it_is_told_to_jump(mock_clock: MockClock):
    woke = trio.Event()

    async def sleeper() -> None:
        await trio.sleep(60)
        woke.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(59)
        await trio.testing.wait_all_tasks_blocked()
        assert not woke.is_set()
        mock_clock.jump(1)
        await woke.wait()


@pytest.mark.parametrize("offset", [1, 2])
@given(number=st.integers())
async def test_a_property_is_run_under_trio_for_each_parameter(offset: int, number: int):
    await trio.lowlevel.checkpoint()
    assert number < number + offset


class TestMethods:
    async def test_a_method_is_run_too(self, autojump_clock: MockClock):
        with trio.move_on_after(5) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
