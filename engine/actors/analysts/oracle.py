"""All analyzers as one `Oracle`: each with its own line, its own limit of calls and its own breaker.

    question ─▶ fast: answered in the loop
             ─▶ its breaker is open: failed at once
             ─▶ its line is full: failed at once, `overloaded`
             ─▶ the analyzer's line ─▶ at most `max_calls` open ─▶ plugin | process ─▶ answer

One that is dead keeps nobody else waiting: its questions stand in a line of their own, for a timeout or two, and then
fail at once for as long as its breaker is open. Nor does one that is slow and succeeds, which no breaker stops: its
line holds `analyzers.max_waiting_each` at most, and who comes then has failed, as its recovery strategy says. Waiting
instead would make the chain wait, and with it everybody who needs another analyzer or none. The bound is thousands, so
that a burst waits; only one that is slower than what comes, for long, fills it.
"""

import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from engine.actors.analysts.breaker import Breaker
from engine.actors.analysts.callables import FastCallable
from engine.actors.analysts.calls import Caller, CallFailed
from engine.actors.analysts.plugin import Plugin
from engine.actors.analysts.worker_pool import WorkerPool
from engine.definitions.declared.analyzers import Analyzer
from engine.pipeline.stage import Answer, Question
from engine.settings import AnalyzersSettings

LOOK_S: Final = 60.0
"""How often it is looked who rests."""

REST_S: Final = 600.0
"""An analyzer that nobody asked for so long gives its processes and connections back."""

OVERLOADED: Final = "overloaded"
"""Reason of a failure: it was not asked, as too many wait for it already."""

Report = Callable[[str, str], None]


class Analyst:
    """One analyzer, as it is defined now, and who is asked for it.

    Args:
        analyzer: the definition.
        settings: bounds.
        report: told when its breaker opens, and when its line is full.
    """

    def __init__(self, analyzer: Analyzer, settings: AnalyzersSettings, report: Report) -> None:
        self.analyzer = analyzer
        self.fast = FastCallable(analyzer) if analyzer.fast else None
        self._caller: Caller | None = None
        if self.fast is None:
            self._caller = Plugin(analyzer, settings) if analyzer.url else WorkerPool(analyzer, settings)
        # More would only wait for a process: there they could not be seen.
        most = analyzer.max_calls if analyzer.url else min(analyzer.max_calls, settings.workers)
        self._slots = trio.Semaphore(most, max_value=most)
        self._most = most
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_pause_s)
        self._pause_s = settings.breaker_pause_s
        self._report = report
        # Who waits for a call, in the order of their calls; cancelled, one has failed.
        self._line: OrderedDict[trio.CancelScope, None] = OrderedDict()
        self._most_held = min(settings.max_waiting_each, settings.max_waiting)
        self._open = 0
        self._overloaded = 0
        self._is_overloaded = False
        self._failed = 0
        self._asked = 0
        self.used_s = trio.current_time()

    def at_once(self, question: Question) -> Answer | None:
        """As `Oracle.at_once`."""
        if self.fast is not None:
            self._asked += 1
            started_s = time.perf_counter()
            answer = self.fast.answer(question.activity)
            self._failed += answer.outcome == "failed"
            took_ms = (time.perf_counter() - started_s) * 1000
            return Answer(answer.outcome, answer.activity, answer.reason, took_ms)
        if self._breaker.refuses(trio.current_time()):
            return self._paused(0.0)
        if self.held >= self._most_held:
            return self._refused(0.0)
        return None

    async def ask(self, question: Question) -> Answer:
        """As `Oracle.ask`."""
        assert self._caller is not None
        started_s = trio.current_time()
        if not await self._turn():
            return self._refused(trio.current_time() - started_s)
        self._open += 1
        try:
            if not self._breaker.begin(trio.current_time()):
                return self._paused(trio.current_time() - started_s)
            answer = await self._call(self._caller, question)
        finally:
            self._open -= 1
            self._slots.release()
            # Told once for as long as it lasts.
            self._is_overloaded = self._is_overloaded and self.held * 2 > self._most_held
            self.used_s = trio.current_time()
        return Answer(answer.outcome, answer.activity, answer.reason, (self.used_s - started_s) * 1000)

    @property
    def held(self) -> int:
        """Questions that wait for it or are being answered."""
        return len(self._line) + self._open

    @property
    def waiting(self) -> int:
        """Questions in its line."""
        return len(self._line)

    def relieve(self) -> None:
        """The one that has waited longest need not wait any more: it has failed."""
        if self._line:
            next(iter(self._line)).cancel(reason=OVERLOADED)

    async def _turn(self) -> bool:
        """Whether it is one's turn to call; else one has waited in vain."""
        try:
            self._slots.acquire_nowait()
        except trio.WouldBlock:
            pass
        else:
            return True
        waits = trio.CancelScope()
        self._line[waits] = None
        try:
            with waits:
                await self._slots.acquire()
        finally:
            del self._line[waits]
        return not waits.cancelled_caught

    async def _call(self, caller: Caller, question: Question) -> Answer:
        self._asked += 1
        try:
            answer = await caller.call(question)
        except CallFailed as error:
            return self._has_failed(str(error))
        except Exception as error:  # Ours to mend, and still no reason to lose an activity.
            return self._has_failed(repr(error))
        except BaseException:
            self._breaker.interrupted()
            raise
        self._breaker.succeeded()
        return answer

    async def aclose(self) -> None:
        """Leave nothing behind."""
        if self._caller is not None:
            await self._caller.aclose()

    async def rest(self) -> None:
        """Give back what costs something, where nobody has asked for a while."""
        if self._caller is not None and not self.is_busy and self.used_s <= trio.current_time() - REST_S:
            await self._caller.rest()

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self.held)

    def gauges(self) -> dict[str, float]:
        """How near its bounds are."""
        found: dict[str, float] = {"calls": self._asked, "failures": self._failed}
        if self._caller is not None:
            found |= {
                "open_calls": self._open,
                "open_calls_max": self._most,
                "waiting": self.waiting,
                "held": self.held,
                "held_max": self._most_held,
                "overloaded": self._overloaded,
                "breaker": self._breaker.state(trio.current_time()),
                "breaker_openings": self._breaker.opened,
                **self._caller.gauges(),
            }
        return found

    def _has_failed(self, reason: str) -> Answer:
        self._failed += 1
        if self._breaker.failed(trio.current_time()):
            # What follows may quote an answer or an error, and with it what people sent.
            kind = re.split(r"[:(]", reason, maxsplit=1)[0]
            self._report(f"analyzer {self.analyzer.id}", f"paused for {self._pause_s:g} s: {kind}")
        return Answer("failed", reason=reason)

    def _refused(self, waited_s: float) -> Answer:
        """The breaker is not told: it has not been asked."""
        self._overloaded += 1
        if not self._is_overloaded:
            self._is_overloaded = True
            self._report(f"analyzer {self.analyzer.id}", f"{OVERLOADED}: {self.held} wait for it, others fail")
        return Answer("failed", reason=OVERLOADED, took_ms=waited_s * 1000)

    def _paused(self, waited_s: float) -> Answer:
        return Answer("failed", reason="it is paused, as it failed too often in a row", took_ms=waited_s * 1000)


