"""MD2 (RFC 1319), which hash libraries have given up: it is offered by the platform, so identifiers exist that need it.

The message is padded to blocks of 16 bytes, a checksum block is put behind it, and each block is mixed into a state of
48 bytes in 18 rounds by way of a table of 256 bytes, a permutation made of the digits of pi.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

_BLOCK: Final = 16
_ROUNDS: Final = 18


def md2(data: bytes) -> str:
    """The digest in lower-case hex."""
    table = _table()
    padding = _BLOCK - len(data) % _BLOCK
    padded = data + bytes([padding]) * padding
    state = bytearray(3 * _BLOCK)
    for start in range(0, len(padded), _BLOCK):
        _mix(state, padded[start : start + _BLOCK], table)
    _mix(state, _checksum(padded, table), table)
    return bytes(state[:_BLOCK]).hex()


def _checksum(padded: bytes, table: bytes) -> bytes:
    checksum = bytearray(_BLOCK)
    last = 0
    for start in range(0, len(padded), _BLOCK):
        for at in range(_BLOCK):
            checksum[at] ^= table[padded[start + at] ^ last]
            last = checksum[at]
    return bytes(checksum)


def _mix(state: bytearray, block: bytes, table: bytes) -> None:
    for at, byte in enumerate(block):
        state[_BLOCK + at] = byte
        state[2 * _BLOCK + at] = byte ^ state[at]
    last = 0
    for number in range(_ROUNDS):
        for at in range(3 * _BLOCK):
            last = state[at] = state[at] ^ table[last]
        last = (last + number) % 256


@cache
def _table() -> bytes:
    """The substitution table: the identity, shuffled by the digits of pi.

    A digit decides, for each place from the second on, which place at or before it to change with. Random numbers up to
    `n` come of as many digits as it takes, and those that would prefer some places are left out.
    """
    digits = _digits_of_pi()

    def below(bound: int) -> int:
        value, span = next(digits), 10
        while bound > span:
            value, span = value * 10 + next(digits), span * 10
        fair = span - span % bound
        return below(bound) if value >= fair else value % bound

    table = list(range(256))
    for place in range(1, 256):
        other = below(place + 1)
        table[place], table[other] = table[other], table[place]
    return bytes(table)


def _digits_of_pi() -> Iterator[int]:
    """3, 1, 4, 1, 5 …: Gibbons' spigot over Lambert's fraction, in whole numbers."""
    q, r, t, k, n, s = 1, 0, 1, 1, 3, 3
    while True:
        if 4 * q + r - t < n * t:
            yield n
            q, r, n = 10 * q, 10 * (r - n * t), (10 * (3 * q + r)) // t - 10 * n
        else:
            q, r, t, k, n, s = (
                q * k,
                (2 * q + r) * s,
                t * s,
                k + 1,
                (q * (7 * k) + 2 + r * s) // (t * s),
                s + 2,
            )
