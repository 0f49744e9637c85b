"""A commit that fails leaves nothing, and after some failures there is no other."""

import pytest

from engine.errors import StoreBroken, StoreFull
from engine.model.limits import MAX_DATAMART, MAX_TS_MS
from engine.store.checks import MAX_VALUE_BYTES
from engine.store.keys import MAX_KEY_BYTES
from engine.store.port import (
    AddDeadLetter,
    AppendJournal,
    Count,
    Db,
    Delete,
    Operation,
    PurgeExpired,
    Put,
    RemoveJournal,
)
from tests.contract.builders import NOW_MS, absorb, activity, append, point, put_point, seen
from tests.contract.harness import MIB, dump


def batch(start=1):
    """One of everything."""
    return [
        append(start, start + 1),
        activity(b"a", expires_ms=NOW_MS + 1),
        RemoveJournal((start,)),
        Count(1, (("a", 1),), NOW_MS),
        *absorb(point(2), point(1)),
        AddDeadLetter(1, NOW_MS, 1, b"letter", NOW_MS + 1),
        seen("id", expires_ms=NOW_MS + 1),
        Put(Db.STATES, b"state", b"open"),
        Delete(Db.META, b"k"),
        PurgeExpired(NOW_MS, 10),
    ]


TOO_LONG = bytes(MAX_KEY_BYTES + 1)
NEVER = {
    "no key": Put(Db.META, b"", b""),
    "long key": Put(Db.META, TOO_LONG, b""),
    "long key to delete": Delete(Db.META, TOO_LONG),
    "large value": Put(Db.META, b"k", bytes(MAX_VALUE_BYTES + 1)),
    "expires early": Put(Db.SEEN, seen("a", expires_ms=5).key, seen("a", expires_ms=5).value, 4),
    "expires never": Put(Db.META, b"k", b"v", 5),
    "long key that expires": Put(Db.SEEN, bytes(MAX_KEY_BYTES), seen("a", expires_ms=5).value, 5),
    "no seen row": Put(Db.SEEN, b"k", b"v", 5),
    "no user point": Put(Db.USER_POINTS, b"k", put_point(point(1)).value),
    "no user point to delete": Delete(Db.USER_POINTS, b"k"),
    "no user point row": Put(Db.USER_POINTS, put_point(point(1)).key, b"row"),
    "negative sequence": AppendJournal(((-1, b""),), NOW_MS),
    "negative arrival": AppendJournal((), -1),
    "negative sequence to remove": RemoveJournal((-1,)),
    "datamart": activity(datamart=MAX_DATAMART + 1),
    "time": activity(ts_ms=MAX_TS_MS + 1),
    "user point": activity(user_point=b"short"),
    "weight": activity(weight=-1),
    "expiry": activity(expires_ms=0),
    "late expiry": activity(expires_ms=MAX_TS_MS + 1),
    "time of counting": activity(counted_at_ms=-1),
    "large activity": activity(bytes(MAX_VALUE_BYTES + 1)),
    "counter name": Count(1, (("", 1),), NOW_MS),
    "counter time": Count(1, (("a", 1),), -1),
    "counter datamart": Count(-1, (("a", 1),), NOW_MS),
    "letter": AddDeadLetter(1, -1, 1, b"", 5),
    "letter expiry": AddDeadLetter(1, 1, 1, b"", -5),
    "purge": PurgeExpired(-1, 5),
    "purge limit": PurgeExpired(1, -5),
    "unknown": Operation(),
}


@pytest.mark.parametrize("name", NEVER)
def test_what_could_never_be_written_is_named_and_leaves_nothing(store, name):
    operation = NEVER[name]
    before = dump(store)
    for attempt in (store.check, store.commit):
        with pytest.raises(ValueError, match=f"^{type(operation).__name__}: "):
            attempt([*batch(), operation])
    assert dump(store) == before
    store.check(batch())
    store.commit(batch())
    assert dump(store) != before, "and the rest goes through without it"


def test_an_operation_out_of_order_leaves_nothing(store):
    store.commit(batch())
    before = dump(store)
    with pytest.raises(ValueError, match="sequence"):
        store.commit([*batch(3)[1:], append(1)])
    assert dump(store) == before


def test_a_full_disk_leaves_nothing_and_the_same_batch_succeeds_later(harness, store):
    store.commit([Put(Db.META, b"k", b"v")])
    before = dump(store)
    with harness.full_disk(store):
        for _ in range(3):
            with pytest.raises(StoreFull):
                store.commit(batch())
            assert dump(store) == before, "reads go on"
            assert store.statistics().broken == ""
    store.commit(batch())
    assert store.get(Db.STATES, b"state") == b"open"


def test_a_full_store_leaves_nothing_of_the_batch_that_did_not_fit(harness):
    store = harness.open(capacity_bytes=MIB)
    store.commit(batch())
    before = dump(store)
    large = [Put(Db.DEFINITIONS, bytes((one,)), bytes(100_000)) for one in range(20)]
    for _ in range(2):
        with pytest.raises(StoreFull):
            store.commit([append(10), *large])
        assert dump(store) == before
    store.commit([append(10), *large[:2]])
    assert len(store.page(Db.DEFINITIONS)) == 2


def test_after_a_failed_commit_nothing_is_ever_written(harness, store):
    store.commit([Put(Db.META, b"k", b"v")])
    before = dump(store)
    harness.break_disk(store)
    with pytest.raises(StoreBroken):
        store.commit(batch())
    harness.mend_disk(store)
    for _ in range(2):
        with pytest.raises(StoreBroken):
            store.commit([Put(Db.META, b"k", b"w")])
    assert store.statistics().broken
    assert dump(store) == before, "what is there can still be read"


def test_after_opening_again_what_was_committed_is_there(harness, store):
    store.commit(batch())
    before = dump(store)
    harness.break_disk(store)
    with pytest.raises(StoreBroken):
        store.commit(batch(3))
    harness.mend_disk(store)
    store = harness.reopen(store)
    assert dump(store) == before
    store.commit(batch(3))
