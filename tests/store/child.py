"""What tests run in another process: `python -m tests.store.child VERB DIRECTORY [BYTES]`.

Every answer is one line, so that the test knows how far the child is.
"""

import resource
import sys
from pathlib import Path

from engine.errors import StoreFull
from engine.settings import StorageSettings
from engine.store import journal
from engine.store.environment import LmdbStore
from engine.store.port import Db, RemoveJournal
from tests.contract.builders import activity, append

BATCH = 20


def open_store(directory):
    return LmdbStore.open(StorageSettings(data_dir=directory, map_size_bytes=1 << 18, max_map_size_bytes=1 << 30))


def say(*words):
    print(*words, flush=True)


def batch(first):
    """The records of a batch, an activity for each, and every other record leaves again at once."""
    sequences = range(first, first + BATCH)
    yield append(*sequences, body=b"x" * 300)
    for sequence in sequences:
        yield activity(b"%d" % sequence, ts_ms=sequence)
    yield RemoveJournal(tuple(sequence for sequence in sequences if sequence % 2))


def commit(directory):
    """Commit batch after batch until killed; each line is the last sequence that is durable."""
    store = open_store(directory)
    say(journal.last_sequence(store))
    while True:
        first = journal.last_sequence(store) + 1
        store.commit(list(batch(first)))
        say(first + BATCH - 1)


def limit(directory, size_bytes):
    """Commit until no file may grow, say why; then without the limit the same batch again, say the last sequence."""
    store = open_store(directory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.RLIM_INFINITY))
    while True:
        first = journal.last_sequence(store) + 1
        try:
            store.commit(list(batch(first)))
        except StoreFull as error:
            say(error.__cause__.code, journal.last_sequence(store))
            break
    try:
        store.commit(list(batch(first)))
    except StoreFull:
        say("full", journal.last_sequence(store))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.commit(list(batch(first)))
    say(journal.last_sequence(store))
    store.close()


def read(directory):
    """Open for reading; for every line that comes in, say how many activities there are and how large the map is."""
    store = LmdbStore.open_reader(Path(directory))
    say("open")
    for _ in sys.stdin:
        found = len(store.page(Db.ACTIVITIES, limit=10**6, max_bytes=1 << 30))
        say(found, store.statistics().map_size_bytes)


if __name__ == "__main__":
    verb, directory, *rest = sys.argv[1:]
    {"commit": commit, "limit": limit, "read": read}[verb](directory, *map(int, rest))
