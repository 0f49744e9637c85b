"""All analyzers as one `Oracle`: each with its own line, its own limit of calls and its own breaker.

    question ─▶ fast: answered in the loop
             ─▶ its breaker is open: failed at once
             ─▶ the analyzer's line ─▶ at most `max_calls` open ─▶ plugin | process ─▶ answer

One that is dead keeps nobody else waiting: its questions stand in a line of their own, for a timeout or two, and then
fail at once for as long as its breaker is open. A line is bounded by what the step holds (`analyzers.max_waiting`).
"""

import re
import time
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

Report = Callable[[str, str], None]


class Analyst:
    """One analyzer, as it is defined now, and who is asked for it.

    Args:
        analyzer: the definition.
        settings: bounds.
        report: told when its breaker opens.
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
        self._waiting = self._open = 0
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
        return None

    async def ask(self, question: Question) -> Answer:
        """As `Oracle.ask`."""
        assert self._caller is not None
        started_s = trio.current_time()
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        self._open += 1
        try:
            if not self._breaker.begin(trio.current_time()):
                return self._paused(trio.current_time() - started_s)
            answer = await self._call(self._caller, question)
        finally:
            self._open -= 1
            self._slots.release()
            self.used_s = trio.current_time()
        return Answer(answer.outcome, answer.activity, answer.reason, (self.used_s - started_s) * 1000)

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
        return bool(self._waiting or self._open)

    def gauges(self) -> dict[str, float]:
        """How near its bounds are."""
        found: dict[str, float] = {"calls": self._asked, "failures": self._failed}
        if self._caller is not None:
            found |= {
                "open_calls": self._open,
                "open_calls_max": self._most,
                "waiting": self._waiting,
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

    def _paused(self, waited_s: float) -> Answer:
        return Answer("failed", reason="it is paused, as it failed too often in a row", took_ms=waited_s * 1000)


class Analysts:
    """The `Oracle` of an engine. Made by `open_analysts`.

    Args:
        settings: bounds.
        report: told, with a name and what happened, when a breaker opens.
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
        report: told, with a name and what happened, when a breaker opens.
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
