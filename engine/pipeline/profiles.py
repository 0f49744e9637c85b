"""Profiles: what `$set_user_profile_properties` events say of a person (mediarithmics 4.6 and 10).

The event's `$properties` name the owner, an account (`$user_account_id`, with `$compartment_id` or in the datamart's
default one), else an e-mail (`$email_hash`), else a device (`$user_agent_id`); all others are fields of the profile,
beside two that say how they are put in: `$force_replace` replaces the profile, `$merge_objects` merges objects instead
of overriding them; both are false where they are not given, as in an import (mediarithmics 10).

It runs with the automations' step, in front of it: what an automation asks of the person is as of this activity. The
event itself stays in the activity. An update that cannot be done leaves the profile as it was, and is counted:
`profiles_refused.<reason>`, one of `no_owner`, `too_large`, `too_many`, `nested_too_deeply`.
"""

from typing import Final

from msgspec import Raw

from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.event import Event, properties_of
from engine.model.fact import FactKind
from engine.model.identifiers import Identifier, account, agent, email_hash
from engine.model.limits import MAX_IDENTIFIER_CHARS
from engine.model.profiles import (
    MAX_PROFILE_BYTES,
    MAX_PROFILES,
    Profiles,
    Update,
    combine,
    decode_profiles,
    encode_profiles,
    owner_of,
    updated,
)
from engine.model.wire import Fields, decode_fields, scalar_text
from engine.pipeline.stage import Context, CountUp, Effect, Keep, KeepFact, Note, Stage
from engine.session.closed import Closed

NAME = "profiles"

EVENT: Final = "$set_user_profile_properties"

ACCOUNT: Final = "$user_account_id"
COMPARTMENT: Final = "$compartment_id"
EMAIL_HASH: Final = "$email_hash"
AGENT: Final = "$user_agent_id"
REPLACE: Final = "$force_replace"
MERGE_OBJECTS: Final = "$merge_objects"

NO_FIELDS: Final = frozenset(
    (
        *(ACCOUNT, COMPARTMENT, EMAIL_HASH, AGENT, REPLACE, MERGE_OBJECTS),
        *("$creation_ts", "$last_modified_ts"),  # The engine's own.
        *("gdpr", "gdpr_consent"),  # A pixel's consent string is about the request.
    )
)
"""Properties that are no fields of the profile."""

_TRUE: Final = frozenset((b"true", b'"true"', b"1", b'"1"'))
"""Pixels have text only."""


class _Refused(Exception):
    """An update that cannot be done; `str` of it is the reason."""


def build(defined: Defined) -> Stage:
    """The step of a datamart. It needs no definition."""
    default_compartment = defined.default_compartment

    def profiles(closed: Closed, activity: Activity, context: Context) -> Keep:
        told = [event for event in activity.events if event.name == EVENT]
        return Keep(activity, _told(closed, told, default_compartment, context) if told else ())

    return profiles


def moved(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What a merge does to what is known: the absorbed user point's profiles are the survivor's from now on."""
    gone = context.read(FactKind.PROFILES, closed.absorbed)
    if gone is None:
        return ()
    known, others = decode_profiles(context.read(FactKind.PROFILES)), decode_profiles(gone)
    both = combine(known, others)
    lost = (("too_many", both.too_many), ("too_large", both.too_large))
    return (
        _keep(closed, both.profiles),
        KeepFact(closed.datamart, closed.absorbed, FactKind.PROFILES, None),
        *(CountUp(closed.datamart, f"profiles_refused.{reason}", number) for reason, number in lost if number),
    )


def _told(closed: Closed, told: list[Event], default_compartment: str, context: Context) -> tuple[Effect, ...]:
    known = decode_profiles(context.read(FactKind.PROFILES, closed.user_point))
    if closed.absorbed:
        known = combine(known, decode_profiles(context.read(FactKind.PROFILES, closed.absorbed))).profiles
    after, effects = known, []
    for event in told:
        about, outcome, detail = NAME, "refused", ""
        try:
            update = update_of(event, default_compartment)
            about = f"profile {update.owner.namespace}:{update.owner.value}"
            before, after = after, _with(after, update)
            outcome = "changed" if after != before else "skipped"
            detail = "" if after != before else "it says so already, or something later does"
        except _Refused as refused:
            detail = str(refused)
            effects.append(CountUp(closed.datamart, f"profiles_refused.{refused}"))
        if context.notes is not None:
            context.notes.append(Note(about, outcome, detail))
    return (*((_keep(closed, after),) if after != known else ()), *effects)


def update_of(event: Event, default_compartment: str) -> Update:
    """What an event says.

    Raises:
        _Refused: it does not say whose profile it is.
    """
    properties = properties_of(event.body)
    return Update(
        owner=_owner(properties, default_compartment),
        ts_ms=event.ts_ms,
        fields={name: value for name, value in properties.items() if name not in NO_FIELDS},
        replaces=_is_true(properties.get(REPLACE)),
        merges_objects=_is_true(properties.get(MERGE_OBJECTS)),
    )


def _with(profiles: Profiles, update: Update) -> Profiles:
    owner = owner_of(update.owner)
    known = profiles.get(owner)
    if known is None and len(profiles) >= MAX_PROFILES:
        raise _Refused("too_many")
    try:
        after = updated(known, update)
    except (CallerError, RecursionError) as error:
        raise _Refused("nested_too_deeply") from error
    if after == known:
        return profiles
    # One that a merge of fields has made smaller is taken, whatever its size.
    if after.size_bytes > MAX_PROFILE_BYTES and (known is None or after.size_bytes > known.size_bytes):
        raise _Refused("too_large")
    return {**profiles, owner: after}


def _owner(properties: Fields, default_compartment: str) -> Identifier:
    if found := _id(properties.get(ACCOUNT)):
        return account(_id(properties.get(COMPARTMENT)) or default_compartment, found)
    if found := _hash(properties.get(EMAIL_HASH)):
        return email_hash(found)
    if found := _id(properties.get(AGENT)):
        return agent(found)
    raise _Refused("no_owner")


def _hash(value: Raw | None) -> str:
    """The hash itself, or in an object as in an activity's root."""
    if value is not None and bytes(value).startswith(b"{"):
        value = decode_fields(value).get("$hash")
    return _id(value)


def _id(value: Raw | None) -> str:
    """Text, or a number as it was written; "" for anything else, and for what is too long."""
    text = scalar_text(value)
    return text if len(text) <= MAX_IDENTIFIER_CHARS and "\0" not in text else ""


def _is_true(value: Raw | None) -> bool:
    return value is not None and bytes(value) in _TRUE


def _keep(closed: Closed, profiles: Profiles) -> KeepFact:
    return KeepFact(closed.datamart, closed.user_point, FactKind.PROFILES, encode_profiles(profiles))
