"""Which choices an activity's events tell (mediarithmics 9.2; decision 33). Part of the step `user_choices`.

    $set_user_choice    names a processing by $processing_token, $processing_id or $processing_technical_name (or the
                        technical name in place of the id), and says $choice_acceptance_value
    $set_user_choice    with $euconsent_v2_tcstring: what the string says of each processing with a `tcf_vendor`, or of
                        the one that is named; an acceptance value beside it counts for the processing it names
    any event           with gdpr_consent (pixels): the same string; not where `gdpr` is 0

A choice is of `$choice_ts`, else of its event's time, and never later than that: a clock that is years ahead must not
make a choice that nothing undoes. What cannot be read makes no choice, and is counted: `choices_refused.<reason>`, one
of `unknown_processing`, `no_value`, `bad_tcf_string`. The event stays. Counted are also a `$choice_ts` that is no time
(`choices_bad_time`) and fields that are too large to be kept with the choice (`choices_fields_left_out`).

What was sent to be stored as it is (`processing_pipeline=false`, decision 42) goes past this step: its events choose
nothing, and say so where they are stored.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from engine.definitions.declared.processings import Processing
from engine.errors import CallerError
from engine.model.activity import Activity
from engine.model.choices import MAX_FIELDS_BYTES, Choice, Choices, choice_id, encode_choice, newest
from engine.model.event import Event, properties_of
from engine.model.fact import FactKind
from engine.model.tcf import TcString, read_tc_string
from engine.model.wire import Fields, encode_fields, scalar_text
from engine.pipeline.stage import Context, CountUp, Effect, KeepHistory, Note
from engine.session.closed import Closed

EVENT: Final = "$set_user_choice"

TOKEN: Final = "$processing_token"
ID: Final = "$processing_id"
TECHNICAL_NAME: Final = "$processing_technical_name"
VALUE: Final = "$choice_acceptance_value"
TIME: Final = "$choice_ts"
TC_STRING: Final = "$euconsent_v2_tcstring"
PIXEL_TC_STRING: Final = "gdpr_consent"
PIXEL_APPLIES: Final = "gdpr"

MAX_TIME_DIGITS: Final = 19
"""Of a time in ms that eight bytes hold; longer text is not even looked at."""

_OWN: Final = frozenset((TOKEN, ID, TECHNICAL_NAME, VALUE, TIME, "$creation_ts", "$channel_id"))
_FALSE: Final = frozenset((b"0", b'"0"', b"false", b'"false"'))
_YES: Final = frozenset((b"true", b'"true"', b"1", b'"1"'))
_PIXEL_MARK: Final = PIXEL_TC_STRING.encode()
_INTEREST: Final = "LEGITIMATE_INTEREST"
_NEVER_INTEREST: Final = frozenset((1, 3, 4, 5, 6))
"""Purposes that TCF 2.2 lets rest on consent alone: no string ever says otherwise."""


class Told(Struct, frozen=True):
    """What an activity tells of choices.

    Attributes:
        closed: what the activity was made of.
        choices: of each processing the newest.
        all: every one of them, in the order of time.
        effects: what is counted.
    """

    closed: Closed
    choices: Choices = {}
    all: tuple[Choice, ...] = ()
    effects: tuple[Effect, ...] = ()

    def history(self, known: Choices) -> tuple[Effect, ...]:
        """The rows for audits: one for each that is not the same as the one before it.

        A page's every hit brings the same consent string. The rows are named by time and content, so the same activity
        again writes the same ones.
        """
        before = dict(known)
        rows: list[Effect] = []
        for one in self.all:
            last = before.get(one.processing)
            if last is None or last.id != one.id:
                datamart, user_point = self.closed.datamart, self.closed.user_point
                rows.append(KeepHistory(datamart, user_point, FactKind.CHOICES, one.ts_ms, one.id, encode_choice(one)))
                before[one.processing] = one
        return tuple(rows)


class Listener:
    """Reads choices, knowing the processings of a datamart.

    Raises:
        CallerError: two of them have one name, or what is said of TCF has no meaning.
    """

    def __init__(self, processings: Sequence[Processing]) -> None:
        self._by_id = _unique("id", processings)
        self._by_token = _unique("token", processings)
        self._by_technical_name = _unique("technical_name", processings)
        self._of_tcf = [one for one in processings if one.tcf_vendor is not None]
        for number, one in enumerate(processings):
            _check_tcf(one, f"processings[{number}]")

    def listen(self, closed: Closed, activity: Activity, context: Context) -> Told:
        """What the events tell, in their order."""
        events = [event for event in activity.events if event.name == EVENT or self._may_tell(event)]
        if not events:
            return Told(closed)
        found: list[Choice] = []
        counts: dict[str, int] = {}
        for event in events:
            hearing = _Hearing(event, activity.channel_id, context)
            if event.name == EVENT:
                self._hear_choice(hearing)
            else:
                self._hear_pixel(hearing)
            found += hearing.found
            for name, number in hearing.counts.items():
                counts[name] = counts.get(name, 0) + number
        effects = tuple(CountUp(closed.datamart, name, number) for name, number in counts.items())
        found.sort(key=lambda one: one.ts_ms)
        return Told(closed, newest(found), tuple(found), effects)

    def _may_tell(self, event: Event) -> bool:
        return bool(self._of_tcf) and _PIXEL_MARK in event.body

    def _hear_choice(self, hearing: "_Hearing") -> None:
        properties = hearing.properties
        string = scalar_text(properties.get(TC_STRING)) or scalar_text(properties.get(PIXEL_TC_STRING))
        name = next((scalar_text(properties[one]) for one in (TOKEN, ID, TECHNICAL_NAME) if one in properties), "")
        processing = self._named(properties)
        if processing is None and (name or not string):
            hearing.refuse("unknown_processing", f"processing {name or '?'}")
            return
        value = bytes(properties.get(VALUE, b"null"))
        says_yes, says_no = value in _YES, value in _FALSE
        if processing is not None:
            if says_yes or says_no:
                hearing.tell(processing, says_yes)
            elif not string or processing.tcf_vendor is None:
                hearing.refuse("no_value", f"processing {processing.id}")
        if string and bytes(properties.get(PIXEL_APPLIES, b"1")) not in _FALSE:
            # One that is named alone is all that the string is asked about; its own value counts before the string.
            named_alone = processing is not None and not (says_yes or says_no)
            asked = [processing] if named_alone and processing is not None else self._of_tcf
            self._hear_string(string, [one for one in asked if named_alone or one is not processing], hearing)

    def _hear_pixel(self, hearing: "_Hearing") -> None:
        properties = hearing.properties
        string = scalar_text(properties.get(PIXEL_TC_STRING)).strip()
        if not string or string.startswith("${"):  # A macro that nobody filled in.
            return
        if bytes(properties.get(PIXEL_APPLIES, b"1")) in _FALSE:
            hearing.note("consent string", "skipped", "gdpr=0: the law does not apply")
            return
        self._hear_string(string, self._of_tcf, hearing)

    def _hear_string(self, string: str, processings: Iterable[Processing], hearing: "_Hearing") -> None:
        asked = [one for one in processings if one.tcf_vendor is not None]
        if not asked:
            return
        try:
            said = read_tc_string(string.strip())
        except ValueError as error:
            hearing.refuse("bad_tcf_string", "consent string", str(error))
            return
        for processing in asked:
            hearing.tell(processing, _agrees(said, processing), string.strip())

    def _named(self, properties: Fields) -> Processing | None:
        if token := scalar_text(properties.get(TOKEN)):
            return self._by_token.get(token)
        if found := scalar_text(properties.get(ID)):
            return self._by_id.get(found) or self._by_technical_name.get(found)
        return self._by_technical_name.get(scalar_text(properties.get(TECHNICAL_NAME)))


class _Hearing:
    """What one event tells.

    Attributes:
        found: its choices.
        counts: counters and how much they go up.
    """

    def __init__(self, event: Event, channel: str, context: Context) -> None:
        self._event = event
        self._channel = channel
        self._context = context
        self.properties = properties_of(event.body)
        self.found: list[Choice] = []
        self.counts: dict[str, int] = {}

    def tell(self, processing: Processing, accepted: bool, string: str = "") -> None:
        """A choice about a processing, as the event says it itself or as a consent string does."""
        ts_ms, fields = self._time(), self._fields(string)
        told = (string.encode(),) if string else (str(ts_ms).encode(), fields)
        event = self._event
        self.found.append(
            Choice(
                processing=processing.id,
                ts_ms=ts_ms,
                accepted=accepted,
                id=choice_id(processing.id, accepted, *told),
                created_ms=event.ts_ms,
                channel=self._channel,
                fields=fields,
            )
        )
        outcome = "accepted" if accepted else "refused"
        self.note(f"processing {processing.id}", outcome, f"chosen at {ts_ms}{', by a consent string' * bool(string)}")

    def refuse(self, reason: str, about: str, detail: str = "") -> None:
        """It makes no choice."""
        self._count(f"choices_refused.{reason}")
        self.note(about, "failed", f"{reason}: {detail}" if detail else reason)

    def note(self, about: str, outcome: str, detail: str) -> None:
        """Say what was done, where somebody asked."""
        if self._context.notes is not None:
            self._context.notes.append(Note(about, outcome, detail))

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def _time(self) -> int:
        """`$choice_ts`, ms, or the event's own time where there is none, or one that is no time or later."""
        said = self.properties.get(TIME)
        if said is None or bytes(said) in (b"null", b'""'):
            return self._event.ts_ms
        text = scalar_text(said)
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_TIME_DIGITS):
            self._count("choices_bad_time")
            self.note(EVENT, "changed", f"{TIME} is no time in ms: the event's own counts")
            return self._event.ts_ms
        return min(int(text), self._event.ts_ms)

    def _fields(self, string: str) -> bytes:
        """All else that a choice event says; of a pixel's event, whose fields are about something else, the string."""
        if self._event.name != EVENT and string:
            kept = {TC_STRING: self.properties[PIXEL_TC_STRING]}
        else:
            kept = {name: value for name, value in self.properties.items() if name not in _OWN}
        encoded = encode_fields(kept)
        if len(encoded) <= MAX_FIELDS_BYTES:
            return encoded
        self._count("choices_fields_left_out")
        self.note(EVENT, "changed", f"fields of {len(encoded)} bytes: only {MAX_FIELDS_BYTES} are kept with the choice")
        return encode_fields(_fitting(kept))


