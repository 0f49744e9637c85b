"""What every test shares: `async def` tests run under Trio, the clocks to ask for, Hypothesis without a stopwatch.

A test that asks for `mock_clock` or `autojump_clock` runs on that clock. A task that waits for a thread looks idle to
the autojump clock, which then leaps over it: tests with threads take the real clock, or `mock_clock` and `jump()`.
"""

import inspect

import pytest
from hypothesis import settings
from trio.testing import MockClock, trio_test

# An example's time says how busy the machine is, not whether the code is right.
# All else as the active profile has it: in CI the same examples in every run.
settings.register_profile("sojourn", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("sojourn")


@pytest.fixture
def mock_clock() -> MockClock:
    """A clock that stands still until the test calls `jump(seconds)`."""
    return MockClock()


@pytest.fixture
def autojump_clock() -> MockClock:
    """A clock that jumps to the next deadline as soon as nothing else can run."""
    return MockClock(autojump_threshold=0)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Make an `async def` test a call of `trio.run`, on the clock among its fixtures if there is one.

    Under `@given` each example is a run of its own. One clock cannot serve several runs, so such a test makes its
    clocks itself: `trio.run(main, clock=MockClock(autojump_threshold=0))`.
    """
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        pyfuncitem.obj = trio_test(test)
    elif (handle := getattr(test, "hypothesis", None)) and inspect.iscoroutinefunction(handle.inner_test):
        handle.inner_test = trio_test(handle.inner_test)
