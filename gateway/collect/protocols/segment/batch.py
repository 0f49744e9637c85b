"""From a body to its messages. The body decides, whatever `content-type` calls it.

Browsers send JSON as `text/plain` to spare a preflight, some SDKs as a form.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct

from gateway.collect.protocols.segment.auth import WRITE_KEY
from gateway.collect.protocols.segment.values import Fields, encoded, fields_of, id_of, is_null, list_of, object_of
from gateway.errors import RequestError

MAX_MESSAGES: Final = 10_000
"""Of one batch: they are taken in one step of the loop, and a body of the largest size would hold half a million
empty ones. SDKs send a hundred."""

SENT_AT: Final = "sentAt"


class Batch(Struct, frozen=True):
    """What one request brings.

    Attributes:
        messages: each as it was sent.
        key: the body's `writeKey`, or "".
        sent_at: when the sender's clock says that it sent this, encoded; of a single message its own.
        defaults: `context` and `integrations` of the batch, for those that do not say otherwise.
    """

    messages: Sequence[Raw]
    key: str
    sent_at: Raw | None
    defaults: Fields


def read_batch(body: bytes) -> Batch:
    """Take the body of a batch apart.

    Raises:
        RequestError: 400, it is no JSON object with a list `batch`, or the list is too long.
    """
    fields = _object(body)
    batch = fields.get("batch")
    if batch is None or bytes(batch)[:1] != b"[":
        raise RequestError(400, "no_batch", "the body has no list `batch`", path="$.batch")
    messages = list_of(batch)
    if len(messages) > MAX_MESSAGES:
        message = f"{len(messages)} messages, the limit is {MAX_MESSAGES}"
        raise RequestError(400, "too_many_messages", message, path="$.batch")
    defaults = {name: fields[name] for name in ("context", "integrations") if object_of(fields.get(name))}
    return Batch(messages, id_of(fields.get(WRITE_KEY)), fields.get(SENT_AT), defaults)


def read_single(body: bytes) -> Batch:
    """A body that is one message.

    Raises:
        RequestError: 400, it is no JSON object.
    """
    fields = _object(body)
    return Batch((Raw(body),), id_of(fields.get(WRITE_KEY)), fields.get(SENT_AT), {})


def with_defaults(fields: Fields, defaults: Fields) -> Fields:
    """A message with what its batch says for all: member by member, its own holds."""
    if not defaults:
        return fields
    merged = dict(fields)
    for name, default in defaults.items():
        own = fields.get(name)
        if is_null(own):
            merged[name] = default
        elif (members := fields_of(own)) is not None:
            merged[name] = encoded({**object_of(default), **members})
    return merged


def _object(body: bytes) -> Fields:
    fields = fields_of(body)
    if fields is None:
        raise RequestError(400, "invalid_json", "the body is not a JSON object")
    return fields
