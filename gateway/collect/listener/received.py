"""A request as it came over a connection."""

from msgspec import Struct


class Received(Struct):
    """One request as it came.

    Attributes:
        method: upper case.
        target: as in the request line; of an absolute one (RFC 9112, 3.2.2) what stands behind the host.
        headers: lower-case name → value; a repeated header's values joined by ", " (RFC 9110, 5.3).
        body: whole.
        keep_alive: whether the connection goes on behind it.
        is_http_1_0: whether its sender has to be told so.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool
    is_http_1_0: bool
