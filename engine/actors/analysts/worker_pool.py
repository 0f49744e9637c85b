"""The processes of one callable: made when they are needed, used again and again, replaced when one is lost.

A process has one activity at a time. What takes longer than its time is killed with its process, so an endless loop, a
crash or `os._exit` harms the one activity that brought it about.
"""

import trio

from engine.actors.analysts.callables import properties_of
from engine.actors.analysts.calls import CallFailed
from engine.actors.analysts.worker import Worker
from engine.definitions.declared.analyzers import Analyzer
from engine.model.wire import readable
from engine.pipeline.stage import Answer, Question
from engine.settings import AnalyzersSettings


class WorkerPool:
    """Asks one callable.

    Args:
        analyzer: whose it is.
        settings: how many processes, and what bounds them.
    """

    def __init__(self, analyzer: Analyzer, settings: AnalyzersSettings) -> None:
        self._analyzer = analyzer
        self._settings = settings
        self._properties = properties_of(analyzer)
        self._slots = trio.Semaphore(settings.workers, max_value=settings.workers)
        # The one used last is taken first: its memory is at hand, and the others may rest.
        self._idle: list[Worker] = []
        self._running = 0
        self._started = 0
        self._lost = 0

    async def call(self, question: Question) -> Answer:
        """As `Caller.call`. Waiting for a process does not count against the time of the call."""
        async with self._slots:
            worker = await self._take()
            is_whole = False
            try:
                with trio.move_on_after(self._analyzer.timeout_ms / 1000):
                    told = await worker.ask(readable(question.activity))
                    is_whole = True
                if not is_whole:
                    raise CallFailed(f"no answer within {self._analyzer.timeout_ms} ms, its process was killed")
            finally:
                if is_whole:
                    self._idle.append(worker)
                else:
                    self._lost += 1
                    self._running -= 1
                    await worker.kill()
        return _read(told)

    async def aclose(self) -> None:
        """As `Caller.aclose`."""
        await self.rest()

    async def rest(self) -> None:
        """As `Caller.rest`."""
        idle, self._idle = self._idle, []
        self._running -= len(idle)
        async with trio.open_nursery() as nursery:
            for worker in idle:
                nursery.start_soon(worker.end)

    def gauges(self) -> dict[str, float]:
        """As `Caller.gauges`."""
        return {"workers": self._running, "workers_max": self._settings.workers, "worker_restarts": self._lost}

    async def _take(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            # It ended between two calls: a thread of its own, or somebody outside.
            self._lost += 1
            self._running -= 1
            await worker.kill()
        self._started += 1
        worker = await Worker.start(
            self._analyzer.callable, self._properties, self._settings.max_answer_bytes, self._settings.worker_start_s
        )
        self._running += 1
        return worker


def _read(told: bytes) -> Answer:
    kind, rest = told[:1], told[1:]
    if kind == b"o":
        return Answer("ok", rest)
    if kind == b"d":
        return Answer("drop")
    raise CallFailed(rest.decode("utf-8", "replace"))
