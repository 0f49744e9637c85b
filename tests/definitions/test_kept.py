"""From what is kept to what is declared: what is different, which versions there are, and nothing more is written."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.definitions import kept as kept_module
from engine.definitions.kept import (
    DEFINITION_PREFIX,
    HEAD_PREFIX,
    OLDER_PREFIX,
    Head,
    Kept,
    changed,
    definition_key,
    older_prefix,
    read_head,
    read_kept,
    value_of,
)
from engine.definitions.kinds import KINDS, definitions_of
from engine.definitions.restored import restored
from engine.errors import BadDefinition
from tests.definitions.files import declared, full, tables


class Shelf:
    """What a store would keep of it."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.now_ms = 0

    def apply(self, one):
        self.now_ms += 1000
        done = changed(one, self.head(one.id), self.kept(), self.now_ms)
        self.rows.update(done.rows.put)
        for key in done.rows.delete:
            self.rows.pop(key, None)
        return done

    def head(self, datamart=1) -> Head | None:
        value = self.rows.get(HEAD_PREFIX + datamart.to_bytes(4, "big"))
        return None if value is None else read_head(value)

    def kept(self) -> dict:
        found = [read_kept(value) for key, value in self.rows.items() if key.startswith(DEFINITION_PREFIX)]
        return {(one.datamart, one.kind, one.id): one for one in found}

    def older(self, kind, name) -> list[Kept]:
        prefix = older_prefix((1, kind, name))
        return [read_kept(self.rows[key]) for key in sorted(self.rows) if key.startswith(prefix)]


def goals(*names, **fields):
    return declared(goal=[{"id": name, **fields} for name in names]).datamarts[0]


def told(done) -> list[str]:
    return [f"{one.what} {one.kind} {one.id} v{one.version}" for one in done.changes]


def test_a_first_apply_adds_all_and_a_second_writes_nothing():
    shelf, one = Shelf(), full().datamarts[0]
    done = shelf.apply(one)
    assert {change.what for change in done.changes} == {"added"}
    assert {change.kind for change in done.changes} == set(KINDS)
    assert [change.kind for change in done.changes] == sorted(
        (change.kind for change in done.changes), key=list(KINDS).index
    )
    again = shelf.apply(one)
    assert (again.changes, again.rows.put, again.rows.delete) == ((), (), ())
    assert shelf.head().version == 1


def test_what_is_kept_is_what_was_declared():
    shelf, (first, second) = Shelf(), full().datamarts
    shelf.apply(first)
    shelf.apply(second)
    for one in (first, second):
        back = restored(shelf.head(one.id), shelf.kept())
        assert back.definition == one
        assert back.aside == ()
        assert back.version == 1


def test_what_was_said_and_what_was_not_is_told_apart():
    for one in (declared(), declared(channel=[]), declared(compartment=[], name="")):
        shelf = Shelf()
        shelf.apply(one.datamarts[0])
        assert restored(shelf.head(), shelf.kept()).definition == one.datamarts[0]


def test_versions_rise_with_each_change_removal_and_return():
    shelf = Shelf()
    assert told(shelf.apply(goals("a", "b"))) == ["added datamart 1 v1", "added goal a v1", "added goal b v1"]
    assert told(shelf.apply(goals("a", "b", status="PAUSED"))) == ["changed goal a v2", "changed goal b v2"]
    assert told(shelf.apply(goals("a", status="PAUSED"))) == ["removed goal b v3"]
    assert told(shelf.apply(goals("a", status="PAUSED"))) == []
    assert told(shelf.apply(goals("a", "b"))) == ["changed goal a v3", "added goal b v4"]
    assert shelf.head().version == 4
    newest = shelf.kept()[1, "goal", "b"]
    assert (newest.version, newest.created_ms, newest.changed_ms, newest.removed) == (4, 1000, 5000, False)
    older = shelf.older("goal", "b")
    assert [(one.version, one.removed, one.changed_ms) for one in older] == [
        (1, False, 1000),
        (2, False, 2000),
        (3, True, 3000),
    ]
    assert [value_of(one).status for one in older] == ["ACTIVE", "PAUSED", "PAUSED"]