def _fitting(fields: Fields) -> Fields:
    kept: Fields = {}
    for name, value in fields.items():
        if len(encode_fields({**kept, name: value})) <= MAX_FIELDS_BYTES:
            kept[name] = value
    return kept


def _agrees(said: TcString, processing: Processing) -> bool:
    vendor, purposes = processing.tcf_vendor or 0, processing.tcf_purposes
    return said.tolerates(vendor, purposes) if processing.legal_basis == _INTEREST else said.consents(vendor, purposes)


def _unique(field: str, processings: Sequence[Processing]) -> dict[str, Processing]:
    found: dict[str, Processing] = {}
    for number, one in enumerate(processings):
        name = str(getattr(one, field))
        if name and name in found:
            raise CallerError(
                f"another processing has the {field} {name!r}",
                code="bad_definition",
                path=f"processings[{number}].{field}",
            )
        if name:
            found[name] = one
    return found


def _check_tcf(processing: Processing, path: str) -> None:
    if processing.tcf_vendor is None:
        if processing.tcf_purposes:
            raise CallerError("purposes of TCF need a `tcf_vendor`", code="bad_definition", path=f"{path}.tcf_purposes")
        return
    if processing.legal_basis not in ("CONSENT", _INTEREST):
        raise CallerError(
            f"a TCF string says nothing of {processing.legal_basis}: only of CONSENT and {_INTEREST}",
            code="bad_definition",
            path=f"{path}.tcf_vendor",
        )
    never = sorted(_NEVER_INTEREST.intersection(processing.tcf_purposes))
    if processing.legal_basis == _INTEREST and never:
        raise CallerError(
            f"purpose {never[0]} of TCF 2.2 cannot rest on {_INTEREST}",
            code="bad_definition",
            path=f"{path}.tcf_purposes",
        )
