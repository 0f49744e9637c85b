"""The schema that a datamart has before it declares anything (mediarithmics 1.2, 1.5 to 1.7, 2.1 and 7.6).

Documented fields go by their `$` names, and by the names that schemas of the platform commonly give them. Custom
properties of events are fields of `$properties` (or `properties`), custom root fields of activities of `$custom`.
"""

from typing import Final

from engine.query.schema import ANYTHING, Field, FieldType, Link, ObjectType, Schema, Scope

ID, STRING, NUMBER, TIME, BOOLEAN, ENUM, ANY = FieldType


def _field(kind: FieldType, *paths: str, scope: Scope = "SELF") -> Field:
    return Field(kind, tuple(tuple(path.split(".")) for path in paths), scope)


def _own(kind: FieldType, *names: str) -> dict[str, Field]:
    """Fields found under their own names."""
    return {name: _field(kind, name) for name in names}


_OF_ACTIVITY: Final = {
    "channel_id": _field(ID, "$site_id", "$app_id", scope="ACTIVITY"),
    "site_id": _field(ID, "$site_id", scope="ACTIVITY"),
    "app_id": _field(ID, "$app_id", scope="ACTIVITY"),
    "activity_date": _field(TIME, "$ts", scope="ACTIVITY"),
    "activity_ts": _field(TIME, "$ts", scope="ACTIVITY"),
    "activity_type": _field(ENUM, "$type", scope="ACTIVITY"),
    "session_status": _field(ENUM, "$session_status", scope="ACTIVITY"),
}

USER_ACTIVITY: Final = ObjectType(
    fields={
        **_own(ENUM, "$type", "$session_status"),
        **_own(TIME, "$ts"),
        **_own(NUMBER, "$ttl", "$session_duration"),
        **_own(STRING, "$user_agent_id", "$user_account_id"),
        **_own(
            ID,
            *("$compartment_id", "$site_id", "$app_id", "$unique_key", "$error_analyzer_id"),
            *("$scenario_id", "$node_id", "$previous_node_id", "$matched_exit_condition_id"),
        ),
        **_own(STRING, "$scenario_name", "$node_name", "$previous_node_name"),
        "id": _field(ID, "$unique_key"),
        "type": _field(ENUM, "$type"),
        "session_status": _field(ENUM, "$session_status"),
        "ts": _field(TIME, "$ts"),
        "date": _field(TIME, "$ts"),
        "creation_date": _field(TIME, "$ts"),
        "duration": _field(NUMBER, "$session_duration"),
        "session_duration": _field(NUMBER, "$session_duration"),
        "channel_id": _field(ID, "$site_id", "$app_id"),
        "site_id": _field(ID, "$site_id"),
        "app_id": _field(ID, "$app_id"),
        "scenario_id": _field(ID, "$scenario_id"),
        "node_id": _field(ID, "$node_id"),
    },
    links={
        "events": Link("UserEvent", ("$events",)),
        "$events": Link("UserEvent", ("$events",)),
        "origin": Link("ActivityOrigin", ("$origin",)),
        "$origin": Link("ActivityOrigin", ("$origin",)),
        "location": Link("ActivityLocation", ("$location",)),
        "$location": Link("ActivityLocation", ("$location",)),
        "identifiers": Link("UserIdentifier", ("$user_identifiers",)),
        "$user_identifiers": Link("UserIdentifier", ("$user_identifiers",)),
        "$email_hash": Link("UserIdentifier", ("$email_hash",)),
        "$topics": Link(ANYTHING, ("$topics",)),
        "$custom": Link(ANYTHING),
    },
)

USER_EVENT: Final = ObjectType(
    fields={
        **_own(STRING, "$event_name"),
        **_own(TIME, "$ts"),
        **_own(ID, "$event_id"),
        "id": _field(ID, "$event_id"),
        "name": _field(STRING, "$event_name"),
        "nature": _field(STRING, "$event_name"),
        "ts": _field(TIME, "$ts"),
        "date": _field(TIME, "$ts"),
        "url": _field(STRING, "$properties.$url"),
        "referrer": _field(STRING, "$properties.$referrer"),
        **_OF_ACTIVITY,
    },
    links={
        "properties": Link("EventProperties", ("$properties",)),
        "$properties": Link("EventProperties", ("$properties",)),
        "items": Link("Item", ("$properties", "$items")),
        "products": Link("Item", ("$properties", "$items")),
        "$custom": Link(ANYTHING),
    },
)

EVENT_PROPERTIES: Final = ObjectType(
    fields={
        **_own(STRING, "$url", "$referrer", "$catn", "$scatn", "$crtn", "$category", "$goal_technical_name"),
        **_own(STRING, "$campaign_technical_name", "$sub_campaign_technical_name", "$message_technical_name"),
        **_own(STRING, "$creative_technical_name", "$processing_token", "$euconsent_v2_tcstring"),
        **_own(ID, "$campaign_id", "$sub_campaign_id", "$message_id", "$creative_id", "$product_id", "$processing_id"),
        **_own(ID, "$goal_id", "$conversion_id", "$conversion_external_id", "$log_id"),
        **_own(NUMBER, "$conversion_value"),
        **_own(BOOLEAN, "$choice_acceptance_value"),
        **_own(TIME, "$choice_ts"),
    },
    links={"$items": Link("Item", ("$items",))},
    open=True,
)

