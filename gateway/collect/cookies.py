"""The visitor's cookie: an id by chance, so that one browser's events find each other. Pure, but for that chance.

It is set once and never prolonged: it ends 13 months after the first visit even for who comes every day. Regulators ask
for that (the French CNIL: 13 months at most, not renewed by visiting again). Afterwards a visitor is a new one.
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid4

from msgspec import Struct

from engine import VisitorSettings

DAY_S: Final = 86_400

_RANDOM = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_OURS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Visitor(Struct, frozen=True):
    """A browser.

    Attributes:
        id: what its cookie holds.
        is_new: whether it was made just now: the cookie has yet to be set, and may never come back.
    """

    id: str
    is_new: bool

    @property
    def user_agent_id(self) -> str:
        """The identifier it gives, of the shape that the platform's own cookies give (mediarithmics 1.5)."""
        return f"vec:{self.id}"


def new_visitor(event_id: str = "") -> Visitor:
    """A browser that has no cookie yet.

    A first visit that is sent twice, by a page that goes and by the one that comes, or again because an answer was
    lost, must not make two visitors: whichever answer sets the cookie, it has to be the id that the event was stored
    with. So the id follows from the event's own, where that is as random as ours would be.

    Args:
        event_id: `$event_id` of the request's first event; the id is a new one when it is no UUID.
    """
    if not _RANDOM.fullmatch(event_id):
        return Visitor(str(uuid4()), True)
    return Visitor(str(UUID(bytes=sha256(event_id.lower().encode()).digest()[:16], version=4)), True)


def known_visitor(headers: Mapping[str, str], visitors: VisitorSettings) -> Visitor | None:
    """The browser whose cookie came back, or None. A value that we did not make counts as none, and is replaced.

    Args:
        headers: by lower-case name; several `cookie` headers may be joined by `,` or `;`.
        visitors: names the cookie.
    """
    cookies = headers.get("cookie", "")
    if visitors.cookie_name not in cookies:
        return None
    for pair in re.split("[;,]", cookies):
        name, _, value = pair.strip().partition("=")
        if name == visitors.cookie_name and _OURS.fullmatch(value):
            return Visitor(value, False)
    return None


def cookie_header(visitor: Visitor, visitors: VisitorSettings, *, secure: bool) -> tuple[str, str]:
    """The header that sets a new visitor's cookie.

    Args:
        visitor: whose.
        visitors: name, domain and life of the cookie.
        secure: whether the request came over TLS. Only then may other sites' pages send it (`SameSite=None`), which
            browsers take from secure connections alone; on plain HTTP it stays with the site's own pages.
    """
    parts = [
        f"{visitors.cookie_name}={visitor.id}",
        f"Max-Age={visitors.cookie_days * DAY_S}",
        "Path=/",
        *([f"Domain={visitors.cookie_domain}"] if visitors.cookie_domain else ()),
        "HttpOnly",
        *(("Secure", "SameSite=None") if secure else ("SameSite=Lax",)),
    ]
    return "set-cookie", "; ".join(parts)
