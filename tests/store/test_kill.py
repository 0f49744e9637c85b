"""Killed at any moment: the file is sound, and every commit that was acknowledged is there, whole."""

import random

import pytest
from lmdb.verify import verify

from engine.store import journal
from engine.store.environment import LmdbStore
from engine.store.keys import split_activity_key
from engine.store.port import Db
from engine.store.reads import counter_totals
from tests.store.child import BATCH
from tests.store.processes import child

ROUNDS = 5


@pytest.mark.slow
def test_after_a_kill_every_acknowledged_commit_is_there(tmp_path):
    directory = tmp_path / "store"
    chance = random.Random(7)
    last = 0
    for _ in range(ROUNDS):
        with child("commit", directory) as writer:
            assert int(writer.line()[0]) >= last
            for _ in range(chance.randint(1, 30)):
                last = int(writer.line()[0])
        # It may have got further than it had time to say.
        assert verify(str(directory)) == []
        store = LmdbStore.open_reader(directory)
        stored = journal.last_sequence(store)
        assert stored >= last
        assert stored % BATCH == 0, "a batch is there or it is not"
        activities = store.page(Db.ACTIVITIES, limit=10**6, max_bytes=1 << 30)
        assert sorted(split_activity_key(key).ts_ms for key, _ in activities) == list(range(1, stored + 1))
        assert [one.sequence for one in journal.walk_records(store)] == list(range(2, stored + 1, 2))
        assert counter_totals(store, 1)["events_open"] == stored // 2
        assert counter_totals(store, 1)["events_stored"] == stored
        store.close()
        last = stored
