"""The reader: everything that is stored, for whoever asks, beside a running engine or without one."""

import pytest
import trio
from msgspec import structs

from engine import (
    Condition,
    Filters,
    MemoryStore,
    Selector,
    Settings,
    StoreLocked,
    StoreMissing,
    open_engine,
    open_reader,
)
from engine import reader as module
from engine.settings import StorageSettings
from tests.engines import (
    MINUTE_MS,
    HandClock,
    check_books,
    engine_on,
    numbers,
    point_of,
    quiet,
    touch,
    visit,
)

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def clock():
    return HandClock()


async def with_touches(store, clock, *times, **fields):
    """An engine's stored touches at these times behind now; returns the user point."""
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        receipt = engine.accept([touch(number, now + ts, **fields) for number, ts in enumerate(times)])
        await receipt.durable()
        await quiet(engine)
    return point_of(receipt)


def reader_of(store, clock):
    return module.Reader(store.reopen(), clock.wall_ms)


async def test_the_newest_comes_first_and_pages_go_on_before_a_time(clock):
    store = MemoryStore()
    point = await with_touches(store, clock, *range(-250, 0))
    reader = reader_of(store, clock)
    read = reader.activities(1, point, limit=1000)
    assert [numbers(one) for one in read] == [[number] for number in reversed(range(250))]
    now = clock.now_ms()
    assert [numbers(one) for one in reader.activities(1, point, limit=3, before_ms=now - 100)] == [[149], [148], [147]]
    assert len(reader.activities(1, point)) == 50
    assert reader.activities(1, point, limit=0) == []
    assert reader.activities(1, NOBODY) == reader.activities(2, point) == []


async def test_bounds_of_time_are_both_included(clock):
    store = MemoryStore()
    point = await with_touches(store, clock, *range(-10, 0))
    reader, now = reader_of(store, clock), clock.now_ms()

    def read(**options):
        filters = Filters(**{name: now + value for name, value in options.items() if name != "before_ms"})
        before_ms = now + options["before_ms"] if "before_ms" in options else None
        return [
            number
            for one in reader.activities(1, point, filters=filters, before_ms=before_ms)
            for number in numbers(one)
        ]

    assert read(start_ms=-7, end_ms=-5) == [5, 4, 3]
    assert read(start_ms=-7) == [9, 8, 7, 6, 5, 4, 3]
    assert read(end_ms=-8) == [2, 1, 0]
    assert read(end_ms=-5, before_ms=-7) == [2, 1, 0]
    assert read(end_ms=-7, before_ms=-5) == [3, 2, 1, 0]


