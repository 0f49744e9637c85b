"""What tests of user choices share: steps of processings, events that choose, and what is left of them."""

from engine.definitions.declared.processings import Processing
from engine.model.choices import choices_as_values, decode_choice
from engine.model.fact import FactKind
from engine.pipeline.stage import Keep
from engine.pipeline.user_choices import build
from tests.pipeline.people import NOON, USER, defined, event


def step(*processings, of=None):
    """The step where site 1 is subject to all of these processings, or to those named."""
    ids = tuple(one.id for one in processings) if of is None else of
    return build(defined(processings=processings, processings_of={"site:1": ids}))


def processing(basis="CONSENT", id="p", **fields):
    return Processing(id=id, legal_basis=basis, **fields)


def choose(value=None, at=0, /, **said):
    fields = {"_processing_id": "p"} if not any(key.startswith("_processing") for key in said) else {}
    return event(
        at, "$set_user_choice", **fields, **({} if value is None else {"_choice_acceptance_value": value}), **said
    )


def outcome(verdict):
    return "keep" if isinstance(verdict, Keep) else verdict.reason


def choices(known, user_point=USER):
    """By processing: whether it was accepted, and when, in ms after noon."""
    found = choices_as_values(known.facts.get((1, user_point, FactKind.CHOICES)))
    return {one["$processing_id"]: (one["$choice_acceptance_value"], one["$choice_ts"] - NOON) for one in found}


def history(known):
    found = [decode_choice(row) for row in known.history.values()]
    return sorted((one.ts_ms - NOON, one.processing, one.accepted) for one in found)
