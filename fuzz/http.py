"""The listener's parser and connection against any bytes.

    python -m fuzz.http --seconds 60 [--seed 1]

Any bytes, fed whole or byte by byte or cut anywhere, give the same requests and the same refusal, and never an
exception; and a connection answers each of those requests once, in order, and then closes or goes on, cleanly.

Where atheris is installed it guides the bytes by coverage; else they are mutations of valid requests, drawn at random.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import trio
import trio.lowlevel
from msgspec import Struct

from engine import CollectSettings
from fuzz.mutations import mutated, valid_requests
from gateway.collect.listener.budget import Budget
from gateway.collect.listener.heads import KnownHeads
from gateway.collect.listener.parser import Limits, Phase, RequestParser
from gateway.collect.listener.received import Received
from gateway.collect.plane import Plane
from tests.gateway.engines import plane_without_engine
from tests.gateway.listener.fake import answers_in, fake_connection
from tests.gateway.listener.served import ROUTES, Receipt

LIMITS = Limits(max_request_line_bytes=8192, max_header_bytes=8192, max_headers=12, max_body_bytes=4096)
"""Lines may be longer than anything fed here: how long one may be that has not ended yet depends on the cuts."""

MAX_INPUT_BYTES = 16_000

TIMEOUT_S = 10
"""Of one input, which takes some milliseconds."""

OURS = frozenset({"on_url", "on_header", "on_headers_complete", "on_body", "on_message_begin", "on_message_complete"})
"""Names that the parser underneath says when one of our own callbacks has failed."""


class Outcome(Struct, frozen=True):
    """What a parser made of bytes.

    Attributes:
        requests: complete ones.
        refusal: status, code and message.
        methods: of all of them, and of what was refused.
        phase: where it is then.
    """

    requests: tuple[Received, ...]
    refusal: tuple[int, str, str] | None
    methods: tuple[str, ...]
    phase: Phase


def outcome(pieces: Iterable[bytes], known: KnownHeads | None = None) -> Outcome:
    """Feed bytes as a connection does."""
    budget = Budget(1 << 20)
    parser = RequestParser(LIMITS, budget, known)
    requests: list[Received] = []
    for piece in pieces:
        parser.feed(piece)
        requests += parser.requests
        parser.requests = []
        assert budget.used_bytes <= LIMITS.max_body_bytes
        if parser.refusal is None and not (requests and not requests[-1].keep_alive):
            continue
        assert parser.phase is Phase.IDLE, "nothing is waited for behind the end"
        assert not parser.wants_continue
    refusal = parser.refusal
    if refusal is not None:
        assert not any(name in refusal.message for name in OURS), f"a fault of ours: {refusal.message}"
        assert 400 <= refusal.status <= 505
    assert all(request.keep_alive for request in requests[:-1]), "nothing is read behind the end"
    parser.close()
    assert budget.used_bytes == 0
    return Outcome(
        tuple(requests),
        None if refusal is None else (refusal.status, refusal.code, refusal.message),
        (*(request.method for request in requests), *([] if refusal is None else [parser.head[0]])),
        parser.phase,
    )


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """The pieces between these places."""
    ends = sorted({min(place, len(data)) for place in places} | {0, len(data)})
    return (data[start:end] for start, end in pairwise(ends))


def check_cuts(data: bytes, places: Sequence[int], known: KnownHeads | None = None) -> Outcome:
    """The invariant of the parser.

    Args:
        data: any bytes.
        places: where they are cut.
        known: heads that were seen before, perhaps these.
    """
    whole = outcome([data])
    assert outcome(cut(data, places)) == whole, "cut"
    assert outcome(data[at : at + 1] for at in range(len(data))) == whole, "byte by byte"
    if known is not None:
        assert outcome(cut(data, places), known) == whole, "with known heads"
        assert outcome([data], known) == whole, "with known heads, whole"
    return whole


async def check_connection(data: bytes, places: Sequence[int]) -> None:
    """The invariant of a connection: an answer for each request, or a clean close, and no exception.

    Args:
        data: any bytes.
        places: where they are cut.
    """
    expected = outcome([data])
    Receipt.waiting.clear()
    with trio.fail_after(TIMEOUT_S):
        async with fake_connection(_plane(), SETTINGS) as fake:
            for piece in cut(data, places):
                fake.transport.feed(piece)
                await fake.settle()
            fake.transport.feed(b"")
            while not fake.is_over:
                await trio.lowlevel.checkpoint()
                while Receipt.waiting:
                    Receipt.waiting[0].end()
            found = answers_in(fake.transport.out, expected.methods)
    statuses = [status for status, _, _ in found if status != 100]
    refused = [expected.refusal[0]] if expected.refusal else []
    assert len(statuses) == len(expected.requests) + len(refused)
    assert statuses[len(expected.requests) :] == refused
    closing = [headers.get("connection") == "close" for status, headers, _ in found if status != 100]
    assert not any(closing[:-1])
    if refused:
        assert closing[-1]


SETTINGS = CollectSettings(
    max_request_line_bytes=LIMITS.max_request_line_bytes,
    max_header_bytes=LIMITS.max_header_bytes,
    max_headers=LIMITS.max_headers,
    max_pipelined=3,
)


@cache
def _plane() -> Plane:
    return plane_without_engine(ROUTES)


def check(data: bytes, places: Sequence[int]) -> None:
    """Both invariants."""
    data = data[:MAX_INPUT_BYTES]
    check_cuts(data, places, KnownHeads())
    # A connection's bodies may be larger than the parser's here: settings have a least value.
    if all(len(request.body) < 1000 for request in outcome([data]).requests) and not _is_too_large(data):
        trio.run(check_connection, data, places)


def _is_too_large(data: bytes) -> bool:
    found = outcome([data])
    return found.refusal is not None and found.refusal[0] == 413


def main(arguments: Sequence[str]) -> int:
    """Fuzz until the time is over; 1 when something was found, which is printed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.http")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; at random when not given")
    given = parser.parse_args(arguments)
    try:
        import atheris
    except ImportError:
        return _at_random(given.seconds, random.randrange(1 << 32) if given.seed is None else given.seed)
    return _guided(atheris, given.seconds)


def _at_random(seconds: float, seed: int) -> int:
    print(f"mutations of valid requests for {seconds:g} s, seed {seed}")
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        data = mutated(chance, valid_requests(chance))
        places = [chance.randrange(len(data) + 1) for _ in range(chance.randrange(4))]
        try:
            check(data, places)
        except Exception:
            print(f"found after {number} inputs:\n{data!r}\ncut at {places}")
            raise
        number += 1
    print(f"{number} inputs, nothing found")
    return 0


def _guided(atheris: ModuleType, seconds: float) -> int:
    def one(data: bytes) -> None:
        if len(data) > 2:
            check(data[2:], [data[0] * 8, data[1]])

    with TemporaryDirectory() as corpus:
        for number in range(300):
            chance = random.Random(number)
            (Path(corpus) / str(number)).write_bytes(chance.randbytes(2) + valid_requests(chance))
        atheris.instrument_all()
        options = [f"-max_total_time={int(seconds)}", f"-max_len={MAX_INPUT_BYTES}", corpus]
        atheris.Setup([sys.argv[0], *options], one)
        atheris.Fuzz()  # Ends the process.
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
