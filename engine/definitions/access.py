"""Who may call: secret API tokens with scopes, and the public tokens of channels and datamarts (decision 39).

An API token is kept as its SHA-256. Neither salt nor a slow hash would add anything: those protect passwords, which
can be guessed. A token that the engine makes has 256 bits of chance, and no list of hashes helps to guess one. A token
that an operator chooses is as strong as it is long and random.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct

from engine.definitions.registry import Registry

MAX_TOKEN_CHARS: Final = 512
"""Longer ones are no token, and are not hashed to find out."""

MAX_REMEMBERED: Final = 1024
"""Tokens whose access is remembered as long as the keyring lives: senders use one for millions of requests."""

FIRST_TOKEN: Final = "first"
"""Name of the admin token that the settings give or the first start makes; there is one of them."""


class Scope(StrEnum):
    """What a token allows; `admin` includes the others."""

    COLLECT = "collect"
    READ = "read"
    ADMIN = "admin"


class ApiToken(Struct, frozen=True, kw_only=True):
    """A secret token as it is kept: without the secret.

    Attributes:
        hash: SHA-256 of the token.
        name: for people; what logs call the caller.
        scopes: what it allows.
        datamart: the one it is for, or None for all.
        created_ms: wall time.
    """

    hash: bytes
    name: str
    scopes: tuple[Scope, ...]
    datamart: int | None = None
    created_ms: int = 0


class Access(Struct, frozen=True):
    """What a caller may do.

    Attributes:
        name: of the token; for a public one, what it belongs to.
        scopes: as the token has them.
        datamart: the one it is for, or None for all.
        channel: key of the channel whose public token it is, or "".
    """

    name: str
    scopes: tuple[Scope, ...]
    datamart: int | None
    channel: str = ""

    def allows(self, scope: Scope | str, datamart: int | None) -> bool:
        """Whether the caller may do this in the datamart; with None, in all of them."""
        if self.datamart is not None and self.datamart != datamart:
            return False
        return scope in self.scopes or (Scope.ADMIN in self.scopes and scope in tuple(Scope))


class Keyring:
    """The tokens of an installation.

    Args:
        tokens: the API tokens that are valid.
        registry: knows the public ones.
    """

    def __init__(self, tokens: Iterable[ApiToken], registry: Registry) -> None:
        self._tokens = tuple(tokens)
        self._registry = registry
        self._allowed: dict[tuple[str, str, int | None], Access] = {}

    def find(self, token: str) -> Access | None:
        """What this token allows; None for one that is not known."""
        if not token or len(token) > MAX_TOKEN_CHARS:
            return None
        public = self._registry.by_token(token)
        if public is not None:
            key = public.channel.key if public.channel else ""
            return Access(f"public:{public.datamart}/{key}", (Scope.COLLECT,), public.datamart, key)
        digest = hash_token(token)
        found: ApiToken | None = None
        # All are compared, each in constant time: how long it takes says nothing about which one is near.
        for one in self._tokens:
            if hmac.compare_digest(one.hash, digest):
                found = one
        return Access(found.name, found.scopes, found.datamart) if found else None

    def authorize(self, token: str, *, scope: Scope | str, datamart: int | None) -> Access | None:
        """The caller's access when the token allows this; None when it does not, or is not known."""
        found = self._allowed.get((token, scope, datamart))
        if found is not None:
            return found
        access = self.find(token)
        if access is None or not access.allows(scope, datamart):
            return None
        if len(self._allowed) >= MAX_REMEMBERED:
            self._allowed.clear()
        self._allowed[token, scope, datamart] = access
        return access


def hash_token(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@lru_cache(MAX_REMEMBERED)
def parse_authorization(header: str) -> str | None:
    """The token of an `Authorization` header: `<token>`, `api:<token>` or `Bearer <token>`; None for anything else."""
    text = header.strip()
    scheme, _, rest = text.partition(" ")
    if rest and scheme.lower() == "bearer":
        text = rest.strip()
    elif text.startswith("api:"):
        text = text.removeprefix("api:")
    if not text or len(text) > MAX_TOKEN_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        return None
    return text


class FirstToken(Struct, frozen=True):
    """What becomes of the first admin token at a start.

    Attributes:
        save: the token to keep, or None when it is kept already.
        remove: those that it replaces.
        show: the token itself, when it was made now: it is printed once and never known again.
    """

    save: ApiToken | None = None
    remove: tuple[ApiToken, ...] = ()
    show: str | None = None


def first_token(stored: Iterable[ApiToken], given: str, *, new_token: Callable[[], str], created_ms: int) -> FirstToken:
    """See to it that there is an admin token.

    Args:
        stored: the API tokens that are kept.
        given: the admin token of the settings, or "". Another than before replaces it, so that a leaked one can be
            changed; taking it away changes nothing.
        new_token: makes one, when none is given and none is kept.
        created_ms: wall time.
    """
    kept = [one for one in stored if Scope.ADMIN in one.scopes and one.datamart is None]
    if (not given and kept) or any(given and hmac.compare_digest(one.hash, hash_token(given)) for one in kept):
        return FirstToken()
    token = given or new_token()
    save = ApiToken(hash=hash_token(token), name=FIRST_TOKEN, scopes=(Scope.ADMIN,), created_ms=created_ms)
    replaced = tuple(one for one in kept if one.name == FIRST_TOKEN)
    return FirstToken(save=save, remove=replaced, show=None if given else token)