def test_another_order_is_a_change_of_the_kind_and_of_no_definition():
    shelf = Shelf()
    shelf.apply(goals("a", "b", "c"))
    assert told(shelf.apply(goals("c", "a", "b"))) == ["ordered goal  v0"]
    assert [one.id for one in restored(shelf.head(), shelf.kept()).definition.goals] == ["c", "a", "b"]
    assert told(shelf.apply(goals("c", "x", "b"))) == ["added goal x v1", "removed goal a v2"]


def test_the_fields_that_differ_are_told_with_old_and_new():
    shelf = Shelf()
    shelf.apply(full().datamarts[0])
    data = tables()
    mart = data["datamart"][0]
    mart["name"] = "Store"
    mart["channel"][0] |= {"gap_ms": 1, "analyzers": ["prices", "names"]}
    mart["catalog"][0]["product"][0]["price"] = 13
    mart["catalog"][0]["product"].pop()
    mart["event_rule"][0]["event_template"]["$properties"] = {"$keywords": "x"}
    mart["event_rule"][2]["salt"] = "sugar"
    mart["automation"][0]["node"][0]["delay_ms"] = 5
    mart["automation"][0]["node"].insert(2, {"id": "end", "type": "END_NODE"})
    mart["destination"][0] |= {"secret": "another-long-secret", "headers": {"authorization": "x", "x-more": "y"}}
    mart["segment"][0].pop("expires_ms")
    done = shelf.apply(declared(**{name: value for name, value in mart.items() if name != "id"}).datamarts[0])
    found = {f"{one.kind} {one.id}": {f.path: (f.old, f.new) for f in one.fields} for one in done.changes}
    assert found == {
        "datamart 1": {"name": ("Shop", "Store")},
        "channel site:1": {"gap_ms": (900_000, 1), "analyzers": (["names", "prices"], ["prices", "names"])},
        "catalog products": {
            "product[p0].price": (12.5, 13.0),
            "product[p2]": (
                {
                    "id": "p2",
                    "url": "https://shop.example/p/2",
                    "name": "",
                    "categories": [],
                    "brand": "",
                    "price": 3.0,
                    "ean": "",
                    "extra": {},
                },
                None,
            ),
        },
        "event_rule search": {"event_template.$properties.$keywords": (":terms", "x")},
        "event_rule mail": {"salt": ("***", "***")},
        "automation welcome": {
            "node[later].delay_ms": (86_400_000, 5),
            "node[end]": (None, {"type": "END_NODE", "id": "end", "name": "", "next": ""}),
        },
        "destination crm": {
            "secret": ("***", "***"),
            "headers.authorization": ("***", "***"),
            "headers.x-more": (None, "***"),
        },
        "segment buyers": {"expires_ms": (2_592_000_000, None)},
    }


def test_a_difference_is_bounded(monkeypatch: pytest.MonkeyPatch):
    shelf = Shelf()
    rows = [{"id": str(number), "url": "u"} for number in range(300)]
    shelf.apply(declared(catalog=[{"id": "c", "product": rows}]).datamarts[0])
    done = shelf.apply(
        declared(catalog=[{"id": "c", "product": [], "category": [{"id": "x" * 9000, "url": "u"}]}]).datamarts[0]
    )
    (change,) = done.changes
    assert (len(change.fields), change.more_fields) == (100, 201)
    (field,) = shelf.apply(declared(catalog=[{"id": "c"}]).datamarts[0]).changes[0].fields
    assert len(field.old) == 500


def test_older_versions_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_module, "MAX_OLDER", 3)
    shelf = Shelf()
    for number in range(1, 10):
        shelf.apply(goals("a", default_goal_value=number))
    assert [one.version for one in shelf.older("goal", "a")] == [6, 7, 8]


