"""The image is one, and a transparent one: read by a parser of our own."""

import struct

from gateway.collect.protocols.pixels.gif import PIXEL, gif, gif_refusal
from gateway.errors import RequestError


def decoded(data: bytes) -> tuple[int, int, list[int], int | None]:
    """Width, height, colour indices and the transparent one, of a GIF with one image (GIF89a specification)."""
    assert data[:6] == b"GIF89a"
    width, height, flags = struct.unpack("<HHB", data[6:11])
    at = 13 + (3 << ((flags & 7) + 1)) * (flags >> 7)
    transparent: int | None = None
    pixels: list[int] = []
    while data[at] != 0x3B:
        if data[at] == 0x21:  # An extension: label, then blocks.
            if data[at + 1] == 0xF9 and data[at + 3] & 1:
                transparent = data[at + 6]
            at += 2
        else:
            assert data[at] == 0x2C
            at += 10
            least_bits, at = data[at], at + 1
            blocks = b""
            start = at
            while data[start]:
                blocks += data[start + 1 : start + 1 + data[start]]
                start += 1 + data[start]
            pixels = _unpacked(blocks, least_bits)
        while data[at]:
            at += 1 + data[at]
        at += 1
    assert at == len(data) - 1
    return width, height, pixels, transparent


def _unpacked(blocks: bytes, least_bits: int) -> list[int]:
    """LZW whose codes never grow: enough for so few pixels."""
    bits = int.from_bytes(blocks, "little")
    codes = [bits >> (least_bits + 1) * n & ((2 << least_bits) - 1) for n in range(len(blocks) * 8 // (least_bits + 1))]
    clear, end = 1 << least_bits, (1 << least_bits) + 1
    assert codes[0] == clear
    return codes[1 : codes.index(end)]


def test_it_is_one_transparent_dot_in_43_bytes():
    assert decoded(PIXEL) == (1, 1, [0], 0)
    assert len(PIXEL) == 43


def test_pages_that_isolate_themselves_may_load_it():
    assert ("cross-origin-resource-policy", "cross-origin") in gif().headers


def test_a_fault_of_ours_is_no_success(capsys):
    assert gif_refusal(ZeroDivisionError()).status == 500
    assert gif_refusal(RequestError(404, "gone", "gone")).status == 200
    assert gif_refusal(RequestError(429, "fast", "fast", headers={"retry-after": "7"})).headers[-1] == (
        "retry-after",
        "7",
    )
