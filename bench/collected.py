"""What `bench.collect` found, as values and as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.machine import Machine, Range, range_of
from bench.wire import Tally

BARE: Final = "bare"
SOJOURN: Final = "sojourn"
FASTAPI: Final = "fastapi"
BATCHES: Final = "batches"
SLOW_SYNC: Final = "slow sync"
SLOW_DISK: Final = "slow disk"
HALF: Final = "half rate"
FIRST: Final = "first contact"

WANTED: Final = {
    (SOJOURN, BARE): 0.35,
    (SOJOURN, FASTAPI): 3.0,
    (BATCHES, SOJOURN): 1.5,
    (SLOW_SYNC, SOJOURN): 0.5,
    (SLOW_DISK, SOJOURN): None,
}
"""What a ratio of event rates should be at least, on any machine."""

HALF_P99_MS: Final = 15.0
"""What the p99 at half of the maximum rate should be at most."""

BUSY_GENERATOR_CPUS: Final = 0.9
"""A generator that keeps more than this of a processor busy at full load may be what limits the rate."""


@dataclass(frozen=True)
class Run:
    """One stretch of load on one server.

    Attributes:
        what: one of the names above.
        round: number, from 1; 0 is the round that warms up and counts nowhere.
        tally: what the generator says.
        per_s, requests_per_s: acknowledged events, and requests answered 200.
        server_cpu_us, generator_cpu_us: processor time an event, all threads.
        server_cpus, generator_cpus: processors they kept busy.
        others_cpus: processors that everything else on the machine kept busy meanwhile, as far as it can be told.
        syncs_per_s: on a slow disk, waits for it a second.
    """

    what: str
    round: int
    tally: Tally
    per_s: float
    requests_per_s: float
    server_cpu_us: float
    generator_cpu_us: float
    server_cpus: float
    generator_cpus: float
    others_cpus: float
    syncs_per_s: float | None = None


@dataclass(frozen=True)
class Summary:
    """The rounds of one contestant."""

    what: str
    per_s: Range
    requests_per_s: Range
    server_cpu_us: Range
    generator_cpu_us: Range
    generator_cpus: Range
    others_cpus: Range
    p50_ms: Range
    p99_ms: Range


@dataclass(frozen=True)
class Ratio:
    """Event rates of two contestants, divided round by round.

    Attributes:
        value: of the rates.
        by_cpu: the same from the servers' processor time an event, which holds also where others take their share of
            the machine: what the ratio would be if that were all that counts.
        wanted: at least; None where nothing was promised.
    """

    of: str
    to: str
    value: Range
    by_cpu: Range
    wanted: float | None


@dataclass(frozen=True)
class Account:
    """Whether a server has what it acknowledged.

    Attributes:
        acknowledged: events that answers called accepted.
        kept: events that its store has received.
        unsure: requests that were sent and not answered: they may or may not be kept.
        balanced: whether its store accounts for each of them (decision 17); of SQLite, that the rows are there.
    """

    what: str
    acknowledged: int
    kept: int
    unsure: int
    balanced: bool

    @property
    def holds(self) -> bool:
        """Nothing acknowledged is missing, and nothing came from nowhere."""
        return self.balanced and self.acknowledged <= self.kept <= self.acknowledged + self.unsure


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        connections, slow_connections, users, event_bytes, batch, seconds, rounds, delay_ms, commit, style: how.
        left_out: what was not measured, and why.
        runs: all of them, in order.
        summaries, ratios: of the rounds that count.
        accounts: of all runs, warming up and first contact included.
    """

    machine: Machine
    connections: int
    slow_connections: int
    users: int
    event_bytes: int
    batch: int
    seconds: float
    rounds: int
    delay_ms: float
    style: str
    commit: str
    left_out: dict[str, str]
    runs: list[Run]
    summaries: list[Summary]
    ratios: list[Ratio]
    accounts: list[Account]

    @property
    def holds(self) -> bool:
        """Whether all is accounted for."""
        return all(account.holds for account in self.accounts)


def summaries(runs: Sequence[Run]) -> list[Summary]:
    """A summary of each contestant, in the order of their first runs."""
    counted = [run for run in runs if run.round]
    return [_summary(what, [run for run in counted if run.what == what]) for what in _names(counted)]


def _summary(what: str, runs: Sequence[Run]) -> Summary:
    def over(value: Callable[[Run], float]) -> Range:
        return range_of([value(run) for run in runs])

    return Summary(
        what=what,
        per_s=over(lambda run: run.per_s),
        requests_per_s=over(lambda run: run.requests_per_s),
        server_cpu_us=over(lambda run: run.server_cpu_us),
        generator_cpu_us=over(lambda run: run.generator_cpu_us),
        generator_cpus=over(lambda run: run.generator_cpus),
        others_cpus=over(lambda run: run.others_cpus),
        p50_ms=over(lambda run: run.tally.ack.p50),
        p99_ms=over(lambda run: run.tally.ack.p99),
    )


