"""What the benches read of the machine and of processes, and how they sum up what they measured."""

import gc
import math
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

ROOT: Final = Path(__file__).parent.parent
"""The project: child processes find its packages there, installed or not."""

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024


@dataclass(frozen=True)
class Machine:
    """Where figures come from; without it they mean nothing.

    Attributes:
        cpus: that this process may use.
        python: implementation and version.
        system: kernel and architecture.
        load: runnable processes, mean of the last minute: what others took while this was measured.
    """

    cpus: int
    python: str
    system: str
    load: float

    def __str__(self) -> str:
        return f"{self.cpus} CPUs, {self.python}, {self.system}, load {self.load:.1f} at the start"


def machine() -> Machine:
    """This machine, now."""
    return Machine(
        cpus=len(os.sched_getaffinity(0)),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        load=os.getloadavg()[0],
    )


@dataclass(frozen=True)
class Range:
    """One figure, measured several times."""

    min: float
    median: float
    max: float


def range_of(values: Sequence[float]) -> Range:
    """The range of some figures; all 0 where there is none."""
    return Range(min(values), statistics.median(values), max(values)) if values else Range(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Spread:
    """Quantiles of what was measured, in ms."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p90 {self.p90:.1f}, p99 {self.p99:.1f}, max {self.max:.1f} ms"


def spread_of(values_s: Sequence[float]) -> Spread:
    """The quantiles of durations in seconds; all 0 where there is none."""
    ordered = sorted(values_s)

    def at(share: float) -> float:
        # Nearest rank: a value that was measured, never one between two.
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * 1000 if ordered else 0.0

    return Spread(len(ordered), at(0.5), at(0.9), at(0.99), at(1.0))


def cpu_s(pid: int | str = "self") -> float:
    """Processor time that a process has used, all its threads together, user and system, in seconds."""
    # The second field is the name in parentheses and may hold spaces; utime and stime are fields 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def all_cpu_s() -> float:
    """Processor time that all processes have used since the machine started, and what it was kept from, in seconds.

    Without interrupts: they are done in the name of whoever happens to run.
    """
    user, nice, system, _idle, _wait, _hard, _soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + stolen) / _TICKS_PER_S


@dataclass(frozen=True)
class Resident:
    """Memory that a process has in RAM. LMDB's map is `file_bytes`: the kernel takes it back when it needs it."""

    anonymous_bytes: int
    file_bytes: int


def resident(pid: int | str = "self") -> Resident:
    """What a process has in RAM now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines) if rest.strip()}
    return Resident(int(sizes["RssAnon"]) * _KIB, int(sizes["RssFile"]) * _KIB)


def tune_gc() -> None:
    """Set the garbage collector as `gateway.server` does at the start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)


def child_environment() -> dict[str, str]:
    """Environment of a child process that is to find this project's packages first."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def print_json(report: Any) -> None:  # noqa: ANN401 - any dataclass is meant
    """Print a report as one line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(asdict(report)) + b"\n")
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Tell how far a bench is, on standard error: standard output is the report's."""
    print(text, file=sys.stderr, flush=True)
