"""One XO activity as one of ours: a pure function of its bytes (facts: wire-protocols F; decisions 1, 9, 42).

    action, target     name of the event, by the table in `mapping.toml`; `opposite` takes an action back, so it keeps
                       its own name: a purchase undone is no transaction
    timestamp          time of the event, to the millisecond; without one it is the arrival
    target.product,    `$items`, of the actions that the table says: `[{"$id", "$price", "$qty"}]`, the price in units
      metadata.price,    of the currency: a hundredth of the cents that are sent, whatever the currency
      metadata.quantity
    user.identities    `$user_identifiers`: the session id is an agent, as it is, so that whoever sends the same id by
                       another protocol is the same visitor; the shop's customer number is an account of the default
                       compartment; an e-mail is one, and a raw address is hashed; any other is an account in the
                       compartment of its name, in lower case as XO's own library writes it

Every member of the activity, known or not, is a property of the event too, as it was sent. An activity has no id of its
own. XO's library never sends one again; who does, and wants it stored once, sends `Idempotency-Key`.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from engine import CallerError, ChannelSettings
from gateway.collect.protocols.xo.mapping import folded, kind_of, row_of

MAX_EMAIL_CHARS: Final = 254
"""What a mail server takes (RFC 5321)."""

MAX_NUMBER_CHARS: Final = 24
"""Of a price: more digits than money has, and few enough to be divided exactly."""

MAX_EXPONENT: Final = 15
"""Of a price: `1e99` is short, and is written out with a hundred digits."""

PRODUCT: Final = "product"

Fields = dict[str, Raw]
"""A JSON object whose values stay encoded."""


class _User(Struct):
    identities: Fields


class _Sent(Struct):
    """What of an activity is acted on; null is absent."""

    action: Annotated[str, Meta(min_length=1, max_length=255)]
    target: Fields
    user: _User
    metadata: Fields | None = None
    timestamp: str | None = None
    opposite: bool | None = None


_sent_decoder: Final = msgspec.json.Decoder(_Sent)
_fields_decoder: Final = msgspec.json.Decoder(Fields)
_text_decoder: Final = msgspec.json.Decoder(str)
_encode: Final = msgspec.json.Encoder().encode

_PLACE: Final = re.compile(r" - at `(.+)`$", re.DOTALL)
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_HASH: Final = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_NULL: Final = Raw(b"null")
_NOTHING: Final = (_NULL, Raw(b'""'))


def item_of(activity: bytes, channel: ChannelSettings, more: Fields) -> bytes:
    """The item that the engine takes for an activity.

    Args:
        activity: its JSON, as sent.
        channel: the tracker key's.
        more: further root fields, such as `$location`.

    Raises:
        CallerError: it cannot be one: a code, and the JSON path to the fault.
    """
    sent, members = _read(activity)
    row = row_of(sent.action, map(folded, sent.target), has_source=members.get("sourceId", _NULL) not in _NOTHING)
    event: dict[str, Any] = {"$event_name": sent.action if sent.opposite else row.event or sent.action}
    if sent.timestamp is not None:
        event["$ts"] = _time_ms(sent.timestamp)
    items = _items(sent) if row.has_items else []
    event["$properties"] = {"$items": items, **members} if items else members
    return _encode(
        {
            "$type": channel.activity_type,
            "$session_status": "IN_SESSION",
            channel.id_field: channel.id,
            "$user_identifiers": _identifiers(sent.user.identities),
            **more,
            "$events": [event],
        }
    )


def _read(activity: bytes) -> tuple[_Sent, Fields]:
    try:
        return _sent_decoder.decode(activity), _fields_decoder.decode(activity)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PLACE.search(text)
        raise CallerError(_PLACE.sub("", text), code="bad_field", path=found[1] if found else "$") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallerError(str(error), code="bad_json", path="$") from None
    except RecursionError:
        raise CallerError("arrays and objects are nested too deeply", code="nesting_too_deep", path="$") from None


def _items(sent: _Sent) -> list[dict[str, Any]]:
    product = next((value for name, value in sent.target.items() if folded(name) == PRODUCT), None)
    found = _id_of(product, "$.target.product") if product is not None else ""
    if not found:
        return []
    metadata = sent.metadata or {}
    item: dict[str, Any] = {"$id": found}
    price = metadata.get("price")
    cents = _number(price) if price is not None else None
    if cents is not None:
        item["$price"] = Raw(format(cents.scaleb(-2).normalize(), "f").encode())
    quantity = metadata.get("quantity")
    if quantity is not None and _number(quantity) is not None:
        item["$qty"] = quantity
    return [item]


def _identifiers(identities: Fields) -> list[dict[str, str]]:
    """In their order; what is null or empty names nobody."""
    found: list[dict[str, str]] = []
    for name, value in identities.items():
        text = _id_of(value, f"$.user.identities.{name}")
        identifier = _identifier(name, text) if text else None
        if identifier is not None:
            found.append(identifier)
    if not found:
        raise CallerError("no identity names anybody", code="no_user_identifier", path="$.user.identities")
    return found


def _identifier(name: str, value: str) -> dict[str, str] | None:
    kind = kind_of(name)
    if kind == "agent":
        return {"$type": "USER_AGENT", "$user_agent_id": value}
    if kind == "account":
        return {"$type": "USER_ACCOUNT", "$user_account_id": value}
    if kind == "email":
        if "@" in value:
            return {"$type": "USER_EMAIL", "$email": value} if len(value) <= MAX_EMAIL_CHARS else None
        # Taken for an address, `n/a` would make one person of many.
        return {"$type": "USER_EMAIL", "$hash": value} if _HASH.fullmatch(value) else None
    return {"$type": "USER_ACCOUNT", "$compartment_id": name.lower(), "$user_account_id": value}


def _id_of(value: Raw, path: str) -> str:
    """An id, sent as text or as a number; "" for null."""
    encoded = bytes(value)
    text = "" if encoded == b"null" else _text_of(encoded)
    if text is None:
        raise CallerError("an id is text", code="bad_field", path=path)
    return text


def _text_of(encoded: bytes) -> str | None:
    """The text of a JSON string, or a number as it was written; None for anything else."""
    if not encoded.startswith(b'"'):
        text = encoded.decode("utf-8", "replace")
        return text if _NUMBER.fullmatch(text) else None
    try:
        return _text_decoder.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _number(value: Raw) -> Decimal | None:
    """A number, also one that tag managers send as text; None for anything else."""
    text = _text_of(bytes(value)) or ""
    if len(text) > MAX_NUMBER_CHARS or not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return number if abs(number.adjusted()) <= MAX_EXPONENT else None


def _time_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().upper())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        # Integers all the way: a float of seconds loses milliseconds.
        ts_ms = (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        ts_ms = -1
    if ts_ms < 0:
        raise CallerError("not a time in ISO 8601, or one before 1970", code="bad_field", path="$.timestamp")
    return ts_ms