def ratios(runs: Sequence[Run]) -> list[Ratio]:
    """The ratios of what was measured. Each round gives one: its runs lie next to each other in time."""
    at = {(run.what, run.round): run for run in runs if run.round}
    found: list[Ratio] = []
    for (of, to), wanted in WANTED.items():
        pairs = [(run, at[to, number]) for (what, number), run in at.items() if what == of and (to, number) in at]
        rates = [one.per_s / other.per_s for one, other in pairs if other.per_s]
        if rates:
            by_cpu = [other.server_cpu_us / one.server_cpu_us for one, other in pairs if one.server_cpu_us]
            found.append(Ratio(of, to, range_of(rates), range_of(by_cpu), wanted))
    return found


def described(report: Report) -> str:
    """The report for people."""
    names = _labels(report)
    lines = [
        f"machine        {report.machine}",
        f"requests       one event of {report.event_bytes} bytes, {report.users:,} users at random,"
        f" {report.connections} connections; {report.rounds} rounds of {report.seconds:g} s each, in turns",
        "",
        f"{'':<34}{'events/s':>9}{'':<18}{'µs CPU an event':>20}{'ack, ms':>16}{'others':>8}",
        f"{'':<34}{'median':>9}{'min':>9}{'max':>9}{'server':>9}{'generator':>11}{'p50':>8}{'p99':>8}{'CPUs':>8}",
    ]
    lines += [_row(names[summary.what], summary) for summary in report.summaries]
    if report.ratios:
        lines += ["", f"{'ratios of events/s':<34}{'median':>9}{'min':>9}{'max':>9}{'by CPU':>9}"]
    for ratio in report.ratios:
        wanted = "" if ratio.wanted is None else f"   wanted: at least {ratio.wanted:g}"
        value = ratio.value
        figures = (value.median, value.min, value.max, ratio.by_cpu.median)
        lines.append(f"{f'  {ratio.of} / {ratio.to}':<34}{''.join(f'{figure:>9.2f}' for figure in figures)}{wanted}")
    lines += ["", *_half(report), *_syncs(report), *_warnings(report)]
    lines += [f"left out       {what}: {why}" for what, why in report.left_out.items()]
    for account in report.accounts:
        verdict = "accounted for" if account.holds else "NOT ACCOUNTED FOR"
        unsure = f", {account.unsure:,} not answered" if account.unsure else ""
        lines.append(
            f"{account.what:<15}{account.acknowledged:,} acknowledged{unsure}, {account.kept:,} kept: {verdict}"
        )
    return "\n".join(lines)


def _row(name: str, summary: Summary) -> str:
    rate = summary.per_s
    return (
        f"{name:<34}{rate.median:>9,.0f}{rate.min:>9,.0f}{rate.max:>9,.0f}"
        f"{summary.server_cpu_us.median:>9.1f}{summary.generator_cpu_us.median:>11.1f}"
        f"{summary.p50_ms.median:>8.1f}{summary.p99_ms.median:>8.1f}{summary.others_cpus.median:>8.2f}"
    )


def _labels(report: Report) -> dict[str, str]:
    many, delay = report.slow_connections, f"{report.delay_ms:g} ms"
    return {
        BARE: f"(a) bare Trio, {report.style}",
        SOJOURN: "(b) sojourn",
        FASTAPI: f"(c) FastAPI + SQLite, {report.commit}",
        BATCHES: f"(b) in batches of {report.batch}",
        SLOW_SYNC: f"(b) syncs + {delay}, {many} conn.",
        SLOW_DISK: f"(b) all waits + {delay}, {many} conn.",
        HALF: "(b) at half of its rate",
    }


def _half(report: Report) -> list[str]:
    halves = [run for run in report.runs if run.what == HALF and run.round]
    return [
        f"half rate      {run.tally.ack} from due to answered, at {run.requests_per_s:,.0f} requests/s;"
        f" sent late p99 {run.tally.late.p99:.1f} ms, {run.tally.starved:,} found no connection free"
        for run in halves
    ] + ([f"{'':<15}wanted: p99 at most {HALF_P99_MS:g} ms"] if halves else [])


def _syncs(report: Report) -> list[str]:
    """How often the slow disk was waited for: that it was slow, and how many share a commit."""
    found: list[str] = []
    for what in (SLOW_SYNC, SLOW_DISK):
        runs = [run for run in report.runs if run.what == what and run.round and run.syncs_per_s]
        if runs:
            syncs = range_of([run.syncs_per_s or 0.0 for run in runs]).median
            shared = range_of([run.per_s / (run.syncs_per_s or 1.0) for run in runs]).median
            found.append(f"{what:<15}{syncs:,.0f} syncs/s, {shared:,.0f} events share one")
    return found


def _warnings(report: Report) -> list[str]:
    found: list[str] = []
    for summary in report.summaries:
        if summary.generator_cpus.median > BUSY_GENERATOR_CPUS and summary.what != HALF:
            found.append(f"careful        {summary.what}: the generator was busy all the time and may be the limit")
        refused = sum(
            count
            for run in report.runs
            if run.what == summary.what
            for status, count in run.tally.statuses.items()
            if status != "200"
        )
        if refused:
            found.append(f"careful        {summary.what}: {refused:,} requests were not answered 200")
    noise = max((summary.others_cpus.max for summary in report.summaries), default=0.0)
    if noise > 0.2:
        found.append(f"careful        others kept up to {noise:.1f} CPUs busy: repeat on an idle machine")
    return found


def _names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run.what for run in runs))
