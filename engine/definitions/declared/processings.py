"""Processings: what personal data is used for, and on which legal basis (mediarithmics 9; decision 33)."""

from typing import Literal

from msgspec import Struct

from engine.model.types import Id, Name

LegalBasis = Literal[
    "CONSENT",
    "CONTRACTUAL_PERFORMANCE",
    "LEGAL_OBLIGATION",
    "PUBLIC_INTEREST_OR_EXERCISE_OF_OFFICIAL_AUTHORITY",
    "LEGITIMATE_INTEREST",
]


class Processing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A processing.

    Attributes:
        token: what unauthenticated senders call it; `technical_name` is for APIs.
        tcf_vendor, tcf_purposes: where given, a TCF string says whether there is consent: for the vendor and for all
            of these purposes.
    """

    id: Id
    name: Name = ""
    purpose: Name = ""
    legal_basis: LegalBasis = "CONSENT"
    technical_name: Name = ""
    token: Name = ""
    tcf_vendor: int | None = None
    tcf_purposes: tuple[int, ...] = ()
