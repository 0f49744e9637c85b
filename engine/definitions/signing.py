"""Signing keys: with which applications sign what they send, as no token is safe in an application (decision 39)."""

from msgspec import Struct


class SigningKey(Struct, frozen=True, kw_only=True):
    """A key and whom it speaks for. It lives in the settings and in memory, and is kept nowhere else.

    Attributes:
        id: names the key in a request.
        secret: what only the sender and this server know.
        datamart: whose events it signs.
        channel: key of the one channel whose events it signs, such as `app:1`; "" for all of the datamart.
    """

    id: str
    secret: str
    datamart: int
    channel: str = ""

    def __repr__(self) -> str:
        return f"SigningKey(id={self.id!r}, datamart={self.datamart}, channel={self.channel!r})"
