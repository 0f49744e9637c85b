"""Step 1, its second half: `$app_install` and `$app_update`, which the engine derives from `$app_open` (decision 14).

    $app_open, the application's first of this person        ▶ $app_install
    $app_open with another $app_version, $os_version or
    $sdk_version than the open before                        ▶ $app_update

A derived event follows its open, at the same time, and says the versions; an update also those before, where they were
others (`$previous_app_version` …). A version that an open does not tell is as it was. Applications that send the
derived events themselves get none twice. An open that comes in late, behind others that happened after it, tells
nothing new.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Raw, structs

from engine.model.activity import Activity
from engine.model.app_state import Apps, AppState, Derived, Opened, Versions, bounded, combine, decode_apps, encode_apps
from engine.model.event import Event, properties_of
from engine.model.fact import FactKind
from engine.model.wire import Fields, encode, text_of
from engine.pipeline.stage import Context, Effect, Keep, KeepFact
from engine.session.closed import Closed

APP_OPEN: Final = "$app_open"
APP_INSTALL: Final = "$app_install"
APP_UPDATE: Final = "$app_update"

MAX_VERSION_CHARS: Final = 255
"""A longer one is somebody's payload in the wrong place, and is not kept."""

_TELLING: Final = frozenset((APP_OPEN, APP_INSTALL))
_PARTS: Final = ("app", "os", "sdk")


def app_events(closed: Closed, activity: Activity, context: Context) -> Keep:
    """Put in what the activity's opens say of their application, as of all that the person did before."""
    channel = closed.channel
    if channel is None or channel.kind != "MOBILE_APPLICATION":
        return Keep(activity)
    if not any(event.name in _TELLING for event in activity.events):
        return Keep(activity)
    known = decode_apps(context.read(FactKind.APPS))
    if closed.absorbed:
        known = combine(known, decode_apps(context.read(FactKind.APPS, closed.absorbed)))
    before = known.get(channel.id)
    found, after = derive(activity, channel.id, before)
    if found:
        events = [one for index, event in enumerate(activity.events) for one in (event, *found.get(index, ()))]
        activity = structs.replace(activity, events=events)
    if after is None or after == before:
        return Keep(activity)
    return Keep(activity, (_keep(closed, closed.user_point, known | {channel.id: after}),))


def moved(closed: Closed, context: Context) -> tuple[Effect, ...]:
    """What a merge does to what is known: the absorbed user point's applications are the survivor's from now on."""
    gone = context.read(FactKind.APPS, closed.absorbed)
    if gone is None:
        return ()
    apps = combine(decode_apps(context.read(FactKind.APPS)), decode_apps(gone))
    return (
        _keep(closed, closed.user_point, apps),
        KeepFact(closed.datamart, closed.absorbed, FactKind.APPS, None),
    )


def derive(
    activity: Activity, app: str, state: AppState | None
) -> tuple[Mapping[int, tuple[Event, ...]], AppState | None]:
    """What an activity's opens give.

    Args:
        activity: of the application, as it was made.
        app: id of the application.
        state: what is known of it, or None.

    Returns:
        By index of an open, the event to put behind it; and what is known afterwards.
    """
    made = _made_before(activity, state)
    installed, opened = (
        (made.was_installed, made.before) if made else (state is not None, state.opened if state else None)
    )
    started = installed, opened
    sent = [event.name for event in activity.events]
    own_updates = sent.count(APP_UPDATE)
    if APP_INSTALL in sent:
        installed = True
    found: dict[int, tuple[Event, ...]] = {}
    for index, event in _opens(activity):
        told = _versions(properties_of(event.body))
        if opened is not None and event.ts_ms < opened.ts_ms:
            continue
        versions = opened.versions.then(told) if opened is not None else told
        if not installed:
            installed = True
            found[index] = (_derived(APP_INSTALL, event, versions, {}),)
        elif opened is not None and (changed := _changed(opened.versions, versions)):
            if own_updates:
                own_updates -= 1
            else:
                found[index] = (_derived(APP_UPDATE, event, versions, changed),)
        opened = Opened(event.ts_ms, versions)
    if not installed:
        return found, state
    remembered = state.derived if state else ()
    if found and made is None:
        remembered = bounded((*remembered, Derived(activity.ts_ms, activity.unique_key.bytes, *started)))
    if made and state and state.opened and (opened is None or opened.ts_ms <= state.opened.ts_ms):
        opened = state.opened  # It is made again, and others have come since.
    return found, AppState(app, opened, remembered)


def _made_before(activity: Activity, state: AppState | None) -> Derived | None:
    identity = activity.ts_ms, activity.unique_key.bytes
    derived = state.derived if state else ()
    return next((one for one in derived if (one.ts_ms, one.unique_key) == identity), None)


def _opens(activity: Activity) -> list[tuple[int, Event]]:
    """In the order in which they happened; a sent activity may have them in another one."""
    opens = [(index, event) for index, event in enumerate(activity.events) if event.name == APP_OPEN]
    return sorted(opens, key=lambda one: one[1].ts_ms)


def _versions(properties: Fields) -> Versions:
    return Versions(*[_version(properties.get(f"${part}_version")) for part in _PARTS])


def _version(value: Raw | None) -> str:
    """Text, or a number as it was written; anything else tells no version."""
    text = text_of(value)
    if value is not None and not text:
        written = bytes(value)
        text = written.decode() if written[:1] in b"-0123456789" else ""
    return text if len(text) <= MAX_VERSION_CHARS else ""


def _changed(before: Versions, after: Versions) -> dict[str, str]:
    """The earlier versions that are others now, by property. Where none was known, none has changed."""
    pairs = zip(_PARTS, structs.astuple(before), structs.astuple(after), strict=True)
    return {f"$previous_{part}_version": old for part, old, new in pairs if old and old != new}


def _derived(name: str, opened: Event, versions: Versions, previous: Mapping[str, str]) -> Event:
    now = {f"${part}_version": text for part, text in zip(_PARTS, structs.astuple(versions), strict=True) if text}
    body = encode({"$ts": opened.ts_ms, "$event_name": name, "$properties": {**now, **previous}})
    return Event(opened.ts_ms, name, body)


def _keep(closed: Closed, user_point: bytes, apps: Apps) -> KeepFact:
    return KeepFact(closed.datamart, user_point, FactKind.APPS, encode_apps(apps))
