"""`$location` of an address: what of a record it says, whose address is looked up, and what is kept of it."""

import json
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import BadSettings, MemoryStore, Selector, VisitorSettings, open_engine
from engine.store.port import Db
from gateway.collect import location
from gateway.collect.collect import Collect
from gateway.collect.location import Locator, location_of, network_of, open_locator, public_address
from tests.gateway import mmdb
from tests.gateway.engines import call, memory_collect, plane_of, settings_for_tests

PARIS = {
    "city": {"geoname_id": 2988507, "names": {"de": "Paris (DE)", "en": "Paris"}},
    "country": {"iso_code": "FR", "names": {"en": "France", "fr": "La France"}},
    "location": {"latitude": 48.8566, "longitude": 2.3522, "time_zone": "Europe/Paris"},
    "postal": {"code": "75001"},
    "subdivisions": [
        {"iso_code": "IDF", "names": {"en": "Île-de-France"}},
        {"iso_code": "75", "names": {"en": "Paris"}},
    ],
}
PARIS_SAID = {
    "$source": "IP",
    "$country": "France",
    "$region": "Île-de-France",
    "$iso_region": "FR-IDF",
    "$city": "Paris",
    "$zip_code": "75001",
    "$latlon": [48.8566, 2.3522],
}
JAPAN = {"country": {"iso_code": "JP", "names": {"en": "Japan"}}}
ODD = {"country": {"iso_code": "XX"}, "subdivisions": [], "location": {"latitude": 1.5}}
NETWORKS = {
    "81.2.69.0/24": PARIS,
    "89.160.20.112/28": JAPAN,
    "89.160.21.0/24": {},
    "2a02:cf40::/32": JAPAN,
    "2a03::1/128": PARIS,
    "192.168.0.0/16": PARIS,
}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small database of cities."""
    return mmdb.write(tmp_path_factory.mktemp("geo") / "city.mmdb", NETWORKS)


def locator(path: Path, *, truncate: bool = False) -> Locator:
    found = open_locator(VisitorSettings(geo_database=str(path), geo_truncate=truncate))
    assert found is not None
    return found


def place(locate: Locator, address: str) -> Any:
    found = locate(address)
    return None if found is None else json.loads(found)


JAPAN_SAID = {"$source": "IP", "$country": "Japan"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("81.2.69.142", PARIS_SAID),
        ("::ffff:81.2.69.142", PARIS_SAID),
        ("89.160.20.113", JAPAN_SAID),
        ("89.160.20.1", None),
        ("2a02:cf40::1", JAPAN_SAID),
        ("2A02:CF40:0::1%eth0", JAPAN_SAID),
        ("2a03::1", PARIS_SAID),
        ("2a03::2", None),
        ("89.160.21.1", None),
        ("8.8.8.8", None),
    ],
)
def test_where_an_address_is(database: Path, address: str, said: Any):
    assert place(locator(database), address) == said


@pytest.mark.parametrize(
    "address",
    [
        *("", "x", "localhost", "81.2.69", "81.2.69.142:80", "[2a02:cf40::1]", "081.2.69.142", "81.2.69.142, 1.1.1.1"),
        *("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *(
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "::ffff:192.168.1.1",
            "ff02::1",
            "2001:db8::1",
            "255.255.255.255",
            "unix:",
        ),
    ],
)
def test_who_is_nowhere_in_the_public_network(database: Path, address: str):
    assert public_address(address) is None
    assert locator(database)(address) is None


def test_an_address_is_cut_to_its_network_first(database: Path):
    whole, cut = locator(database), locator(database, truncate=True)
    assert (place(whole, "89.160.20.113"), place(cut, "89.160.20.113")) == (JAPAN_SAID, None)
    assert (place(whole, "2a03::1"), place(cut, "2a03::1")) == (PARIS_SAID, None)
    assert place(cut, "81.2.69.142") == PARIS_SAID


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_of_a_cut_address_nobody_is_to_be_seen(address: Any):
    cut = network_of(address)
    host_bits = 8 if address.version == 4 else 80
    assert int(cut) == int(address) >> host_bits << host_bits
    assert network_of(cut) == cut


@given(st.text(max_size=20) | (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str))
def test_any_text_is_somewhere_or_nowhere(text: str):
    found = public_address(text)
    assert found is None or found.is_global


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=True) | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["city", "country", "subdivisions", "location", "postal", "names", "iso_code", "code", "en"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(VALUES | VALUES.map(lambda odd: {**PARIS, "location": {"latitude": odd, "longitude": 1.0}, "city": odd}))
def test_any_record_is_a_location_of_the_documented_form_or_none(record: Any):
    found = location_of(record)
    assert found == {} or found["$source"] == "IP"
    latlon = found.pop("$latlon", [0, 0])
    assert len(latlon) == 2
    assert all(-180 <= one <= 180 for one in latlon)
    assert all(isinstance(value, str) and value for value in found.values())
    assert found.keys() <= {"$source", "$country", "$region", "$iso_region", "$city", "$zip_code"}


def test_a_country_without_a_name_is_its_code():
    assert location_of(ODD) == {"$source": "IP", "$country": "XX"}
    assert location_of({"city": {"names": {"fr": "Genève"}}}) == {"$source": "IP", "$city": "Genève"}


def test_a_database_without_ipv6_knows_no_ipv6(tmp_path: Path):
    locate = locator(mmdb.write(tmp_path / "four.mmdb", {"81.2.69.0/24": PARIS}, ip_version=4))
    assert (place(locate, "81.2.69.1"), place(locate, "2a02:cf40::1")) == (PARIS_SAID, None)


def test_answers_are_remembered_up_to_a_bound(database: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(location, "MAX_REMEMBERED", 3)
    locate = locator(database)
    for number in range(10):
        locate(f"81.2.69.{number}")
    assert locate.statistics() == {"locations_remembered": 3}


def test_without_a_database_there_is_no_locator():
    assert open_locator(VisitorSettings()) is None


def test_a_file_that_is_no_database_is_refused_at_the_start(tmp_path: Path, database: Path):
    (tmp_path / "text.mmdb").write_text("no database")
    (tmp_path / "empty.mmdb").touch()
    (tmp_path / "cut.mmdb").write_bytes(database.read_bytes()[:-100])
    for name in ("missing.mmdb", "text.mmdb", "empty.mmdb", "cut.mmdb", "."):
        with pytest.raises(BadSettings, match=r"^visitors\.geo_database: .* cannot be read: [^\[]+$"):
            open_locator(VisitorSettings(geo_database=str(tmp_path / name)))


def test_a_database_that_breaks_later_says_so_once(database: Path, monkeypatch: pytest.MonkeyPatch):
    class Broken:
        def metadata(self) -> Any:
            return maxminddb.open_database(database).metadata()

        def get(self, address: object) -> object:
            raise maxminddb.InvalidDatabaseError("a bad pointer")

    lines: list[str] = []
    monkeypatch.setattr(location, "log", lambda *told, **more: lines.append(str(more)))
    broken: Any = Broken()
    locate = Locator(broken, truncate=False)
    assert [locate(f"81.2.69.{number}") for number in range(3)] == [None] * 3
    assert len(lines) == 1
    assert "81.2.69" not in lines[0]


ADDRESS = "81.2.69.142"
EVENT = {"action": "view", "target": {"product": "p1"}, "user": {"identities": {"sessionid": "s1"}}}


def everything_in(store: MemoryStore) -> bytes:
    """All keys and values of a store."""
    rows = [row for db in Db for row in store.page(db, limit=1_000_000, max_bytes=1 << 40)]
    return b"".join(key + value for key, value in rows)


@pytest.mark.parametrize("is_kept", [False, True])
async def test_the_address_itself_is_kept_only_where_a_setting_says_so(database: Path, is_kept: bool):
    store = MemoryStore()
    settings = settings_for_tests(visitors__store_client_address=is_kept)
    async with open_engine(settings, store=store) as engine:
        await engine.wait_recovered()
        plane = plane_of(Collect(engine, settings, locate=locator(database, truncate=True)))
        path = f"/{engine.site(1).tracker_key}"
        for body in (EVENT, {}):
            data = json.dumps(body).encode()
            await call(plane, "POST", path, data, headers={"origin": "https://shop.test"}, client=ADDRESS, token="")
        assert (ADDRESS.encode() in everything_in(store)) is is_kept
        await engine.close_sessions()
        point = engine.reader.find_user_point(1, Selector.parse("user_agent_id=s1"))
        assert point is not None
        (shown,) = [json.loads(one) for one in await engine.activities(1, point, live=True)]
        assert {name: value for name, value in shown["$location"].items() if value} == PARIS_SAID
        assert shown.get("client_address") == (ADDRESS if is_kept else None)
    assert b"Paris" in everything_in(store)
    assert (ADDRESS.encode() in everything_in(store)) is is_kept


async def test_whatever_a_proxy_calls_an_address_is_json():
    async with memory_collect(visitors__store_client_address=True) as collect:
        for address in ('"', "\\", "é", ADDRESS):
            found = collect.place(address)
            assert json.loads(bytes(found["client_address"])) == address
        assert collect.place("") == {}
