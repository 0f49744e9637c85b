"""Where a message comes from: the address that it names, or that of the device which sent it.

A server that sends for its users names their address in `context.ip`, or none: its own says nothing about them.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

from msgspec import Raw

from gateway.collect.collect import Collect
from gateway.collect.protocols.segment.values import Fields, object_of, text_of
from gateway.collect.request import Request

_NOWHERE: Mapping[str, Raw] = {}

_LIBRARIES_OF_DEVICES: Final = (
    *("analytics.js", "analytics-next", "javascript", "ios", "swift", "android", "kotlin"),
    *("react-native", "reactnative", "flutter", "unity", "xamarin"),
)
"""Parts of the names of client libraries that run on a visitor's own device."""


def is_browser(headers: Mapping[str, str]) -> bool:
    """Whether a page sent this request."""
    return "origin" in headers or headers.get("user-agent", "").startswith("Mozilla/")


class Places:
    """Places of the messages of one request.

    Args:
        collect: knows where addresses are.
        request: of the messages.
    """

    def __init__(self, collect: Collect, request: Request) -> None:
        self._collect = collect
        self._client = request.client
        self._is_browser = is_browser(request.headers)
        self._known: dict[str, Mapping[str, Raw]] = {}

    def __call__(self, fields: Fields, context: Fields) -> Mapping[str, Raw]:
        """Root fields that tell where a message comes from.

        Args:
            fields: its members.
            context: those of its `context`.
        """
        named = text_of(context.get("ip"))
        if named:
            return self._at(named) if _is_address(named) else _NOWHERE
        if self._is_browser or text_of(fields.get("channel")) in ("web", "mobile") or _is_of_device(context):
            return self._at(self._client)
        return _NOWHERE

    def _at(self, address: str) -> Mapping[str, Raw]:
        if address not in self._known:
            self._known[address] = self._collect.place(address)
        return self._known[address]


def _is_address(text: str) -> bool:
    """Whether it is the address of something: `0.0.0.0` is sent to say nothing."""
    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False


def _is_of_device(context: Fields) -> bool:
    library = text_of(object_of(context.get("library")).get("name")).lower()
    return any(part in library for part in _LIBRARIES_OF_DEVICES)
