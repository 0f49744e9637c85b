"""The sessions of a log, computed again: plain Python from decisions 5 to 7, 15, 16 and 19 to 21, no engine code.

It has the whole log at once, so it can do per person what the engine must do event by event: sort by time, split where
the gap is passed, then cut greedily from the front. Lines may be out of order by less than `grace`; then both agree.
"""

import ipaddress
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from publicsuffixlist import PublicSuffixList

GAP_MS = 30 * 60 * 1000
MAX_SESSION_MS = 24 * 60 * 60 * 1000
MAX_CHARS = 8000
LINE = re.compile(
    r'(?P<address>\S+) \S+ (?P<user>.*?) \[(?P<time>[^\]]*)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d+) '
    r'(?P<bytes>\d+|-)(?: "(?P<referrer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
)
SUFFIXES = PublicSuffixList()


@dataclass(frozen=True)
class Event:
    """One line as an event: who, when, its id, what it is stored as, its origin and foreign referrer domain."""

    user: tuple[tuple[str, str], ...]
    ts_ms: int
    body: dict[str, Any]
    origin: dict[str, str]
    foreign: str


@dataclass
class Session:
    """One activity as it must be stored; `cut` is the reason when the session was cut behind it, else ""."""

    user: tuple[tuple[str, str], ...]
    events: list[Event] = field(default_factory=list)
    cut: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(event.body["$event_id"] for event in self.events)

    def as_stored(self) -> dict[str, Any]:
        first, last = self.events[0], self.events[-1]
        return {
            "$ts": first.ts_ms,
            "$type": "SITE_VISIT",
            "$session_status": "CLOSED_SESSION",
            "$site_id": "1",
            "$session_duration": (last.ts_ms - first.ts_ms) // 1000,
            "$origin": {**first.origin, "$ts": first.ts_ms} if first.origin else None,
            "$events": [event.body for event in self.events],
        }


def events_of(lines: Iterable[bytes], domain: str) -> tuple[list[Event], list[bytes]]:
    """The events of a log in its order, and the lines that are none or too large."""
    seen: Counter[bytes] = Counter()
    events, broken = [], []
    for line in lines:
        occurrence = seen[line]
        seen[line] += 1
        found = LINE.fullmatch(line.decode())
        if found is None:
            broken.append(line)
            continue
        salt = occurrence.to_bytes(8, "big") + bytes(8)
        event_id = blake2b(line, digest_size=12, salt=salt).hexdigest()
        event = _event(found.groupdict(), event_id, domain)
        if _chars([event]) > MAX_CHARS:
            broken.append(line)
        else:
            events.append(event)
    return events, broken


def sessions_of(events: Iterable[Event]) -> list[Session]:
    """The sessions of events in the order of their lines."""
    by_user: dict[tuple[tuple[str, str], ...], list[Event]] = defaultdict(list)
    for event in events:
        by_user[event.user].append(event)
    found: list[Session] = []
    for user, theirs in by_user.items():
        theirs.sort(key=lambda event: event.ts_ms)  # Stable: equal times keep the order of the log.
        visit: list[Event] = []
        for event in theirs:
            if visit and event.ts_ms - visit[-1].ts_ms > GAP_MS:
                found += _cut(user, visit)
                visit = []
            visit.append(event)
        found += _cut(user, visit)
    return found


def _cut(user: tuple[tuple[str, str], ...], visit: list[Event]) -> list[Session]:
    parts = [Session(user)]
    last_foreign = ""
    for event in visit:
        part = parts[-1]
        part.cut = _cut_before(event, part, last_foreign)
        if part.cut:
            last_foreign = ""
            parts.append(Session(user))
        parts[-1].events.append(event)
        last_foreign = event.foreign or last_foreign
    return parts


def _cut_before(event: Event, part: Session, last_foreign: str) -> str:
    if not part.events:
        return ""
    first = part.events[0]
    if event.origin and _compared(event.origin) != _compared(first.origin):
        return "origin"
    if event.foreign and last_foreign and event.foreign != last_foreign:
        return "referrer"
    if event.ts_ms - first.ts_ms > MAX_SESSION_MS:
        return "duration"
    if _chars([*part.events, event]) > MAX_CHARS:
        return "size"
    return ""


def _compared(origin: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in origin.items() if key != "$referral_path"}


def _chars(events: list[Event]) -> int:
    sent = {
        "$type": "SITE_VISIT",
        "$session_status": "IN_SESSION",
        "$site_id": "1",
        **dict(events[0].user),
        "$events": [event.body for event in events],
    }
    return len(json.dumps(sent, ensure_ascii=False, separators=(",", ":")))


def _event(line: dict[str, str | None], event_id: str, domain: str) -> Event:
    text = {key: "" if value in (None, "-") else _unescape(value or "") for key, value in line.items()}
    moment = datetime.strptime(line["time"] or "", "%d/%b/%Y:%H:%M:%S %z")
    ts_ms = int(moment.timestamp()) * 1000
    method, _, rest = text["request"].partition(" ")
    target, _, protocol = rest.rpartition(" ")
    properties: dict[str, Any] = {}
    if target.startswith("/") and protocol.startswith("HTTP/"):
        properties["$url"] = f"https://{domain}{target}"
    if text["referrer"]:
        properties["$referrer"] = text["referrer"]
    if "$url" in properties:
        properties["method"] = method
    elif text["request"]:
        properties["request"] = text["request"]
    properties["status"] = int(text["status"])
    if text["bytes"]:
        properties["bytes"] = int(text["bytes"])
    body = {"$ts": ts_ms, "$event_id": event_id, "$event_name": "page_view", "$properties": properties}
    guess = blake2b(f"{text['address']}\0{text['agent']}".encode(), digest_size=12).hexdigest()
    user = {"$user_account_id": text["user"]} if text["user"] else {"$user_agent_id": f"log:{guess}"}
    host = _host(text["referrer"])
    foreign = "" if not host or _registrable(host) == _registrable(domain) else _registrable(host)
    return Event(tuple(user.items()), ts_ms, body, _origin(properties, host if foreign else ""), foreign)


def _origin(properties: dict[str, Any], foreign_host: str) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(properties.get("$url", "")).query)
    utm = {key.lower(): value for key, value in reversed(pairs) if key.lower().startswith("utm_")}
    named = {key: value for key, value in reversed(pairs) if key in ("$channel", "$keywords", "gclid", "xtor")}
    google = {
        "$channel": utm.get("utm_medium") or named.get("$channel"),
        "$source": utm.get("utm_source"),
        "$campaign_name": utm.get("utm_campaign"),
        "$creative_name": utm.get("utm_content"),
        "$keywords": utm.get("utm_term") or named.get("$keywords"),
        "$gclid": named.get("gclid"),
    }
    if any(google.values()):
        return {key: value for key, value in google.items() if value}
    assert "xtor" not in named, "the reference knows no xtor"
    if not foreign_host:
        return {}
    return {"$channel": "referral", "$source": foreign_host, "$referral_path": properties["$referrer"]}


def _host(address: str) -> str:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    return host if re.fullmatch(r"[\w.:-]+", host) else ""  # Letters of any script, but no escaped bytes.


def _registrable(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return SUFFIXES.privatesuffix(host) or host
    return host


def _unescape(text: str) -> str:
    def byte(found: re.Match[bytes]) -> bytes:
        return bytes.fromhex(found[1].decode()) if found[1] else found[2]

    raw = re.sub(rb'\\(?:x([0-9a-fA-F]{2})|(["\\]))', byte, text.encode())
    return raw.decode("utf-8", "backslashreplace")
