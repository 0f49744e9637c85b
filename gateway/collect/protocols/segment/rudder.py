"""What RudderStack does otherwise: larger batches, one more call, a beacon, a pixel, and a few addresses of its server.

Its clients post to the same paths as Segment's, and both are content with one answer: 200 with JSON. What its server
answers in text is read by no client.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Raw, Struct

from gateway.collect.protocols.segment.values import encoded, object_of, text_of

PIXEL_KINDS: Final = ("track", "page")

NAMELESS_PAGE: Final = "Unknown Page"
"""What a pixel's page is called whose `name` is empty."""

MAX_PATH_PARTS: Final = 8
"""Of a dotted parameter such as `context.page.url`; deeper than anything that is documented."""

_NOT_IN_MESSAGE: Final = ("writeKey", "explain")

_CHANNELS: Final = ("server", "web", "mobile", "sources")


class Dialect(Struct, frozen=True):
    """Which of the two a request speaks, and how much it may bring.

    Attributes:
        protocol: label of counters and stage of dead letters.
        max_batch_bytes: of a body, inflated.
        max_message_bytes: of one message in it.
        status_of_too_large: what a larger body is answered.
    """

    protocol: str
    max_batch_bytes: int
    max_message_bytes: int
    status_of_too_large: int


SEGMENT: Final = Dialect("segment", 500 * 1024, 32 * 1024, 400)
RUDDER: Final = Dialect("rudder", 4000 * 1024, 4000 * 1024, 413)


def dialect_of(headers: Mapping[str, str], messages: Sequence[Raw]) -> Dialect:
    """Which of the two sent this: RudderStack's clients have headers of their own, or say by what `channel` they came.

    Its Python client calls itself what Segment's does, so its name alone says nothing.
    """
    if "anonymousid" in headers or "x-rudder-source-id" in headers:
        return RUDDER
    first = object_of(messages[0]) if messages else {}
    if text_of(first.get("channel")) in _CHANNELS:
        return RUDDER
    library = object_of(object_of(first.get("context")).get("library"))
    return RUDDER if "rudder" in text_of(library.get("name")).lower() else SEGMENT


def pixel_message(query: Mapping[str, Sequence[str]]) -> bytes:
    """The message that a pixel's parameters make: a dot leads into an object, so `properties.sku=a` is a property.

    Args:
        query: parameter → values; the first counts.
    """
    message: dict[str, Any] = {"channel": "web"}
    for name, values in query.items():
        if name in _NOT_IN_MESSAGE:
            continue
        value = values[0]
        if name == "anonymousId" and len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        *parents, last = name.split(".", MAX_PATH_PARTS - 1)
        at: Any = message
        for part in parents:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                break
        if isinstance(at, dict):
            at[last] = value
    if message.get("name") == "":
        message["name"] = NAMELESS_PAGE
    return bytes(encoded(message))
