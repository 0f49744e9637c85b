"""Hosts of addresses: what can be one at all, whatever a name server says of it (RFC 1123)."""

import re
from typing import Final

MAX_HOST_CHARS: Final = 253

# With `_`, which is no host name by the standard and one in many a private network.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def is_host(host: str) -> bool:
    """Whether this can be a host: a name, with a dot at its end or without, or an address; IPv6 without brackets."""
    if ":" in host:
        return True  # `urlsplit` has looked at it.
    name = host.removesuffix(".")
    return len(name) <= MAX_HOST_CHARS and all(_LABEL.fullmatch(label) for label in name.split("."))