class Analysts:
    """The `Oracle` of an engine. Made by `open_analysts`.

    Args:
        settings: bounds.
        report: told, with a name and what happened, when a breaker opens or a line is full.
    """

    def __init__(self, settings: AnalyzersSettings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._known: dict[tuple[int, str], Analyst] = {}
        # Those that were replaced by another definition and still have calls open.
        self._leaving: list[Analyst] = []

    def at_once(self, question: Question) -> Answer | None:
        """As `Oracle.at_once`."""
        return self._analyst(question).at_once(question)

    async def ask(self, question: Question) -> Answer:
        """As `Oracle.ask`."""
        return await self._analyst(question).ask(question)

    def relieve(self) -> None:
        """Somebody must have room in the step: one who waits in the longest line, and longest there, has failed.

        The step is full when several lines are, or when very many of the same persons have come behind them.
        """
        longest = max((*self._known.values(), *self._leaving), key=lambda one: one.waiting, default=None)
        if longest is not None:
            longest.relieve()

    def gauges(self) -> dict[str, float]:
        """`analyzer_<datamart>_<id>_<what>`, and what is waiting for all of them."""
        found: dict[str, float] = {}
        for (datamart, id), analyst in self._known.items():
            prefix = f"analyzer_{datamart}_{re.sub(r'[^A-Za-z0-9]', '_', id)}_"
            found |= {prefix + name: number for name, number in analyst.gauges().items()}
        return found

    async def look_after(self) -> None:
        """Let those rest that nobody asks, and those go that were replaced; until cancelled."""
        while True:
            await trio.sleep(LOOK_S)
            leaving, self._leaving = self._leaving, []
            for analyst in leaving:
                if analyst.is_busy:
                    self._leaving.append(analyst)
                else:
                    await analyst.aclose()
            for analyst in list(self._known.values()):
                await analyst.rest()

    async def aclose(self) -> None:
        """End all processes and connections. Nobody asks any more."""
        everybody = [*self._known.values(), *self._leaving]
        self._known, self._leaving = {}, []
        async with trio.open_nursery() as nursery:
            for analyst in everybody:
                nursery.start_soon(analyst.aclose)

    def _analyst(self, question: Question) -> Analyst:
        key = (question.datamart, question.analyzer.id)
        found = self._known.get(key)
        if found is None or (found.analyzer is not question.analyzer and found.analyzer != question.analyzer):
            if found is not None:
                self._leaving.append(found)
            found = self._known[key] = Analyst(question.analyzer, self._settings, self._report)
        return found


@asynccontextmanager
async def open_analysts(settings: AnalyzersSettings, report: Report) -> AsyncIterator[Analysts]:
    """The analysts of an engine, for as long as the block lasts; no process of theirs outlives it.

    Args:
        settings: bounds.
        report: told, with a name and what happened, when a breaker opens or a line is full.
    """
    analysts = Analysts(settings, report)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(analysts.look_after)
        try:
            yield analysts
        finally:
            with trio.CancelScope(shield=True):
                await analysts.aclose()
            nursery.cancel_scope.cancel(reason="nobody asks any more")