async def test_filters_look_at_as_many_as_it_takes(clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        now = clock.now_ms()
        receipt = engine.accept([touch(number, now - number, place=str(number % 100)) for number in range(500)])
        await receipt.durable()
        await quiet(engine)
        rare = Filters((Condition("$place", ("7",)),))
        found = engine.reader.activities(1, point_of(receipt), filters=rare, limit=3)
        assert [numbers(one) for one in found] == [[7], [107], [207]]


async def test_a_list_is_bounded_in_bytes_and_never_empty_for_that(clock, monkeypatch):
    store = MemoryStore()
    point = await with_touches(store, clock, *range(20))
    size = len(reader_of(store, clock).activities(1, point, limit=1)[0])
    monkeypatch.setattr(module, "MAX_READ_BYTES", 3 * size + 10)
    assert len(reader_of(store, clock).activities(1, point)) == 3
    monkeypatch.setattr(module, "MAX_READ_BYTES", 1)
    assert len(reader_of(store, clock).activities(1, point)) == 1


async def test_an_expired_activity_is_gone_from_reads_at_once(clock):
    store = MemoryStore()
    point = await with_touches(store, clock, 0, ttl=2)
    reader = reader_of(store, clock)
    clock.pass_ms(2 * MINUTE_MS - 1)
    assert len(reader.activities(1, point)) == 1
    clock.pass_ms(1)
    assert reader.activities(1, point) == []


async def test_people_are_found_by_any_of_their_identifiers(clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        receipt = engine.accept([visit(1, user="a", user_account_id="ann", email_hash={"$hash": "AB"})])
        await receipt.durable()
        clock.pass_ms(5)
        await engine.accept([visit(2, user="b", user_account_id="ann")]).durable()
    reader, point = reader_of(store, clock), point_of(receipt)
    for name in (
        "user_agent_id=a",
        "user_agent_id=b",
        "email_hash=ab",
        "compartment_id=1,user_account_id=ann",
        point,
        f"user_point_id={point}",
    ):
        assert reader.find_user_point(1, Selector.parse(name)) == point
        assert reader.find_user_point(2, Selector.parse(name)) is None
    for name in ("user_agent_id=c", NOBODY, "compartment_id=2,user_account_id=ann"):
        assert reader.find_user_point(1, Selector.parse(name)) is None
    start = clock.now_ms() - 5
    assert reader.identifiers(1, point) == [
        {"$type": "USER_ACCOUNT", "$compartment_id": "1", "$user_account_id": "ann", "creation_ts": start},
        {"$type": "USER_EMAIL", "$hash": "ab", "creation_ts": start},
        {"$type": "USER_AGENT", "$user_agent_id": "a", "creation_ts": start},
        {"$type": "USER_AGENT", "$user_agent_id": "b", "creation_ts": start + 5},
    ]
    assert reader.identifiers(1, NOBODY) == []


async def test_dead_letters_come_newest_first_and_page_by_page(clock):
    store = MemoryStore()
    async with engine_on(store, clock) as engine:
        for number in range(250):
            engine.reject(b"line %d" % number, reason="bad_line", stage="test")
            clock.pass_ms(1)
        await quiet(engine)
        check_books(engine)
    reader = reader_of(store, clock)
    assert [one.payload for one in reader.dead_letters(limit=240)] == [b"line %d" % n for n in range(249, 9, -1)]
    first = reader.dead_letters(limit=100)
    behind = reader.dead_letters(limit=1000, after=first[-1].place)
    assert len(first) + len(behind) == 250
    assert behind[0].payload == b"line 149"
    assert (first[0].reason, first[0].stage, first[0].events, first[0].user_point) == ("bad_line", "test", 1, "")
    assert first[0].ts_ms == clock.wall_ms() - 1
    assert reader.dead_letters(2) == []


async def test_an_empty_store_has_statistics_of_nothing(clock):
    reader = module.Reader(MemoryStore(), clock.wall_ms)
    assert {value for value in reader.statistics().values() if not isinstance(value, dict)} == {0}
    assert reader.statistics(1) == reader.statistics()
    assert (reader.counters(), reader.last_place(), reader.count_open_events()) == ({}, (0, 0), {})


async def test_statistics_of_one_datamart_and_of_all(clock):
    two = structs.replace(Settings(), datamarts=(*Settings().datamarts, structs.replace(Settings().datamarts[0], id=2)))
    async with engine_on(MemoryStore(), clock, two) as engine:
        engine.accept([touch(1), touch(2)])
        engine.accept([touch(3)], datamart=2)
        await quiet(engine)
        assert [engine.reader.statistics(one)["events_stored"] for one in (1, 2, None)] == [2, 1, 3]
        assert set(engine.reader.counters()) == {1, 2}


async def test_a_store_on_disk_is_read_by_another_process_or_after_the_engine(tmp_path, clock):
    settings = structs.replace(
        Settings(), storage=StorageSettings(data_dir=str(tmp_path / "store"), map_size_bytes=1 << 20)
    )
    async with open_engine(settings, clock=clock) as engine:
        receipt = engine.accept([touch(1, 5), visit(2)])
        assert await receipt.stored()
        with pytest.raises(StoreLocked), open_reader(tmp_path / "store"):
            pass  # In this process the engine's own reader serves.
        assert [numbers(one) for one in engine.reader.activities(1, point_of(receipt))] == [[1]]
    with open_reader(tmp_path / "store") as reader:
        assert [numbers(one) for one in reader.activities(1, point_of(receipt))] == [[1]]
        assert (reader.statistics()["events_open"], reader.count_open_events()) == (1, {1: 1})


def test_where_there_is_no_store_there_is_nothing_to_read(tmp_path):
    with pytest.raises(StoreMissing), open_reader(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


async def test_reading_in_threads_does_not_stop_the_engine(clock):
    async with engine_on(MemoryStore(), clock) as engine:
        point = point_of(engine.accept([touch(number, number) for number in range(200)]))
        await quiet(engine)
        found = []

        async def read():
            found.append(len(await engine.activities(1, point, limit=1000)))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(read)
            for number in range(200, 220):
                engine.accept([touch(number, number)])
                await trio.lowlevel.checkpoint()
        assert all(200 <= one <= 220 for one in found)