def test_of_a_large_definition_fewer_versions_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_module, "MAX_OLDER", 10)
    shelf = Shelf()
    for number in range(8):
        shelf.apply(goals("a", name=str(number)))
    assert len(shelf.older("goal", "a")) == 7
    size = len(bytes(shelf.kept()[1, "goal", "a"].value))
    monkeypatch.setattr(kept_module, "MAX_OLDER_BYTES", 2 * size)
    shelf.apply(goals("a", name="x"))
    assert [one.version for one in shelf.older("goal", "a")] == [7, 8]
    monkeypatch.setattr(kept_module, "MAX_OLDER_BYTES", 1)
    shelf.apply(goals("a", name="y"))
    assert [one.version for one in shelf.older("goal", "a")] == [9]


def test_of_many_removed_ones_the_first_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_module, "MAX_REMOVED", 2)
    shelf = Shelf()
    for name in "abcde":
        shelf.apply(goals(name))
        shelf.apply(goals(name, status="PAUSED"))
    assert {name for _, kind, name in shelf.kept() if kind == "goal"} == {"c", "d", "e"}
    assert not shelf.older("goal", "a")
    assert not shelf.older("goal", "b")
    assert told(shelf.apply(goals("a"))) == ["added goal a v1", "removed goal e v3"]


def test_what_cannot_be_read_any_more_is_replaced_by_what_is_declared():
    shelf = Shelf()
    shelf.apply(goals("a"))
    key = definition_key((1, "goal", "a"))
    row = read_kept(shelf.rows[key])
    shelf.rows[key] = msgspec.json.encode({**msgspec.structs.asdict(row), "value": {"id": "a", "gone": 1}})
    back = restored(shelf.head(), shelf.kept())
    assert back.definition.goals == ()
    assert [(one.kind, one.id) for one in back.aside] == [("goal", "a")]
    assert "gone" in back.aside[0].why
    assert told(shelf.apply(goals("a"))) == ["changed goal a v2"]
    assert restored(shelf.head(), shelf.kept()).aside == ()


def test_a_row_that_is_not_there_is_set_aside():
    shelf = Shelf()
    shelf.apply(goals("a", "b"))
    del shelf.rows[definition_key((1, "goal", "a"))]
    back = restored(shelf.head(), shelf.kept())
    assert [one.id for one in back.definition.goals] == ["b"]
    assert [(one.id, one.why) for one in back.aside] == [("a", "its row is not there")]


@pytest.mark.parametrize("read", [read_kept, read_head])
@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"datamart":"x"}'])
def test_a_damaged_row_is_no_callers_fault(read, value):
    with pytest.raises(ValueError) as refused:
        read(value)
    assert not isinstance(refused.value, BadDefinition)


NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)
STEPS = st.lists(st.tuples(NAMES, st.sampled_from(["ACTIVE", "PAUSED"]), NAMES), min_size=1, max_size=8)


@settings(max_examples=60)
@given(STEPS)
def test_after_any_applies_what_is_kept_is_the_last_and_the_difference_says_all(steps):
    shelf, before = Shelf(), None
    for names, status, segments in steps:
        one = declared(
            goal=[{"id": name, "status": status} for name in names], segment=[{"id": name} for name in segments]
        ).datamarts[0]
        done = shelf.apply(one)
        assert restored(shelf.head(), shelf.kept()).definition == one
        assert bool(done.changes) == (one != before)
        assert bool(done.rows.put) == (one != before)
        rows_of = {kind.name: {str(getattr(row, "id", "")): row for row in rows} for kind, rows in definitions_of(one)}
        was = (
            {}
            if before is None
            else {
                kind.name: {str(getattr(row, "id", "")): row for row in rows} for kind, rows in definitions_of(before)
            }
        )
        for change in done.changes:
            old, new = was.get(change.kind, {}).get(change.id), rows_of[change.kind].get(change.id)
            match change.what:
                case "added":
                    assert old is None
                    assert new is not None
                case "removed":
                    assert old is not None
                    assert new is None
                case "changed":
                    assert old != new
        before = one
    assert all(key.startswith((DEFINITION_PREFIX, OLDER_PREFIX, HEAD_PREFIX)) for key in shelf.rows)
