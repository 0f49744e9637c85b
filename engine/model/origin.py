"""The origin of an activity: the last digital channel that led to it (facts: mediarithmics 2.1; decisions 6 and 21)."""

from collections.abc import Mapping

from msgspec import Raw, Struct

from engine.model.wire import NULL, encode, encode_fields

ORIGIN_FIELDS = (
    "$ts",
    "$channel",
    "$source",
    "$campaign_name",
    "$campaign_technical_name",
    "$campaign_id",
    "$sub_campaign_technical_name",
    "$sub_campaign_id",
    "$message_id",
    "$message_technical_name",
    "$keywords",
    "$creative_name",
    "$creative_technical_name",
    "$creative_id",
    "$engagement_content_id",
    "$social_network",
    "$referral_path",
    "$log_id",
    "$gclid",
)
"""Documented fields, in the order of the public JSON."""

_COMPARED = frozenset(
    name
    for name in ORIGIN_FIELDS
    if name in ("$channel", "$source", "$keywords", "$social_network", "$gclid", "$log_id")
    or name.startswith(("$campaign_", "$sub_campaign_", "$creative_"))
)


Scalar = str | int | float | None
"""Ids are text on the wire, and numbers in some clients; both are kept as they are."""


class SentOrigin(Struct, rename=lambda name: "$" + name, kw_only=True):
    """`$origin` as it is sent: documented fields are text or numbers, custom ones are kept beside these."""

    ts: int | None = None
    channel: Scalar = None
    source: Scalar = None
    campaign_name: Scalar = None
    campaign_technical_name: Scalar = None
    campaign_id: Scalar = None
    sub_campaign_technical_name: Scalar = None
    sub_campaign_id: Scalar = None
    message_id: Scalar = None
    message_technical_name: Scalar = None
    keywords: Scalar = None
    creative_name: Scalar = None
    creative_technical_name: Scalar = None
    creative_id: Scalar = None
    engagement_content_id: Scalar = None
    social_network: Scalar = None
    referral_path: Scalar = None
    log_id: Scalar = None
    gclid: Scalar = None


class Origin(Struct, frozen=True, gc=False):
    """An origin that says something; no origin is None.

    Attributes:
        body: compact JSON object without `$ts` and without nulls.
        key: the fields by which two origins are the same one (decision 6), encoded.
    """

    body: bytes
    key: bytes

    def differs_from(self, other: "Origin | None") -> bool:
        """Whether a session that began with `other` ends here; an empty origin differs from any (decision 6a)."""
        return other is None or self.key != other.key


def origin_from(fields: Mapping[str, Raw]) -> Origin | None:
    """The origin these fields make, or None when all of them are absent or null.

    Beside others, a field of the sender's own that is null is a value; a documented one that is null says nothing.
    """
    kept = {
        key: value
        for key, value in fields.items()
        if key not in ORIGIN_FIELDS or (key != "$ts" and bytes(value) != NULL)
    }
    if all(bytes(value) == NULL for value in kept.values()):
        return None
    compared = {key: kept[key] for key in ORIGIN_FIELDS if key in kept and key in _COMPARED}
    return Origin(encode_fields(kept), encode_fields(compared))


def origin_of_text(fields: Mapping[str, str]) -> Origin | None:
    """The origin of decoded text values, as attribution finds them; empty values do not count."""
    return origin_from({key: Raw(encode(value)) for key, value in fields.items() if value})
