"""Processings: what personal data is used for, and on which legal basis (mediarithmics 9; decision 33)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from engine.model.types import Id, Name

LegalBasis = Literal[
    "CONSENT",
    "CONTRACTUAL_PERFORMANCE",
    "LEGAL_OBLIGATION",
    "PUBLIC_INTEREST_OR_EXERCISE_OF_OFFICIAL_AUTHORITY",
    "LEGITIMATE_INTEREST",
]

TcfVendor = Annotated[int, Meta(ge=1, le=65_535)]
TcfPurpose = Annotated[int, Meta(ge=1, le=24)]


class Processing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A processing.

    Attributes:
        token: what unauthenticated senders call it; `technical_name` is for APIs.
        tcf_vendor, tcf_purposes: where given, a TCF string says what the person chose: whether there is consent for
            the vendor and for all of these purposes or, on the basis of LEGITIMATE_INTEREST, no objection to them. Only
            for these two bases; the ids are those of the framework's own lists.
    """

    id: Id
    name: Name = ""
    purpose: Name = ""
    legal_basis: LegalBasis = "CONSENT"
    technical_name: Name = ""
    token: Name = ""
    tcf_vendor: TcfVendor | None = None
    tcf_purposes: tuple[TcfPurpose, ...] = ()
