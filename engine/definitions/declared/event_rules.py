"""Event rules (mediarithmics 5.2; decisions 22 to 26). A rule without a channel is the datamart's and runs first."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.model.limits import MAX_EVENT_NAME_CHARS
from engine.model.types import Id, Name

HashFunction = Literal["NO_HASH", "SHA_256", "MD5", "MD2", "SHA_1", "SHA_384", "SHA_512"]

PropertyName = Annotated[str, Meta(min_length=1, max_length=255)]
ChannelKey = Annotated[str, Meta(max_length=255, pattern=r"^((site|app):[^\s]+)?$")]


class EventTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that a match generates.

    Attributes:
        event_name: its `$event_name`.
        properties: its `$properties`; a text `:name` alone, also inside a list or an object, stands for what the
            pattern has extracted, anything else is constant.
    """

    event_name: Annotated[str, Meta(min_length=1, max_length=MAX_EVENT_NAME_CHARS)] = field(name="$event_name")
    properties: dict[str, Any] = field(name="$properties", default_factory=dict)


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What all rules have.

    Attributes:
        id: of the rule.
        channel: key of the channel it is for (`site:1`, `app:1`), or "" for all of the datamart.
    """

    id: Id
    channel: ChannelKey = ""


class UrlMatch(_Rule, frozen=True, kw_only=True, tag="URL_MATCH"):
    """Generates an event from each `$page_view` whose `$url` the pattern matches (5.3, decision 23)."""

    pattern: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2000,
            description="An address. `:name` stands for a path segment or the value of a parameter and keeps it, `*`"
            " for any one, `**` at the end of the path for all that follows.",
        ),
    ]
    event_template: EventTemplate


class PropertyToOriginCopy(_Rule, frozen=True, kw_only=True, tag="PROPERTY_TO_ORIGIN_COPY"):
    """Copies an event's address, referrer or property into a field of the activity's `$origin` (5.4, decision 24)."""

    property_name: Annotated[
        Name,
        Meta(description="A property, or with `URL` and `REFERRER` a query parameter; empty: the whole address."),
    ] = ""
    property_source: Literal["URL", "EVENT_PROPERTY", "REFERRER"] = "URL"
    destination: PropertyName


class UserIdentifierInsertion(_Rule, frozen=True, kw_only=True, tag="USER_IDENTIFIER_INSERTION"):
    """Makes an identifier of a property (5.5, decision 25). `property_source` names the property.

    Attributes:
        remove_source: the property goes once an identifier was made of it.
        salt: put behind the value before it is hashed.
        validation_regexp: in the syntax of RE2; all of the value must match, as it was sent.
        compartment_id: of a `USER_ACCOUNT`; the datamart's default when not given.
    """

    identifier_creation: Literal["USER_ACCOUNT", "EMAIL_HASH"] = "USER_ACCOUNT"
    property_source: PropertyName
    hash_function: HashFunction = "SHA_256"
    remove_source: bool = False
    to_lower_case: bool = False
    salt: Annotated[str, Meta(max_length=255)] | None = None
    validation_regexp: Annotated[str, Meta(max_length=2000)] | None = None
    compartment_id: Name | None = None


class CatalogAutoMatch(_Rule, frozen=True, kw_only=True, tag="CATALOG_AUTO_MATCH"):
    """Tells from a page's address which item or category of the catalog was viewed (5.6, decision 26).

    Attributes:
        catalog: id of the catalog; "" for all of the datamart.
        add_category_to_item: the item carries its categories as `$category1` to `$category4`.
        category_max_depth: no more of them than this.
        excluded_categories: ids of categories whose pages yield nothing, and which no item carries.
    """

    auto_match_type: Literal["CATEGORY", "PRODUCT", "PRODUCT_AND_CATEGORY"] = "CATEGORY"
    catalog: Annotated[str, Meta(max_length=64)] = ""
    add_category_to_item: bool = False
    category_max_depth: Annotated[int, Meta(ge=0, le=100)] | None = None
    excluded_categories: tuple[str, ...] = ()


EventRule = UrlMatch | PropertyToOriginCopy | UserIdentifierInsertion | CatalogAutoMatch
