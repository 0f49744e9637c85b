"""What can be seen from outside: one log function, one registry of metrics read at scrape time.

Nothing here costs anything on the hot path: counters are rows of the store, gauges are read when somebody asks.
"""

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Self, TextIO

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

LogFormat = Literal["json", "console"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

LEVELS = {
    "events_open": "Events accepted and not yet settled",
    "user_points": "Persons known; a merge makes them fewer",
    "outbox_waiting": "Requests that wait in the outbox",
}
"""Counters of the store that also go down: gauges to Prometheus."""

_logger: Any = structlog.get_logger("sojourn")


def log(event: str, level: str = "info", **fields: Any) -> None:  # noqa: ANN401 - any loggable value is meant
    """Write one structured line; before `configure_logging`, a record of the standard logger `sojourn` instead.

    So a program that embeds the engine hears of warnings as of any library's, and of the rest when it asks to.

    Args:
        event: what happened, a short constant text.
        level: debug, info, warning or error.
        fields: what it happened to. Never payloads or tokens.
    """
    if structlog.is_configured():
        getattr(_logger, level)(event, **fields)
    else:
        logging.getLogger("sojourn").log(_LEVELS[level], "%s %s", event, fields)


def configure_logging(log_format: LogFormat = "console", level: str = "info", stream: TextIO | None = None) -> None:
    """Choose how log lines look and which are written; for programs, not for those who embed the engine."""
    out = stream or sys.stderr
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        # Looked up for each line: a program may replace its standard error.
        logger_factory=lambda *_: structlog.WriteLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


class Metrics(Collector):
    """Prometheus text made of statistics read at scrape time.

    Args:
        counters: current counters by datamart: name, or `name.label`, to number.
        gauges: current gauges by name.
    """

    def __init__(
        self,
        counters: Callable[[], Mapping[int, Mapping[str, int]]],
        gauges: Callable[[], Mapping[str, float]],
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition of all metrics at this moment."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The families: one a counter name, with labels for datamart and, behind a dot, for the reason."""
        families: dict[str, CounterMetricFamily] = {}
        counters = sorted(self._counters().items())
        for datamart, counts in counters:
            for name, value in sorted(counts.items()):
                base, _, reason = name.partition(".")
                if base in LEVELS:
                    continue
                labels = ["datamart", "reason"] if reason else ["datamart"]
                full = f"sojourn_{base}_by_reason" if reason and base in counts else f"sojourn_{base}"
                family = families.get(full)
                if family is None:
                    family = families[full] = CounterMetricFamily(full, _help(base, bool(reason)), labels=labels)
                family.add_metric([str(datamart), reason] if reason else [str(datamart)], value)
        yield from families.values()
        for name, what in LEVELS.items():
            level = GaugeMetricFamily(f"sojourn_{name}", what, labels=["datamart"])
            for datamart, counts in counters:
                level.add_metric([str(datamart)], counts.get(name, 0))
            yield level
            yield from _by_reason(name, what, counters)
        yield from _gauge_families(self._gauges())


def _by_reason(name: str, what: str, counters: Sequence[tuple[int, Mapping[str, int]]]) -> Iterable[GaugeMetricFamily]:
    """The levels whose name has something behind a dot, as one family; none where there are none."""
    found = [
        ([str(datamart), one.partition(".")[2]], value)
        for datamart, counts in counters
        for one, value in sorted(counts.items())
        if one.startswith(f"{name}.")
    ]
    if found:
        family = GaugeMetricFamily(f"sojourn_{name}_by_reason", f"{what} by reason", labels=["datamart", "reason"])
        for labels, value in found:
            family.add_metric(labels, value)
        yield family


def _gauge_families(gauges: Mapping[str, float]) -> Iterable[GaugeMetricFamily]:
    """One family a name; what is behind a dot is its label `of`."""
    families: dict[str, GaugeMetricFamily] = {}
    for name, number in sorted(gauges.items()):
        base, _, of = name.partition(".")
        family = families.get(base)
        if family is None:
            labels = ["of"] if of else []
            family = families[base] = GaugeMetricFamily(f"sojourn_{base}", base.replace("_", " "), labels=labels)
        family.add_metric([of] if of else [], number)
    return families.values()


def _help(base: str, by_reason: bool) -> str:
    return base.replace("_", " ") + (" by reason" if by_reason else "")


class GcPauses:
    """How long the garbage collector held everything up: a gauge of `gc.callbacks`.

    Attributes:
        last_ms, max_ms: of the last collection and of the longest so far.
        collections: how many there were.
    """

    def __init__(self) -> None:
        self.last_ms = 0.0
        self.max_ms = 0.0
        self.collections = 0
        self._started = 0.0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._on_gc)
        return self

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._on_gc)

    def _on_gc(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._started = time.perf_counter()
        else:
            self.last_ms = (time.perf_counter() - self._started) * 1000
            self.max_ms = max(self.max_ms, self.last_ms)
            self.collections += 1
