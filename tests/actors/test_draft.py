"""A draft: all that a request would do, in the order in which it will be done, and nothing of it done."""

from engine.actors.draft import Delivery, Draft, control_record, item_record
from engine.actors.examine import Rules, examine
from engine.actors.identities import Overlay as IdentityOverlay
from engine.actors.seen import Overlay as SeenOverlay
from engine.model.channel import ChannelSettings
from engine.model.record import RecordKind, decode_record, record_size_bytes
from engine.store.port import AppendJournal, Count, Db, Put
from tests.actors.routers import point
from tests.clocks import START_MS
from tests.engines import touch, visit

SITE = ChannelSettings(datamart=1, kind="SITE", id="1", version=4)
RULES = Rules({"site:1": SITE}.get, "1", 0, 8000)


def draft(sequence=10):
    return Draft(1, START_MS, START_MS + 5, sequence, IdentityOverlay(), SeenOverlay({}))


def add(draft, user, sent=None):
    examined = examine(sent or visit(1), RULES, arrival_ms=START_MS, process=True)
    unit = examined.units[0]
    record = item_record(draft, examined, point(user), unit.ts_ms, 1, unit.body)
    draft.add(record)
    return record


def merge(draft, survivor, absorbed):
    record = control_record(draft, RecordKind.MERGE, point(survivor), point(absorbed))
    draft.add(record)
    return record


def shape(draft):
    """The routes: user and sequences of a delivery, a merge by its sequence."""
    return [
        (int.from_bytes(route.key[1]), [record.sequence for record in route.records])
        if isinstance(route, Delivery)
        else route.sequence
        for route in draft.routes
    ]


def test_a_users_records_are_one_message_and_sequences_go_on():
    made = draft()
    for user in (1, 2, 1, 1, 2):
        add(made, user)
    assert shape(made) == [(1, [11, 13, 14]), (2, [12, 15])]
    assert made.sequence == 15
    assert made.next_sequence() == 16


def test_what_follows_a_merge_is_delivered_behind_it():
    made = draft()
    add(made, 1)
    add(made, 2)
    merge(made, 1, 2)
    add(made, 1)
    add(made, 1)
    assert shape(made) == [(1, [11]), (2, [12]), 13, (1, [14, 15])]
    assert [delivery.key[1] for delivery in made.deliveries()] == [point(1), point(2), point(1)]


def test_sizes_are_those_of_the_records():
    made = draft()
    records = [add(made, 1), add(made, 2), add(made, 1)]
    assert made.size_bytes == sum(map(record_size_bytes, records))
    assert [one.size_bytes for one in made.deliveries()] == [
        record_size_bytes(records[0]) + record_size_bytes(records[2]),
        record_size_bytes(records[1]),
    ]


def test_items_are_remembered_because_somebody_may_wait_for_them():
    made = draft()
    add(made, 1)
    add(made, 1, touch(1))
    add(made, 2, touch(2))
    assert made.items == [12, 13]


def test_the_transaction_begins_with_the_journal_and_ends_with_the_counts():
    made = draft()
    records = [add(made, 1), merge(made, 1, 2)]
    link = Put(Db.IDENTIFIERS, b"key", b"value")
    made.operations.append(link)
    made.count("events_received", 2)
    made.count("events_received")
    made.count("events_late", 0)
    journal, *others, counts = made.transaction()
    assert isinstance(journal, AppendJournal)
    assert journal.last_arrival_ms == START_MS
    assert [(sequence, decode_record(data)) for sequence, data in journal.records] == [
        (record.sequence, record) for record in records
    ]
    assert others == [link]
    assert counts == Count(1, (("events_received", 3),), START_MS + 5)


def test_nothing_to_do_is_no_transaction():
    made = draft()
    made.count("events_late", 0)
    assert made.transaction() == []


def test_a_record_says_under_which_rules_it_was_taken():
    made = draft()
    event, item = add(made, 1), add(made, 1, touch(1))
    assert (event.kind, event.channel, event.channel_version, event.process) == (RecordKind.EVENT, "site:1", 4, True)
    assert (item.kind, item.channel, item.channel_version) == (RecordKind.ITEM, "", 0)
    assert (event.arrival_ms, event.datamart, event.user_point, event.weight) == (START_MS, 1, point(1), 1)
    close = control_record(made, RecordKind.CLOSE, point(1), b"")
    assert (close.weight, close.channel, close.root, close.event) == (0, "", b"{}", b"")
