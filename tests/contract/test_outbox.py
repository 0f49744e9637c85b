"""Rows of the outbox count what waits, in the transaction that writes or removes them."""

import pytest

from engine.store.keys import outbox_key
from engine.store.layout import OutboxRow, encode_outbox
from engine.store.port import Db, Delete, Put
from engine.store.reads import counter_totals
from tests.contract.builders import NOW_MS


def row(number, destination="crm", datamart=1, due_ms=NOW_MS, body=b"{}"):
    key = outbox_key(datamart, destination, due_ms, number.to_bytes(16))
    return Put(Db.OUTBOX, key, encode_outbox(OutboxRow(destination, "", body, NOW_MS)))


def waiting(store, datamart=1):
    return {name: n for name, n in counter_totals(store, datamart).items() if name.startswith("outbox_waiting") and n}


def test_what_waits_is_counted_in_all_and_by_destination(store):
    store.commit([row(1), row(2), row(3, "erp"), row(4, datamart=2)])
    assert waiting(store) == {"outbox_waiting": 3, "outbox_waiting.crm": 2, "outbox_waiting.erp": 1}
    assert waiting(store, 2) == {"outbox_waiting": 1, "outbox_waiting.crm": 1}
    store.commit([Delete(Db.OUTBOX, row(1).key), Delete(Db.OUTBOX, row(9).key)])
    assert waiting(store) == {"outbox_waiting": 2, "outbox_waiting.crm": 1, "outbox_waiting.erp": 1}


def test_one_that_is_written_again_or_moved_counts_once(store):
    store.commit([row(1), row(1, body=b"[]")])
    store.commit([row(1)])
    store.commit([Delete(Db.OUTBOX, row(1).key), row(1, due_ms=NOW_MS + 5)])
    assert waiting(store) == {"outbox_waiting": 1, "outbox_waiting.crm": 1}


def test_a_destination_that_no_definition_can_have_has_a_common_label(store):
    store.commit([row(1, "x" * 500), row(2, "a b")])
    assert waiting(store) == {"outbox_waiting": 2, "outbox_waiting.other": 2}


@pytest.mark.parametrize(
    "wrong",
    [Put(Db.OUTBOX, b"short", b""), Put(Db.OUTBOX, row(1).key, b"no row"), Delete(Db.OUTBOX, b"short")],
)
def test_what_is_no_row_is_refused_before_it_joins_a_batch(store, wrong):
    with pytest.raises(ValueError, match=r"Put|Delete"):
        store.check([wrong])
