"""kill -9 at any time: every acknowledged event is there after the restart, exactly once (decision 17)."""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from engine import SchemaTooNew, StoreLocked, open_engine
from engine.store.environment import LmdbStore
from engine.store.layout import META_SCHEMA, encode_number
from engine.store.port import SCHEMA_VERSION, Db, Put
from tests.contract.harness import rows
from tests.engines import check_books, engine_on, gauges, statistics, until, visit
from tests.faults.child import settings_for

ROOT = Path(__file__).parent.parent.parent
TURNS = 7


@contextmanager
def engine_process(directory, turn):
    """A process with an engine at work, and the lines it prints; it is killed in the end."""
    command = [sys.executable, "-m", "tests.faults.child", str(directory), str(turn)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            opened = process.stdout.readline()
            errors.seek(0)
            assert opened == b"open\n", errors.read().decode()
            yield process.stdout
        finally:
            process.kill()


def acknowledged_before_the_kill(directory, turn, lines):
    """Ids that an engine said were safe until it was killed, behind so many of them."""
    with engine_process(directory, turn) as output:
        found = [output.readline() for _ in range(lines)]
    return [line.removeprefix(b"safe ").decode().strip() for line in found if line.startswith(b"safe ")]


@pytest.mark.slow
def test_every_acknowledged_event_survives_any_number_of_kills_exactly_once(tmp_path):
    chance = random.Random(os.urandom(8))
    safe = set()
    for turn in range(TURNS):
        lines = chance.choice([0, 1, 5, 40, 200, 800, 2000])
        safe.update(acknowledged_before_the_kill(tmp_path, turn, lines))

    async def look():
        async with open_engine(settings_for(str(tmp_path))) as engine:
            await engine.wait_recovered()
            await engine.close_sessions()
            store = engine.reader._store
            await until(lambda: not store.page(Db.JOURNAL, limit=1))
            check_books(engine)
            assert (statistics(engine)["events_open"], rows(store, Db.STATES)) == (0, [])
            assert statistics(engine)["events_dead"] == 0
            assert gauges(engine)["recovery_orphans"] == gauges(engine)["recovery_damaged_states"] == 0
            return Counter(
                event["$event_id"]
                for _, value in rows(store, Db.ACTIVITIES)
                for event in json.loads(value[9:])["$events"]
            )

    found = trio.run(look)
    assert set(found.values()) <= {1}, "stored twice"
    assert safe <= found.keys(), f"{len(safe - found.keys())} of {len(safe)} acknowledged events are lost"


@pytest.mark.slow
def test_a_second_engine_on_the_directory_is_refused_and_the_first_goes_on(tmp_path):
    with engine_process(tmp_path, 0) as output:

        async def second():
            async with open_engine(settings_for(str(tmp_path))):
                pass

        with pytest.raises(StoreLocked, match="another engine"):
            trio.run(second)
        for _ in range(50):
            assert output.readline().endswith(b"\n")


async def test_a_store_of_a_newer_schema_is_refused_and_untouched(tmp_path):
    settings = settings_for(str(tmp_path))
    async with engine_on(None, None, settings) as engine:
        await engine.accept([visit(1)]).durable()
    store = LmdbStore.open(settings.storage)
    store.commit([Put(Db.META, META_SCHEMA, encode_number(SCHEMA_VERSION + 1))])
    store.close()
    before = (tmp_path / "data.mdb").read_bytes()
    with pytest.raises(SchemaTooNew, match=str(SCHEMA_VERSION + 1)):
        async with open_engine(settings):
            pass
    assert (tmp_path / "data.mdb").read_bytes() == before


async def test_two_engines_of_one_process_do_not_share_a_directory(tmp_path):
    settings = settings_for(str(tmp_path))
    async with open_engine(settings):
        with pytest.raises(StoreLocked):
            async with open_engine(settings):
                pass
    async with open_engine(settings):
        pass
