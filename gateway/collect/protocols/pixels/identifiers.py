"""Whom an event says it is from: the parameters that identify, as elements of `$user_identifiers` (mediarithmics 4.2).

The type codes of `$uids` are not documented but for `EM` with `$eh`; the others go by the names of the parameters:

    EM  e-mail    `$eh` hash, `$email` raw
    AC  account   `$cuid`, with `$comp_token` (a compartment's token) or `$comp` (its token or its id)
    UA  agent     `$uaid`

An element with `$type` is the engine's own and goes through as it is.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from gateway.collect.protocols.pixels.parameters import Parameters, structure, text_of
from gateway.errors import RequestError

MAX_IDENTIFIERS: Final = 32
"""In one list: as many as the engine takes of one activity."""

LONG_NAMES: Final = frozenset({"$user_account_id", "$compartment_id", "$user_agent_id", "$email", "$email_hash"})
"""Names that the platform's own activities use too."""

NAMES: Final = LONG_NAMES | {"$cuid", "$comp_token", "$uaid", "$uids", "$user_identifiers"}
"""All parameters that identify."""

Compartments = Callable[[str], str | None]
"""A compartment's token → its id; None for a token that is not known."""

_lists = msgspec.json.Decoder(list[Raw])
_objects = msgspec.json.Decoder(dict[str, Raw])


def identifiers_of(parameters: Parameters, compartments: Compartments) -> list[Any]:
    """Elements of `$user_identifiers`, those of lists first; empty when nobody is named.

    Raises:
        RequestError: 400, `bad_identifier`, `unknown_compartment` or `bad_parameter`, with the parameter's name.
    """
    if NAMES.isdisjoint(parameters):
        return []
    found: list[Any] = []
    for name in ("$user_identifiers", "$uids"):
        value = structure(parameters, name)
        if value is not None:
            found += [_element(one, f"{name}[{index}]", compartments) for index, one in enumerate(_list(name, value))]
    if user := text_of(parameters, "$cuid") or text_of(parameters, "$user_account_id"):
        token, compartment = text_of(parameters, "$comp_token"), text_of(parameters, "$compartment_id")
        found.append(_account(user, _by_token(token, "$comp_token", compartments) if token else compartment))
    if email := _email(parameters):
        found.append(email)
    if agent := text_of(parameters, "$uaid") or text_of(parameters, "$user_agent_id"):
        found.append(_agent(agent))
    return found


def names_agent(identifiers: list[Any]) -> bool:
    """Whether one of them is a device or browser."""
    return any(_kind(one) == "USER_AGENT" for one in identifiers)


def _kind(identifier: Mapping[str, Any] | Raw) -> str:
    fields: Mapping[str, Any] = _objects.decode(identifier) if isinstance(identifier, Raw) else identifier
    kind = fields.get("$type", "")
    return text_of({"": kind}, "") if isinstance(kind, Raw) else str(kind)


def _list(name: str, value: Raw) -> list[Raw]:
    try:
        found = _lists.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad(name, f"`{name}` must be a list of objects") from None
    if len(found) > MAX_IDENTIFIERS:
        raise RequestError(400, "too_many_identifiers", f"`{name}` has more than {MAX_IDENTIFIERS}", path=name)
    return found


def _element(value: Raw, place: str, compartments: Compartments) -> Mapping[str, Any] | Raw:
    try:
        fields = _objects.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _bad(place, "an identifier is an object") from None
    if "$type" in fields:
        if not bytes(fields["$type"]).startswith(b'"'):
            raise _bad(place, "`$type` must be text")
        return value
    try:
        made = _coded(fields, compartments)
    except RequestError as error:  # It names a key of the element.
        path = place if error.path == place else f"{place}.{error.path}"
        raise RequestError(400, error.code, error.message, path=path) from None
    if made is None:
        raise _bad(place, "unknown identifier: `$tpe` must be EM with `$eh`, AC with `$cuid`, or UA with `$uaid`")
    return made


def _coded(fields: Parameters, compartments: Compartments) -> Mapping[str, Any] | None:
    code = text_of(fields, "$tpe").upper()
    if code == "EM":
        hashed, raw = text_of(fields, "$eh"), text_of(fields, "$email")
        return _hashed(hashed, raw) if hashed or raw else None
    if code == "AC" and (user := text_of(fields, "$cuid")):
        if token := text_of(fields, "$comp_token"):
            return _account(user, _by_token(token, "$comp_token", compartments))
        named = text_of(fields, "$comp")
        return _account(user, (compartments(named) or named) if named else "")
    if code == "UA" and (agent := text_of(fields, "$uaid")):
        return _agent(agent)
    return None


def _email(parameters: Parameters) -> Mapping[str, str] | None:
    raw = text_of(parameters, "$email")
    value = structure(parameters, "$email_hash")
    if value is None:
        return _hashed("", raw) if raw else None
    if not bytes(value).startswith(b"{"):
        return _hashed(text_of({"$email_hash": value}, "$email_hash"), raw)
    fields = _objects.decode(value)
    hashed, raw = text_of(fields, "$hash"), text_of(fields, "$email") or raw
    return _hashed(hashed, raw) if hashed or raw else None


def _hashed(hashed: str, raw: str) -> Mapping[str, str]:
    return {
        "$type": "USER_EMAIL",
        **({"$hash": hashed} if hashed else {}),
        **({"$email": raw} if raw else {}),
    }


def _account(user: str, compartment: str) -> Mapping[str, str]:
    named = {"$compartment_id": compartment} if compartment else {}
    return {"$type": "USER_ACCOUNT", **named, "$user_account_id": user}


def _agent(agent: str) -> Mapping[str, str]:
    return {"$type": "USER_AGENT", "$user_agent_id": agent}


def _by_token(token: str, name: str, compartments: Compartments) -> str:
    compartment = compartments(token)
    if compartment is None:
        raise RequestError(400, "unknown_compartment", f"no compartment has the token of `{name}`", path=name)
    return compartment


def _bad(place: str, message: str) -> RequestError:
    return RequestError(400, "bad_identifier", message, path=place)
