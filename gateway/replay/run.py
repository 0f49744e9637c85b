"""A whole replay: the engine on the log's clock, the files in order, an end in peace or by a signal.

open the engine ▶ feed ▶ close what is open ▶ leave the engine, which drains ▶ report
                    └ signal: leave at once; open sessions stay open, and the same command goes on with them
"""

import re
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio
from msgspec.structs import replace

from engine import BadSettings, EventClock, Settings, open_engine, open_reader
from gateway.replay.feed import PATIENCE_S, Feeder
from gateway.replay.lines import Format, LineReader
from gateway.replay.progress import Display
from gateway.replay.report import Report, make_report
from gateway.replay.source import Source
from gateway.replay.traffic import Traffic

NO_DOMAIN: Final = "localhost"
"""Host of a log's paths where nobody says whose log it is."""

GRACE_MS: Final = 60_000
"""How far a log's lines may be out of order: servers write a line when the answer is done (decision 6)."""


_HOST: Final = re.compile(r"[^\s/:@?#\\]+")


@dataclass(frozen=True)
class Plan:
    """What to replay.

    Attributes:
        files: opened, in order.
        form: of their lines; None asks each file's first line.
        site: `$site_id` for lines of a log.
        domain: host for the paths of a log.
        datamart: whose all of it is.
        traffic: what is left out of a log; None leaves out nothing.
    """

    files: Sequence[Source]
    form: Format | None
    site: str
    domain: str
    datamart: int
    traffic: Traffic | None

    @property
    def total_bytes(self) -> int | None:
        """Of all files; None where a pipe is among them."""
        sizes = [source.size_bytes for source in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Target:
    """Where a replay goes.

    Attributes:
        settings: of the engine.
        datamart: the first one's id.
        site: id of the site a log is from.
        domain: host of its paths.
    """

    settings: Settings
    datamart: int
    site: str
    domain: str


def target_of(settings: Settings, site: str | None, domain: str | None) -> Target:
    """Where a replay of one site's log goes.

    Args:
        settings: as configured.
        site: id of a site of the first datamart; None for its first.
        domain: the site's host where the caller knows it; it then counts as configured, so that the site's own pages
            are no foreign referrers (decision 6).

    Raises:
        BadSettings: there is no such site, or the domain is no host.
    """
    if domain is not None and not _HOST.fullmatch(domain):
        raise BadSettings(f"a domain is a host such as example.com, not {domain!r}")
    datamart, *others = settings.datamarts
    sites = [channel for channel in datamart.channels if channel.kind == "SITE" and site in (None, channel.id)]
    if not sites:
        raise BadSettings(f"datamart {datamart.id} has no site" + (f" {site}" if site else ""))
    found = sites[0]
    if domain:
        changed = replace(found, domain=domain)
        channels = tuple(changed if channel is found else channel for channel in datamart.channels)
        settings = replace(settings, datamarts=(replace(datamart, channels=channels), *others))
    return Target(settings, datamart.id, found.id, domain or found.domain or NO_DOMAIN)


async def run(settings: Settings, plan: Plan, display: Display) -> Report:
    """Replay the files.

    Args:
        settings: of the engine; `storage.data_dir` is where it stores.
        plan: what to replay.
        display: told how far it is.

    Raises:
        SourceDamaged: what is before the damage is kept, as after a signal.
        SojournError: the engine cannot go on, or cannot be opened.
    """
    started = time.perf_counter()
    clock = EventClock()
    # A log is read as fast as the disk allows, whoever wrote its lines.
    settings = replace(settings, rates=replace(settings.rates, events_per_s_of_user=0.0))
    async with open_engine(settings, clock=clock) as engine:
        before: dict[str, Any] = await trio.to_thread.run_sync(engine.reader.statistics)
        _, last_arrival_ms = await trio.to_thread.run_sync(engine.reader.last_place)
        feeder = Feeder(
            engine,
            clock,
            datamart=plan.datamart,
            max_future_ms=settings.session.max_future_ms,
            last_arrival_ms=last_arrival_ms,
        )

        async def work() -> None:
            # What an earlier replay left open comes first, and can be closed at the end.
            await engine.wait_recovered()
            with display:
                await _feed(feeder, plan, display)
            await engine.close_sessions(plan.datamart)
            # Whose wait was over within the log has moved on in it, not when somebody comes back.
            with trio.move_on_after(PATIENCE_S):
                await engine.caught_up()

        stopped_by = await _until_signal(work)
        await feeder.settle()
    with open_reader(Path(settings.storage.data_dir)) as reader:
        after = reader.statistics()
    return make_report(feeder.counts, before, after, seconds=time.perf_counter() - started, signal=stopped_by)


async def _until_signal(work: Callable[[], Awaitable[None]]) -> int | None:
    """Do the work, or as much as is done when SIGINT or SIGTERM comes; returns the signal."""
    caught: int | None = None
    with trio.CancelScope() as scope, trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

        async def watch() -> None:
            nonlocal caught
            async for number in signals:
                caught = number
                scope.cancel(reason="signal")
                return

        # A nursery wraps what the work raises; the caller wants the error itself.
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await work()
                nursery.cancel_scope.cancel(reason="done")
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None
    return caught


async def _feed(feeder: Feeder, plan: Plan, display: Display) -> None:
    done_bytes = 0
    for source in plan.files:
        reader = LineReader(feeder, plan.form, site=plan.site, domain=plan.domain, traffic=plan.traffic)
        # A pipe may be silent for ever: who stops meanwhile leaves the thread that waits for it behind.
        may_wait = source.size_bytes is None
        while lines := await trio.to_thread.run_sync(source.read, abandon_on_cancel=may_wait):
            for line in lines:
                await reader.take(line)
            display.show(source.name, done_bytes + source.position_bytes, feeder.counts.lines)
        done_bytes += source.position_bytes
