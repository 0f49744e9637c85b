"""Both planes and the engine in one process: how they start, what ends them, and what the exit code says.

Start: bind the addresses, open the engine, listen. Stop, at the first SIGTERM or SIGINT: no new connections, requests
in flight finish within `actors.drain_requests_s`, the engine drains. A second signal leaves out what can be left out:
the journal has it. A sender that does not read its answer holds up neither step, and the whole is bounded: when all
drain budgets are spent the process ends as it is, which loses nothing that was acknowledged.
"""

import gc
import os
import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Final, Self

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve
from hypercorn.typing import ASGIFramework

from engine import Engine, Settings, log, open_engine
from gateway.api.app import api_app
from gateway.collect.collect import Collect
from gateway.collect.cors import Cors
from gateway.collect.listener.serve import CollectListener
from gateway.collect.listener.tls import tls_context
from gateway.collect.location import open_locator
from gateway.collect.plane import Plane
from gateway.collect.table import collect_routes
from gateway.listen import Listener
from gateway.reload import watch_reload

EXIT_CLEAN: Final = 0
EXIT_BROKEN: Final = 1
"""The store is broken, or something failed that must not."""
EXIT_USAGE: Final = 2
"""Wrong usage or settings, a directory in use, a port that is taken: nothing was started."""
EXIT_CUT: Final = 3
"""Ended before the drain was through; what was acknowledged is in the journal and goes on at the next start."""

MARGIN_S: Final = 2.0
"""Between the end of a budget and the step that enforces it."""

Ready = Callable[[Engine, str, str], None]
"""Called once both planes listen, with the engine and the addresses of collect and API."""


async def run(settings: Settings, ready: Ready) -> int:
    """Serve until a signal asks to stop.

    Args:
        settings: of the engine and of the planes.
        ready: told when both listen.

    Returns:
        The exit code of the process.

    Raises:
        SojournError: an address cannot be bound, the engine could not start, or it broke; perhaps in a group.
    """
    code = EXIT_CUT
    budgets = settings.actors
    drain_s = budgets.drain_requests_s + budgets.drain_chain_s + budgets.drain_store_s
    stopping = trio.Event()
    finished = [trio.Event(), trio.Event()]
    with ExitStack() as stack:
        locate = open_locator(settings.visitors)
        tls = tls_context(settings.collect.tls_certificate, settings.collect.tls_key)
        at = Listener(settings.collect.host, settings.collect.port, scheme="https" if tls else "http")
        stack.callback(at.close)
        api_at = Listener(settings.api.host, settings.api.port)
        stack.callback(api_at.close)
        end = stack.enter_context(_HardStop())
        # The planes' nursery is outside the engine: a connection that hangs after its grace does not keep the engine
        # from draining. Hence a handler may meet a closing engine, and answers 503.
        async with trio.open_nursery() as planes:
            hurry = trio.CancelScope()
            planes.start_soon(_watch_signals, stopping, hurry, name="signals")
            with hurry, end.if_it_fails(MARGIN_S, EXIT_BROKEN):
                async with open_engine(settings) as engine:
                    collect = Collect(engine, settings, locate=locate)
                    if locate is not None:
                        collect.counters.watch(locate.statistics)
                    grace_s = budgets.drain_requests_s
                    listener = _collect_listener(collect, tls)
                    await planes.start(_serve_collect, listener, at, stopping, grace_s, finished[0])
                    await planes.start(_serve_api, api_app(collect), api_at.config(grace_s), stopping, finished[1])
                    _tune_gc()
                    await planes.start(watch_reload, engine, name="reload")
                    ready(engine, at.url, api_at.url)
                    await stopping.wait()
                    end.within(drain_s + 2 * MARGIN_S, EXIT_CUT)
                    with trio.move_on_after(budgets.drain_requests_s + MARGIN_S):
                        for done in finished:
                            await done.wait()
                code = EXIT_CLEAN if engine.drained else EXIT_CUT
            end.within(MARGIN_S, code)
            planes.cancel_scope.cancel(reason="the engine is closed")
    return code


def _collect_listener(collect: Collect, tls: ssl.SSLContext | None) -> CollectListener:
    settings = collect.settings.collect
    plane = Plane(collect, collect_routes(collect), Cors(collect.engine.site_hosts, settings.cors_origins))
    listener = CollectListener(plane, settings, tls)
    collect.counters.watch(listener.statistics)
    return listener


async def _serve_collect(
    listener: CollectListener,
    at: Listener,
    stopping: trio.Event,
    grace_s: float,
    done: trio.Event,
    *,
    task_status: "trio.TaskStatus[None]",
) -> None:
    try:
        await listener.serve([at.socket()], stopping, grace_s, task_status=task_status)
    finally:
        done.set()


async def _serve_api(
    app: ASGIFramework,
    config: Config,
    stopping: trio.Event,
    done: trio.Event,
    *,
    task_status: "trio.TaskStatus[list[str]]",
) -> None:
    try:
        await hypercorn_serve(app, config, shutdown_trigger=stopping.wait, task_status=task_status)
    finally:
        done.set()


async def _watch_signals(stopping: trio.Event, hurry: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log("stop asked for", signal=signal.Signals(number).name, again=stopping.is_set())
            if stopping.is_set():
                hurry.cancel(reason="a second signal")
            stopping.set()


def _tune_gc() -> None:
    """What is there now stays: not looking through it again makes full collections cheap, and they become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


class _HardStop:
    """Ends the process from a thread when the loop has not done so in time: it may hang, or be busy."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._cancel()

    def within(self, seconds: float, code: int) -> None:
        """End with this exit code in so many seconds; replaces what was said before."""
        self._cancel()
        self._timer = threading.Timer(seconds, partial(_exit_now, code))
        self._timer.daemon = True
        self._timer.start()

    @contextmanager
    def if_it_fails(self, seconds: float, code: int) -> Iterator[None]:
        """`within`, should the block raise."""
        try:
            yield
        except Exception:
            self.within(seconds, code)
            raise

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _exit_now(code: int) -> None:
    log("ending without the rest", "warning", exit_code=code)
    os._exit(code)
