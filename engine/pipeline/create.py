"""Step 1, create: an activity from what left a visitor (decisions 10 to 13 and 21)."""

from collections.abc import Sequence
from uuid import UUID

from msgspec import structs

from engine.model.activity import Activity, events_from, extras_of
from engine.model.event import event_from
from engine.model.identifiers import Identifier
from engine.model.sent import identifiers_in, parse_unique_key, sent_decoder
from engine.model.unique_key import generated_key
from engine.model.wire import NULL, Fields, decode, decode_fields, encode_fields
from engine.session.closed import Closed, Member, Source
from engine.session.root import IDENTIFIER_FIELDS, merge_roots

NAME = "create"

_MS_PER_S = 1000


def create(closed: Closed, default_compartment: str) -> Activity:
    """The activity that a closed session, a live window or a sent item is.

    Args:
        closed: what left the visitor; not a STATE, which stores no activity.
        default_compartment: of the datamart, for accounts that name none.
    """
    match closed.source:
        case Source.SESSION:
            return _from_run(closed, "CLOSED_SESSION", default_compartment)
        case Source.LIVE:
            return _from_run(closed, "NO_SESSION", default_compartment)
        case Source.ITEM:
            return _from_item(closed, default_compartment)
        case _:
            raise ValueError(f"no activity comes of {closed.source}")


def session_snapshot(closed: Closed, default_compartment: str) -> Activity:
    """How an open session or live window reads with `live=true` (decision 11)."""
    return structs.replace(create(closed, default_compartment), status="SESSION_SNAPSHOT")


def _from_run(closed: Closed, status: str, default_compartment: str) -> Activity:
    channel, members = closed.channel, closed.members
    if channel is None or not members:
        raise ValueError("a session or live window has a channel and events")
    first, last = members[0], members[-1]
    root = merge_roots(members)
    is_session = closed.source is Source.SESSION
    # No origin ends a live window, so the one that says something may be any event's.
    origins = (first.origin,) if is_session else [member.origin for member in members]
    ttl = root.get("$ttl")
    return Activity(
        ts_ms=first.ts_ms,
        unique_key=_session_key(closed, channel.key) if is_session else _record_key(first),
        type=channel.activity_type,
        status=status,
        ttl_minutes=int(bytes(ttl)) if ttl is not None else None,
        identifiers=_identifiers(members, default_compartment),
        channel_field=channel.id_field,
        channel_id=channel.id,
        duration_s=(last.ts_ms - first.ts_ms) // _MS_PER_S if is_session else None,
        origin=next((origin.body for origin in origins if origin is not None), None),
        location=root.get("$location"),
        events=[event_from(member.event) for member in members],
        extras=extras_of(root),
    )


def _from_item(closed: Closed, default_compartment: str) -> Activity:
    member, channel = closed.members[0], closed.channel
    root = decode_fields(member.root)
    item = decode(sent_decoder, member.root)
    return Activity(
        ts_ms=member.ts_ms,
        unique_key=parse_unique_key(item.unique_key) or _record_key(member),
        type=item.type,
        status=item.session_status,
        ttl_minutes=item.ttl,
        identifiers=identifiers_in(member.root, default_compartment),
        channel_field=channel.id_field if channel is not None else "",
        channel_id=channel.id if channel is not None else "",
        duration_s=item.session_duration,
        origin=member.origin.body if member.origin is not None else None,
        location=root["$location"] if item.location is not None else None,
        events=events_from(member.event),
        extras=extras_of(root),
    )


def _identifiers(members: Sequence[Member], default_compartment: str) -> tuple[Identifier, ...]:
    """Those of all events in order, each once. Any number: each event may bring some, and none is left out."""
    found: dict[tuple[int, str, str], Identifier] = {}
    last = b""
    for member in members:
        if member.root == last:
            continue
        last = member.root
        for one in identifiers_in(last, default_compartment):
            known = found.setdefault((one.kind, one.namespace, one.value), one)
            if one.email and not known.email:
                found[one.kind, one.namespace, one.value] = one
    return tuple(found.values())


def _session_key(closed: Closed, channel_key: str) -> UUID:
    """The same log sent twice gives the same key; two sessions that differ in any byte do not (decision 13).

    Nor do two parts of one session that are equal in all of them: behind the first, a part's number is in its key.
    """
    first = closed.members[0]
    root = decode_fields(first.root)
    sent: Fields = {name: root[name] for name in IDENTIFIER_FIELDS if name in root and bytes(root[name]) != NULL}
    events = [member.event for member in closed.members]
    what = (b"part", closed.part.to_bytes(8, "big")) if closed.part else (b"session",)
    return generated_key(first.ts_ms, (*what, encode_fields(sent), channel_key.encode(), *events))


def _record_key(member: Member) -> UUID:
    """Two equal touches stay two: they are two records (decision 13)."""
    return generated_key(member.ts_ms, (b"record", member.sequence.to_bytes(8, "big")))
