"""Identifier values that name nobody (decision 1): `null`, `guest`, all zeros, and their hashes sent as an e-mail's.

One such value taken at its word would link every visitor of a broken page into one person.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from engine.identity.agents import split_agent
from engine.model.identifiers import Identifier, IdentifierKind
from engine.model.identity_rules import PLACEHOLDERS

_AROUND_ZEROS: Final = "0-:. {}"
_DIGESTS: Final = (hashlib.sha256, hashlib.md5, hashlib.sha1)
_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (str, str.lower, str.upper, str.capitalize, str.title)


class Placeholders:
    """The placeholders of an installation.

    Args:
        texts: values that are placeholders, in any case.
        zeros: whether a value of zeros only (and separators between them) is one.
    """

    __slots__ = ("_hashes", "_texts", "_zeros")

    def __init__(self, texts: Iterable[str] = PLACEHOLDERS, *, zeros: bool = True) -> None:
        self._texts = frozenset(text.strip().lower() for text in texts) | {""}
        self._zeros = zeros
        self._hashes = frozenset(_hashes_of(self._texts | ({"0"} if zeros else set())))

    def __contains__(self, identifier: Identifier) -> bool:
        """Whether the identifier names nobody: then it must neither link nor merge anything."""
        if identifier.kind is IdentifierKind.AGENT:
            return self._is_empty(split_agent(identifier.value)[1])
        if identifier.kind is IdentifierKind.EMAIL and identifier.value in self._hashes:
            return True
        return self._is_empty(identifier.value)

    def _is_empty(self, value: str) -> bool:
        text = value.strip().lower()
        return text in self._texts or (self._zeros and not text.strip(_AROUND_ZEROS) and "0" in text)


def _hashes_of(texts: Iterable[str]) -> Iterator[str]:
    """What a sender that hashes by itself makes of a placeholder, in the spellings that occur."""
    for text in texts:
        for spelling in _SPELLINGS:
            for digest in _DIGESTS:
                yield digest(spelling(text).encode(), usedforsecurity=False).hexdigest()
