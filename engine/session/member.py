"""From a journal record to what a session holds of it: its place, its bytes, and what the cut tests need to know.

Runs for every event. Total for what `accept` took: a property of the wrong type counts as absent, and nothing raises.
"""

from msgspec import Raw

from engine.model.activity import events_from
from engine.model.channel import ChannelSettings
from engine.model.event import properties_of
from engine.model.origin import Origin
from engine.model.record import Record
from engine.model.wire import Fields, decode_fields, text_of
from engine.session.attribution import address_of, is_direct, origin_of
from engine.session.closed import Member
from engine.session.domains import foreign_site


def member_of(record: Record, channel: ChannelSettings, like: Member | None = None) -> Member:
    """What a session or live window holds of an EVENT or LIVE record.

    Args:
        record: the record.
        channel: its channel's settings, of the version it was accepted under.
        like: another member of the same user. What is equal is held once: root fields and origins rarely change within
            a session, and are most of its bytes.
    """
    root = record.root
    if like is not None and like.root == root:
        root = like.root
        # What equal root fields say of an origin is nothing, too.
        if like.origin is None and _is_direct(record.event, channel):
            return Member(
                record.ts_ms,
                record.sequence,
                record.arrival_ms,
                record.weight,
                record.process,
                root,
                record.event,
                None,
                "",
                record.channel_version,
            )
    origin, referrer = _attributed(_sent_origin(root), properties_of(record.event), channel)
    if like is not None and like.origin == origin:
        origin = like.origin
    return Member(
        record.ts_ms,
        record.sequence,
        record.arrival_ms,
        record.weight,
        record.process,
        root,
        record.event,
        origin,
        referrer,
        record.channel_version,
    )


def item_member(record: Record, channel: ChannelSettings | None) -> Member:
    """What leaves for an ITEM record: the whole activity as sent, with the origin it points to (decision 21).

    Args:
        record: the record; its `event` is the JSON array of the item's events.
        channel: settings of the item's channel, or None for an item without one.
    """
    origin, _ = _attributed(_sent_origin(record.root), {}, None)
    if origin is None:
        for event in events_from(record.event):
            origin, _ = _attributed(None, _object(event.fields().get("$properties")), channel)
            if origin is not None:
                break
    return bare_member(record, origin)


def bare_member(record: Record, origin: Origin | None = None) -> Member:
    """What a record says by itself, as it was sent; nothing in it is looked at."""
    return Member(
        ts_ms=record.ts_ms,
        sequence=record.sequence,
        arrival_ms=record.arrival_ms,
        weight=record.weight,
        process=record.process,
        root=record.root,
        event=record.event,
        origin=origin,
        referrer="",
        channel_version=record.channel_version,
    )


def _attributed(sent: Fields | None, properties: Fields, channel: ChannelSettings | None) -> tuple[Origin | None, str]:
    """The origin of an event, and the site of its referrer where that is foreign."""
    if not properties and sent is None:
        return None, ""
    url = text_of(properties.get("$url"))
    referrer = text_of(properties.get("$referrer"))
    foreign = ""
    if referrer:
        domain, aliases = (channel.domain, channel.aliases) if channel is not None else ("", ())
        foreign = foreign_site(referrer, url, domain, aliases)
    return origin_of(sent, properties, url, referrer if foreign else ""), foreign


def _is_direct(event: bytes, channel: ChannelSettings) -> bool:
    """Whether an event points to no origin and comes from no other site, told in a third of the time that `_attributed`
    takes: most events of a visit. False says nothing."""
    address = address_of(event)
    if address is None:
        return False
    url, referrer = address
    return is_direct(url) and (not referrer or not foreign_site(referrer, url, channel.domain, channel.aliases))


def _sent_origin(root: bytes) -> Fields | None:
    # The search is quicker than the parse, which most items would go through in vain.
    return _object(decode_fields(root).get("$origin")) if b'"$origin"' in root else None


def _object(value: Raw | None) -> Fields:
    return decode_fields(value) if value is not None and bytes(value).startswith(b"{") else {}
