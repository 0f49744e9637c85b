"""Writes small databases in MaxMind's format, version 2.0, as its specification describes it.

A binary tree over the bits of addresses (IPv4 ones behind 96 zeros), whose leaves point into a data section.
"""

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
RECORD_BITS = 32

_DOUBLE, _MAP, _UINT16, _UINT32, _UINT64, _ARRAY, _BOOLEAN, _TEXT = 3, 7, 5, 6, 9, 11, 14, 2
_Node = list[Any]


class Encoded(bytes):
    """A value that is encoded already: of numbers the format has several widths, and readers want the right one."""


def write(path: Path, networks: Mapping[str, Mapping[str, Any]], *, ip_version: int = 6) -> Path:
    """Write a database.

    Args:
        path: of the file.
        networks: network → its record; none lies within another.
        ip_version: 4 for a database that knows no IPv6.
    """
    root: _Node = [None, None]
    data = bytearray()
    for network, record in networks.items():
        _insert(root, ipaddress.ip_network(network), len(data), ip_version)
        data += encoded(record)
    nodes = _numbered(root)
    metadata = {
        "binary_format_major_version": Encoded(_unsigned(_UINT16, 2)),
        "binary_format_minor_version": Encoded(_unsigned(_UINT16, 0)),
        "build_epoch": Encoded(_unsigned(_UINT64, 1_700_000_000)),
        "database_type": "Test-City",
        "description": {"en": "made by a test"},
        "ip_version": Encoded(_unsigned(_UINT16, ip_version)),
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": Encoded(_unsigned(_UINT16, RECORD_BITS)),
    }
    tree = b"".join(struct.pack(">II", *(_record(child, nodes) for child in node)) for node in nodes.values())
    path.write_bytes(tree + bytes(16) + bytes(data) + MARKER + encoded(metadata))
    return path


def encoded(value: Any) -> bytes:
    """A value of the data section. Whole numbers are 32 bits wide, where nobody has said otherwise."""
    if isinstance(value, Encoded):
        return bytes(value)
    if isinstance(value, bool):
        return _head(_BOOLEAN, int(value))
    if isinstance(value, str):
        text = value.encode()
        return _head(_TEXT, len(text)) + text
    if isinstance(value, float):
        return _head(_DOUBLE, 8) + struct.pack(">d", value)
    if isinstance(value, int):
        return _unsigned(_UINT32, value)
    if isinstance(value, Mapping):
        return _head(_MAP, len(value)) + b"".join(encoded(name) + encoded(one) for name, one in value.items())
    return _head(_ARRAY, len(value)) + b"".join(encoded(one) for one in value)


def _unsigned(kind: int, value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _head(kind, len(digits)) + digits


def _head(kind: int, size: int) -> bytes:
    """Type and size; types above 7 are told in a second byte, sizes above 28 behind that."""
    short, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    assert size < 29 + 256, "longer than a test needs"
    return bytes([short if kind > 7 else kind << 5 | short]) + (bytes([kind - 7]) if kind > 7 else b"") + more


def _insert(root: _Node, network: Any, offset: int, ip_version: int) -> None:
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    if network.version == 4 and ip_version == 6:
        bits = "0" * 96 + bits
    node = root
    for bit in bits[:-1]:
        if node[int(bit)] is None:
            node[int(bit)] = [None, None]
        node = node[int(bit)]
    node[int(bits[-1])] = offset


def _numbered(root: _Node) -> dict[int, _Node]:
    """The nodes by their identity, in the order in which they are written."""
    nodes = {id(root): root}
    waiting = [root]
    for node in waiting:
        inner = [child for child in node if isinstance(child, list)]
        nodes |= {id(child): child for child in inner}
        waiting += inner
    return nodes


def _record(child: Any, nodes: Mapping[int, _Node]) -> int:
    """What a node says of one bit: nothing is known, another node, or a place behind the separator of 16 bytes."""
    count = len(nodes)
    if child is None:
        return count
    return list(nodes).index(id(child)) if isinstance(child, list) else count + 16 + child