ITEM: Final = ObjectType(
    fields={
        **_own(ID, "$id", "$ean"),
        **_own(NUMBER, "$qty", "$price"),
        **_own(STRING, "$brand", "$name", "$category1", "$category2", "$category3", "$category4"),
        **{name: _field(ID, f"${name}") for name in ("id", "ean")},
        **{name: _field(NUMBER, f"${name}", name) for name in ("qty", "price")},
        **{name: _field(STRING, f"${name}", name) for name in ("brand", "name")},
        **{f"category{level}": _field(STRING, f"$category{level}", f"category{level}") for level in range(1, 5)},
    },
    open=True,
)

_ORIGIN_STRINGS: Final = (
    *("channel", "source", "campaign_name", "campaign_technical_name", "sub_campaign_technical_name", "keywords"),
    *("creative_name", "creative_technical_name", "social_network", "referral_path", "gclid", "message_technical_name"),
)
_ORIGIN_IDS: Final = (
    *("campaign_id", "sub_campaign_id", "creative_id", "log_id", "message_id", "engagement_content_id"),
)

ACTIVITY_ORIGIN: Final = ObjectType(
    fields={
        **{prefix + name: _field(STRING, f"${name}") for name in _ORIGIN_STRINGS for prefix in ("", "$")},
        **{prefix + name: _field(ID, f"${name}") for name in _ORIGIN_IDS for prefix in ("", "$")},
        "ts": _field(TIME, "$ts"),
        "$ts": _field(TIME, "$ts"),
    },
    open=True,
)

ACTIVITY_LOCATION: Final = ObjectType(
    fields={
        prefix + name: _field(ENUM if name == "source" else STRING, f"${name}")
        for name in ("source", "country", "region", "iso_region", "city", "iso_city", "zip_code")
        for prefix in ("", "$")
    },
    open=True,
)

USER_IDENTIFIER: Final = ObjectType(
    fields={
        **{prefix + "type": _field(ENUM, "$type") for prefix in ("", "$")},
        **{prefix + "compartment_id": _field(ID, "$compartment_id") for prefix in ("", "$")},
        **{
            prefix + name: _field(STRING, f"${name}")
            for name in ("user_account_id", "hash", "email", "user_agent_id")
            for prefix in ("", "$")
        },
    },
    open=True,
)


def _known(ids: tuple[str, ...] = (), times: tuple[str, ...] = (), booleans: tuple[str, ...] = ()) -> ObjectType:
    """A type of what is known of a person: these fields with and without `$`, any other custom."""
    typed = {**dict.fromkeys(ids, ID), **dict.fromkeys(times, TIME), **dict.fromkeys(booleans, BOOLEAN)}
    return ObjectType(
        fields={prefix + name: _field(kind, f"${name}", name) for name, kind in typed.items() for prefix in ("", "$")},
        open=True,
    )


USER_POINT: Final = ObjectType(
    fields={"id": _field(ID, "$user_point_id"), "$user_point_id": _field(ID, "$user_point_id")},
    links={
        "activities": Link("UserActivity", source="ACTIVITIES"),
        "events": Link("UserEvent", source="EVENTS"),
        "activity_events": Link("UserEvent", source="EVENTS"),
        "profiles": Link("UserProfile", ("profiles",), "PERSON"),
        "segments": Link("UserSegment", ("segments",), "PERSON"),
        "choices": Link("UserChoice", ("choices",), "PERSON"),
        "scenarios": Link("UserScenario", ("scenarios",), "PERSON"),
        "accounts": Link("UserAccount", ("accounts",), "PERSON"),
        "emails": Link("UserEmail", ("emails",), "PERSON"),
        "devices": Link("UserDevicePoint", ("devices",), "PERSON"),
    },
)

DEFAULT: Final = Schema(
    {
        "UserPoint": USER_POINT,
        "UserActivity": USER_ACTIVITY,
        "UserEvent": USER_EVENT,
        "EventProperties": EVENT_PROPERTIES,
        "Item": ITEM,
        "ActivityOrigin": ACTIVITY_ORIGIN,
        "ActivityLocation": ACTIVITY_LOCATION,
        "UserIdentifier": USER_IDENTIFIER,
        "UserProfile": _known(("compartment_id", "user_account_id"), ("creation_ts", "last_modified_ts")),
        "UserSegment": _known(("id", "segment_id"), ("creation_ts", "expiration_ts")),
        "UserChoice": _known(
            ("processing_id", "channel_id"), ("choice_ts", "creation_ts"), ("choice_acceptance_value",)
        ),
        "UserScenario": _known(
            ("scenario_id", "execution_id", "node_id"), ("start_ts", "node_start_ts", "callback_ts"), ("active",)
        ),
        "UserAccount": _known(("compartment_id", "user_account_id"), ("creation_ts",)),
        "UserEmail": _known(("hash", "email"), ("creation_ts",)),
        "UserDevicePoint": _known(("user_agent_id", "id"), ("creation_ts",)),
        ANYTHING: ObjectType({}, open=True),
    },
    mirrors={"ActivityEvent": "UserEvent"},
)
"""The default schema."""

ROOTS: Final = ("UserActivity", "UserEvent", "UserPoint")
"""What may stand behind FROM; an expression alone is of the first of them that has all the names it begins with."""
