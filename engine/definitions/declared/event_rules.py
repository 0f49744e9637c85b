"""Event rules (mediarithmics 5.2; decisions 22 to 26). A rule without a channel is the datamart's and runs first."""

from typing import Any, Literal

from msgspec import Struct, field

from engine.model.types import Id

HashFunction = Literal["NO_HASH", "SHA_256", "MD5", "MD2", "SHA_1", "SHA_384", "SHA_512"]


class EventTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that a match generates.

    Attributes:
        event_name: its `$event_name`.
        properties: its `$properties`; a text `:name` alone stands for what the pattern has extracted, anything else is
            constant.
    """

    event_name: str = field(name="$event_name")
    properties: dict[str, Any] = field(name="$properties", default_factory=dict)


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What all rules have.

    Attributes:
        id: of the rule.
        channel: key of the channel it is for (`site:1`, `app:1`), or "" for all of the datamart.
    """

    id: Id
    channel: str = ""


class UrlMatch(_Rule, frozen=True, kw_only=True, tag="URL_MATCH"):
    """Generates an event from each `$page_view` whose `$url` the pattern matches (5.3, decision 23)."""

    pattern: str
    event_template: EventTemplate


class PropertyToOriginCopy(_Rule, frozen=True, kw_only=True, tag="PROPERTY_TO_ORIGIN_COPY"):
    """Copies an event's address, referrer or property into a field of the activity's `$origin` (5.4, decision 24)."""

    property_name: str
    property_source: Literal["URL", "EVENT_PROPERTY", "REFERRER"] = "URL"
    destination: str


class UserIdentifierInsertion(_Rule, frozen=True, kw_only=True, tag="USER_IDENTIFIER_INSERTION"):
    """Makes an identifier of a property (5.5, decision 25). `property_source` names the property."""

    identifier_creation: Literal["USER_ACCOUNT", "EMAIL_HASH"] = "USER_ACCOUNT"
    property_source: str
    hash_function: HashFunction = "SHA_256"
    remove_source: bool = False
    to_lower_case: bool = False
    salt: str = ""
    validation_regexp: str = ""
    compartment_id: str = ""


class CatalogAutoMatch(_Rule, frozen=True, kw_only=True, tag="CATALOG_AUTO_MATCH"):
    """Tells from a page's address which item or category of the catalog was viewed (5.6, decision 26)."""

    auto_match_type: Literal["CATEGORY", "PRODUCT", "PRODUCT_AND_CATEGORY"] = "CATEGORY"
    catalog: str = ""
    add_category_to_item: bool = False
    category_max_depth: int | None = None
    excluded_categories: tuple[str, ...] = ()


EventRule = UrlMatch | PropertyToOriginCopy | UserIdentifierInsertion | CatalogAutoMatch
