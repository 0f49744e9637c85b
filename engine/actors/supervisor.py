"""What happens when an actor fails.

Two kinds of actors, two answers. The *permanent* ones (stages, the writer) are restarted with their state, since it
lives in their object and not in their task; one that keeps failing ends the process, because the engine must not
accept what it cannot store. The *transient* ones (users) are never restarted: their loop catches what a message
raises, and a user point that keeps failing is set aside for a while, so that it costs nobody else anything.
"""

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import trio

from engine.errors import ActorFailed, Broken

RESTARTS: Final = 5
WINDOW_S: Final = 60
"""Five restarts in a minute: enough for a passing fault, over within seconds for a lasting one."""

PAUSE_S: Final = 0.1
"""Before the first restart; each further one in the window waits twice as long. All five: three seconds."""

QUARANTINE_FAILURES: Final = 5
QUARANTINE_WINDOW_MS: Final = 60_000
QUARANTINE_MS: Final = 600_000
"""Five failures in a minute, then ten minutes aside (house: How it fails)."""

QUARANTINE_KEYS: Final = 10_000
"""User points the two tables remember, about 3 MB. When more fail than that, the users are not what is wrong."""


async def supervise(
    run: Callable[[], Awaitable[None]],
    *,
    name: str,
    report: Callable[[str, str], None],
    restarts: int = RESTARTS,
    window_s: float = WINDOW_S,
) -> None:
    """Run a permanent actor until it ends of itself, starting it again when it raises.

    The window is measured in Trio's time, not the engine's: a replay moves hours in a second.

    Args:
        run: the actor's loop; it must be fit to be called again after it raised.
        name: of the actor, for the report and the error.
        report: called with the name and the failure as text. The exception itself is not kept: its traceback
            would keep alive every frame it passed.
        restarts: how many within the window are still a passing fault.
        window_s: length of the window, seconds.

    Raises:
        ActorFailed: it failed once more than that.
        Broken: as raised by `run`; what is broken is not mended by starting again.
    """
    failed_at: deque[float] = deque()
    while True:
        try:
            return await run()
        except Broken:
            raise
        except Exception as error:
            report(name, repr(error))
            now_s = trio.current_time()
            failed_at.append(now_s)
            while failed_at[0] <= now_s - window_s:
                failed_at.popleft()
            if len(failed_at) > restarts:
                raise ActorFailed(f"{name} failed {len(failed_at)} times in {window_s:g} s: {error!r}") from error
        await trio.sleep(PAUSE_S * 2 ** (len(failed_at) - 1))


K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class QuarantineStatistics:
    """How many keys have failed lately, how many are set aside, and how often one was."""

    failing: int
    held: int
    sentences: int


class Quarantine(Generic[K]):
    """Counts failures by key and says who is set aside. Pure: the time is an argument, from any steady clock.

    Bounded: beyond `max_keys` the key that failed longest ago is forgotten, or released.
    """

    __slots__ = ("_failing", "_failures", "_held", "_hold_ms", "_max_keys", "_sentences", "_window_ms")

    def __init__(
        self,
        *,
        failures: int = QUARANTINE_FAILURES,
        window_ms: int = QUARANTINE_WINDOW_MS,
        hold_ms: int = QUARANTINE_MS,
        max_keys: int = QUARANTINE_KEYS,
    ) -> None:
        self._failures = failures
        self._window_ms = window_ms
        self._hold_ms = hold_ms
        self._max_keys = max_keys
        self._failing: OrderedDict[K, list[int]] = OrderedDict()
        self._held: OrderedDict[K, int] = OrderedDict()
        self._sentences = 0

    def failed(self, key: K, now_ms: int) -> bool:
        """Count a failure of `key`; return True when it is the one that sets the key aside."""
        times = [at_ms for at_ms in self._failing.pop(key, ()) if at_ms > now_ms - self._window_ms]
        times.append(now_ms)
        if len(times) < self._failures:
            self._failing[key] = times
            self._bound(self._failing)
            return False
        self._held.pop(key, None)
        self._held[key] = now_ms + self._hold_ms
        self._bound(self._held)
        self._sentences += 1
        return True

    def holds(self, key: K, now_ms: int) -> bool:
        """Whether `key` is set aside at this time."""
        until_ms = self._held.get(key)
        if until_ms is None:
            return False
        if now_ms < until_ms:
            return True
        del self._held[key]
        return False

    def statistics(self) -> QuarantineStatistics:
        return QuarantineStatistics(failing=len(self._failing), held=len(self._held), sentences=self._sentences)

    def _bound(self, table: OrderedDict[K, list[int]] | OrderedDict[K, int]) -> None:
        # Keys are put in at the end with each failure, so the first is the one that failed longest ago.
        if len(table) > self._max_keys:
            table.popitem(last=False)
