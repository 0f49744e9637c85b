"""Operations and rows with the parts that a test does not care about filled in."""

from engine.model.record import Record, RecordKind, encode_record
from engine.store.keys import SeenKind, seen_key, user_point_key
from engine.store.layout import SeenRow, UserPointRow, encode_seen, encode_user_point
from engine.store.port import AppendJournal, Db, Put, StoreActivity

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000


def point(number):
    """A user point."""
    return bytes(15) + bytes((number,))


def unique(number):
    """A unique key."""
    return bytes((number,)) + bytes(15)


def record(sequence, *, weight=1, datamart=1, user_point=None, arrival_ms=NOW_MS, body=b"{}"):
    return Record(
        sequence=sequence,
        kind=RecordKind.EVENT,
        arrival_ms=arrival_ms,
        datamart=datamart,
        user_point=user_point or point(1),
        channel="site:1",
        channel_version=1,
        ts_ms=arrival_ms,
        weight=weight,
        process=True,
        root=b"{}",
        event=body,
    )


def append(*sequences, arrival_ms=NOW_MS, **fields):
    """Records of these sequences at the end of the journal."""
    made = [(one, encode_record(record(one, arrival_ms=arrival_ms, **fields))) for one in sequences]
    return AppendJournal(tuple(made), arrival_ms)


def activity(
    value=b"{}",
    *,
    ts_ms=NOW_MS,
    key=1,
    user_point=None,
    weight=1,
    expires_ms=None,
    datamart=1,
    counted_at_ms=NOW_MS,
    effects=(),
):
    return StoreActivity(
        datamart=datamart,
        user_point=user_point or point(1),
        ts_ms=ts_ms,
        unique_key=unique(key),
        value=value,
        weight=weight,
        expires_ms=expires_ms,
        counted_at_ms=counted_at_ms,
        effects=effects,
    )


def put_point(user_point, *, datamart=1, **fields):
    """The row of a user point."""
    row = UserPointRow(**{"first_sequence": 1, **fields})
    return Put(Db.USER_POINTS, user_point_key(datamart, user_point), encode_user_point(row))


def absorb(survivor, *absorbed):
    """The rows of a user point that absorbed others."""
    return [put_point(survivor, aliases=absorbed), *(put_point(one, alias_of=survivor) for one in absorbed)]


def seen(text, *, expires_ms, datamart=1, digest=b""):
    """An event id that was seen."""
    key = seen_key(datamart, SeenKind.EVENT, text)
    return Put(Db.SEEN, key, encode_seen(SeenRow(expires_ms, digest)), expires_ms)
