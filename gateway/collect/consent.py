"""What a visitor's browser and page say about being recognised. Pure.

Two questions. `objection`: does the browser itself say no, by Do-Not-Track or Global Privacy Control? Then nothing is
taken. `allows_cookie`: may a cookie be set and read? Any "no" among what was sent is a no, and a question that was left
open where the law asks for an answer (`gdpr=1` without a consent string) is one, too. Without a cookie the events of a
person are still taken when the sender names that person, as it may have its own ground to do so.
"""

import re
from collections.abc import Mapping
from typing import Final

from engine import VisitorSettings

DO_NOT_TRACK: Final = "do_not_track"
GLOBAL_PRIVACY_CONTROL: Final = "global_privacy_control"

_YES: Final = frozenset({"", "true", "1"})
# The shape of a TCF 2 string: its six first bits are the version, 2, which base64 writes as C. A macro that nobody
# filled in, such as ${GDPR_CONSENT_184}, does not have it.
_TCF_STRING = re.compile(r"C[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")


def objection(headers: Mapping[str, str], visitors: VisitorSettings) -> str:
    """Why the browser does not want to be tracked, as a reason for `X-Sojourn-Dropped`; "" when it has no objection.

    Args:
        headers: by lower-case name.
        visitors: which of the two signals are honoured.
    """
    if visitors.honour_do_not_track and headers.get("dnt", "").strip() == "1":
        return DO_NOT_TRACK
    if visitors.honour_global_privacy_control and headers.get("sec-gpc", "").strip() == "1":
        return GLOBAL_PRIVACY_CONTROL
    return ""


def allows_cookie(*, consent: str = "", gdpr: str = "", gdpr_consent: str = "") -> bool:
    """Whether a cookie may be set and read, by what the parameters of an event say.

    Args:
        consent: `$consent`; "" when it was not sent. Only `true` and `1` are a yes: what cannot be read is a no.
        gdpr: `gdpr`; `1` when European law applies (TCF 2.2).
        gdpr_consent: the TCF consent string. What it says is not looked at here: only whether there is one.
    """
    if consent.strip().lower() not in _YES:
        return False
    return gdpr.strip() != "1" or _TCF_STRING.fullmatch(gdpr_consent.strip()) is not None
