"""Replays for tests: run one in this process, and read everything that is stored after it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import trio

from engine import Selector, load_settings, open_reader
from gateway.replay.progress import Plain
from gateway.replay.report import Report
from gateway.replay.run import GRACE_MS, Plan, run, target_of
from gateway.replay.source import Source
from gateway.replay.traffic import load_traffic
from tests.replay.reference import Session


def replay(
    data: Path,
    *files: Path,
    domain: str | None = None,
    site: str | None = None,
    left_out: bool = False,
    **overrides: object,
) -> Report:
    """Replay files as the command does, `--all` unless `left_out`; overrides are settings by dotted key."""
    told = {"storage.data_dir": str(data), "session.grace_ms": GRACE_MS, **overrides}
    target = target_of(load_settings(None, {}, told), site, domain)
    sources = [Source(str(file)) for file in files]
    plan = Plan(
        files=sources,
        form=None,
        site=target.site,
        domain=target.domain,
        datamart=target.datamart,
        traffic=load_traffic() if left_out else None,
    )
    try:
        return trio.run(run, target.settings, plan, Plain(plan.total_bytes))
    finally:
        for source in sources:
            source.close()


def write(path: Path, lines: Iterable[bytes]) -> Path:
    """A file of these lines."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def statistics(data: Path) -> dict[str, Any]:
    """What `sojourn stats --json` is made of."""
    with open_reader(data) as reader:
        return reader.statistics()


def stored(data: Path, users: Iterable[tuple[tuple[str, str], ...]]) -> dict[str, list[dict[str, Any]]]:
    """All activities of each of these users in the order of time, as public JSON without the nulls."""
    found: dict[str, list[dict[str, Any]]] = {}
    with open_reader(data) as reader:
        for user in set(users):
            (name, value) = user[0]
            kind = "compartment_id=1,user_account_id" if name == "$user_account_id" else "user_agent_id"
            point = reader.find_user_point(1, Selector.parse(f"{kind}={value}"))
            assert point is not None, f"nobody is {user}"
            theirs = [json.loads(item) for item in reader.activities(1, point, limit=1_000_000)]
            found[str(user)] = sorted(map(_without_nulls, theirs), key=_place)
    return found


def expected(sessions: Iterable[Session]) -> dict[str, list[dict[str, Any]]]:
    """The same of what the reference computed; `comparable` makes the two of one form."""
    found: dict[str, list[dict[str, Any]]] = {}
    for session in sessions:
        found.setdefault(str(session.user), []).append(_without_nulls(session.as_stored()))
    return {user: sorted(theirs, key=_place) for user, theirs in found.items()}


def comparable(users: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Without what the reference does not compute: keys and the form of identifiers."""
    hidden = ("$unique_key", "$user_identifiers")
    return {
        user: [{key: value for key, value in item.items() if key not in hidden} for item in theirs]
        for user, theirs in users.items()
    }


def _without_nulls(item: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if value is not None}
    if "$origin" in kept:
        kept["$origin"] = {key: value for key, value in kept["$origin"].items() if value is not None}
    return kept


def _place(item: dict[str, Any]) -> tuple[int, str]:
    return item["$ts"], item["$events"][0]["$event_id"] if item["$events"] else ""
