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
    """A processing. A channel is subject to those that its `processings` name: all must allow an activity (9.3)."""

    id: Annotated[Id, Meta(description="What channels and `$processing_id` call it.")]
    name: Annotated[Name, Meta(description="For people.")] = ""
    purpose: Annotated[Name, Meta(description="For people: what the data is used for.")] = ""
    legal_basis: Annotated[
        LegalBasis,
        Meta(
            description="CONSENT: a person must have accepted. LEGITIMATE_INTEREST and PUBLIC_INTEREST…: must not have "
            "refused. Others: choices play no part."
        ),
    ] = "CONSENT"
    technical_name: Annotated[Name, Meta(description="What APIs may call it instead of its id.")] = ""
    token: Annotated[Name, Meta(description="What pages call it: `$processing_token`.")] = ""
    tcf_vendor: Annotated[
        TcfVendor | None,
        Meta(
            description="Id in the vendor list of IAB Europe's TCF: consent strings say what was chosen, for CONSENT"
            " and LEGITIMATE_INTEREST."
        ),
    ] = None
    tcf_purposes: Annotated[
        tuple[TcfPurpose, ...], Meta(max_length=24, description="Purposes of TCF, all of which the string must allow.")
    ] = ()
