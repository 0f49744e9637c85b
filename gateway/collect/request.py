"""A request as protocol code sees it, whichever server read it."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl

from msgspec import Struct

from gateway.errors import RequestError

MAX_QUERY_FIELDS = 256
"""Parameters of one request. A pixel has one for each property; a hostile query is not taken apart beyond this."""

MAX_REMEMBERED = 256
"""Texts of datamart ids that need not be read again; an installation has a handful."""

MAX_DATAMART = 2**32 - 1
"""A datamart id is four bytes of every key of the store: a larger one cannot exist."""

_NO_PARAMS: Mapping[str, str] = {}


class Request(Struct, kw_only=True):
    """One request, read whole. Nobody changes one; it is not frozen because its query is taken apart when asked for.

    Attributes:
        method: upper case.
        path: as it was sent, without the query, percent-encoded.
        raw_query: as it was sent, behind the `?`.
        params: the named segments of the route's pattern, decoded.
        headers: lower-case name → value; a repeated header's values joined by ", ".
        body: inflated: what `content-encoding` said is undone.
        compressed_body: the body as it was sent, where it was compressed; else None.
        client: address of the client, or "": the peer's, or what a trusted proxy says.
        secure: whether it came over TLS, to us or to a trusted proxy.
    """

    method: str = "GET"
    path: str = "/"
    raw_query: str = ""
    params: Mapping[str, str] = _NO_PARAMS
    headers: Mapping[str, str] = _NO_PARAMS
    body: bytes = b""
    compressed_body: bytes | None = None
    client: str = ""
    secure: bool = False
    _query: "Mapping[str, tuple[str, ...]] | None" = None

    @property
    def query(self) -> Mapping[str, tuple[str, ...]]:
        """Parameter → its values in order, form-decoded.

        Raises:
            RequestError: 400, more than `MAX_QUERY_FIELDS` parameters.
        """
        if self._query is None:
            self._query = parse_query(self.raw_query) if self.raw_query else {}
        return self._query

    def parameter(self, name: str) -> str | None:
        """The query parameter of this name, or None when it was not sent.

        Raises:
            RequestError: 400, it was sent twice: whichever we took could be the wrong one.
        """
        values = self.query.get(name, ())
        if len(values) > 1:
            raise RequestError(400, "bad_parameter", f"`{name}` was sent more than once", path=name)
        return values[0] if values else None

    def flag(self, name: str) -> bool | None:
        """A query parameter that is `true` or `false`, or None when it was not sent.

        Raises:
            RequestError: 400, any other value.
        """
        value = self.parameter(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise RequestError(400, "bad_parameter", f"`{name}` must be true or false", path=name)
        return value == "true"

    def datamart(self) -> int:
        """The datamart that the path names.

        Raises:
            RequestError: 404, no datamart can have this id.
        """
        return parse_datamart(self.params["datamart"])


@lru_cache(MAX_REMEMBERED)
def parse_datamart(text: str) -> int:
    """A datamart id from a path.

    Raises:
        RequestError: 404, no datamart can have this id.
    """
    # isdecimal alone takes digits of every script.
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 0 < int(text) <= MAX_DATAMART):
        raise RequestError(404, "not_found", "Resource Not Found")
    return int(text)


def parse_query(text: str) -> dict[str, tuple[str, ...]]:
    """A query string, form-decoded (`+` is a space); bad UTF-8 becomes U+FFFD.

    Raises:
        RequestError: 400, more than `MAX_QUERY_FIELDS` parameters.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise RequestError(400, "bad_parameter", f"more than {MAX_QUERY_FIELDS} query parameters") from None
    query: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        query[name] = (*query.get(name, ()), value)
    return query


def parse_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; a repeated one's values are joined by ", " (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
