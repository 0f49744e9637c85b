"""How agent ids are built (mediarithmics 1.5): `vec:<n>`, `net:<registry>:<id>`, `mob:<platform>:raw:<id>`, …"""

from typing import Final

_REGISTRY_PARTS: Final = {"vec": 1, "etag": 1, "net": 2, "mob": 2}
"""How many leading parts name the registry. Other prefixes do not: a bare id may hold a colon (an IPv6 address)."""


def split_agent(user_agent_id: str) -> tuple[str, str]:
    """The registry and the id within it: `net:9:12345` is ("net:9", "12345"); a bare id is of the registry ""."""
    parts = user_agent_id.split(":")
    registry_parts = _REGISTRY_PARTS.get(parts[0], 0)
    if registry_parts == 0 or len(parts) <= registry_parts:
        return "", user_agent_id
    id_parts = parts[registry_parts:]
    if parts[0] == "mob" and len(id_parts) > 1:
        del id_parts[0]  # How the id is written: raw, or hashed.
    return ":".join(parts[:registry_parts]), ":".join(id_parts)
