"""Items into a draft: each is examined by itself, then held against what is known of its ids and of its sender."""

from collections.abc import Sequence
from typing import Final

from engine.actors.draft import Draft, control_record, item_record
from engine.actors.examine import Examined, Rules, Unit, check_channel, events_array, examine
from engine.actors.identities import Identities
from engine.actors.receipt import ItemResult, Original
from engine.actors.seen import SeenKeys
from engine.errors import CallerError
from engine.model.identifiers import Identifier, uuid_text
from engine.model.limits import MAX_REQUEST_RECORD_BYTES
from engine.model.record import RecordKind

_EVENT: Final = RecordKind.EVENT
_ITEM: Final = RecordKind.ITEM


def look_at(
    items: Sequence[bytes],
    originals: Sequence[Original] | None,
    rules: Rules,
    arrival_ms: int,
    *,
    process: bool,
    only: str,
) -> list[Examined | CallerError]:
    """What each item is, or what is wrong with it.

    Args:
        items: JSON of one activity each.
        originals: what they were made from; its maker may know that an item is at fault.
        rules, arrival_ms, process: as for `examine`.
        only: key of the one channel whose items are taken; "" for all.
    """
    found: list[Examined | CallerError] = []
    for index, item in enumerate(items):
        fault = originals[index].fault if originals is not None else None
        if fault is not None:
            found.append(CallerError(fault.message, code=fault.code, path=fault.path))
            continue
        try:
            examined = examine(item, rules, arrival_ms=arrival_ms, process=process)
            if only:
                check_channel(examined, only)
        except CallerError as error:
            found.append(error)
        else:
            found.append(examined)
    return found


class Taking:
    """Takes examined items into drafts.

    Args:
        identities: whose an item is.
        seen: which of its events were accepted before.
    """

    def __init__(self, identities: Identities, seen: SeenKeys) -> None:
        self._identities = identities
        self._seen = seen

    def look_up(self, draft: Draft, found: Sequence[Examined | CallerError]) -> None:
        """Read what is known of the event ids of a request, all at once. Called before its items are added."""
        event_ids = [one.event_id for examined in found if isinstance(examined, Examined) for one in examined.units]
        if any(event_ids):
            self._seen.look_up(draft.seen, datamart=draft.datamart, event_ids=list(filter(None, event_ids)))

    def add_usual(self, draft: Draft, found: Sequence[Examined | CallerError], start: int) -> int:
        """Take items from `start` on as long as each is one event of a session of a known user, without an id: nearly
        every item of a browser. Returns the index of the first that is something else.

        It comes to what `add` does, in half the time.
        """
        if draft.seen.read:  # Some event of the request has an id.
            return start
        at_hand, identities, datamart = self._identities.at_hand, draft.identities, draft.datamart
        add_event, results = draft.add_event, draft.results
        before = len(results)
        for index in range(start, len(found)):
            examined = found[index]
            if type(examined) is not Examined or examined.kind is not _EVENT or len(examined.units) != 1:
                break
            user_point = at_hand(identities, datamart, examined.keys)
            if user_point is None or draft.size_bytes > MAX_REQUEST_RECORD_BYTES:
                break
            add_event(examined, examined.units[0], user_point)
            results.append(ItemResult("accepted", 1, uuid_text(user_point)))
        taken = len(results) - before
        draft.events += taken
        return start + taken

    def add(self, draft: Draft, examined: Examined) -> CallerError | None:
        """Take an item into the draft, or say why not."""
        units = examined.units
        has_ids = bool(draft.seen.read)
        if has_ids:  # Some event of the request has an id.
            units = self._new_units(draft, units)
        repeated = len(examined.units) - len(units)
        if repeated and not units:
            draft.repeat(repeated)
            return None
        user_point = self._identities.at_hand(draft.identities, draft.datamart, examined.keys)
        if user_point is None:
            try:
                user_point = self._attach(draft, examined.identifiers)
            except CallerError as error:
                return error
        if has_ids:
            for unit in units:
                if unit.event_id:
                    draft.operations.append(
                        self._seen.note(
                            draft.seen, datamart=draft.datamart, event_id=unit.event_id, wall_ms=draft.wall_ms
                        )
                    )
        weight = self._add_records(draft, examined, units, user_point)
        draft.events += weight
        draft.repeated += repeated
        draft.results.append(ItemResult("accepted", weight, uuid_text(user_point)))
        return None

    def _attach(self, draft: Draft, identifiers: Sequence[Identifier]) -> bytes:
        """The user point of an item, with what it links or merges taken into the draft.

        Raises:
            NoUserIdentifier: nobody to count it for.
        """
        attached, operations = self._identities.attach(
            draft.identities,
            identifiers,
            datamart=draft.datamart,
            now_ms=draft.arrival_ms,
            sequence=draft.next_sequence(),
        )
        draft.operations += operations
        for name, amount in attached.counts:
            draft.count(name, amount)
        for absorbed in attached.absorbed:
            draft.add(control_record(draft, RecordKind.MERGE, attached.user_point, absorbed))
        return attached.user_point

    def _new_units(self, draft: Draft, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        if not any(unit.event_id for unit in units):
            return units
        here: set[str] = set()
        found: list[Unit] = []
        for unit in units:
            if unit.event_id:
                if unit.event_id in here or self._seen.knows(
                    draft.seen, datamart=draft.datamart, event_id=unit.event_id, wall_ms=draft.wall_ms
                ):
                    continue
                here.add(unit.event_id)
            found.append(unit)
        return tuple(found)

    def _add_records(self, draft: Draft, examined: Examined, units: tuple[Unit, ...], user_point: bytes) -> int:
        """Add the item's records; returns how many received events they stand for."""
        if examined.kind is _ITEM:
            weight = max(1, len(units))
            draft.add(item_record(draft, examined, user_point, examined.ts_ms, weight, events_array(units)))
            return weight
        if examined.kind is not _EVENT:
            for unit in units:
                draft.add(item_record(draft, examined, user_point, unit.ts_ms, 1, unit.body))
            return len(units)
        for unit in units:
            draft.add_event(examined, unit, user_point)
        return len(units)
