"""Who takes events, and what stays known for the records that were accepted before (decisions 5 and 8)."""

import pytest
from msgspec import structs

from engine.definitions.datamart import Compartment, Datamart
from engine.definitions.registry import PublicToken, Registry, settle
from engine.definitions.signing import SigningKey
from engine.errors import BadSettings
from engine.model.channel import ChannelSettings
from tests.definitions.tokens import counting_keys, counting_tokens

SITE = ChannelSettings(datamart=1, kind="SITE", id="1")
APP = ChannelSettings(datamart=1, kind="MOBILE_APPLICATION", id="1")
DATAMART = Datamart(id=1)


def settled(declared_channels, stored=None, datamarts=(DATAMART,), new_token=None, signing_keys=()):
    return settle(
        stored_datamarts=[] if stored is None else stored.registry.datamarts(),
        stored_channels=[] if stored is None else stored.channels,
        declared_datamarts=datamarts,
        declared_channels=declared_channels,
        signing_keys=signing_keys,
        new_token=new_token or counting_tokens(),
        new_tracker_key=counting_keys(),
    )


def test_what_is_declared_takes_events_under_its_latest_version():
    first = settled([SITE, APP])
    assert [one.token for one in (*first.datamarts, *first.channels)] == ["token-1", "token-2", "token-3"]
    second = settled([structs.replace(SITE, gap_ms=5), APP], first)
    assert second.datamarts == ()
    (changed,) = second.channels
    assert second.registry.channel(1, "site:1") == changed
    assert (changed.version, changed.gap_ms, changed.token) == (2, 5, "token-2")
    assert second.registry.channel_at(1, "site:1", 1) == first.channels[0]
    assert second.registry.channel_at(1, "site:1", 2) == changed
    assert [one.key for one in second.registry.channels(1)] == ["site:1", "app:1"]


def test_a_removed_channel_takes_nothing_but_its_versions_stay():
    first = settled([SITE, APP])
    registry = settled([APP], first).registry
    assert registry.channel(1, "site:1") is None
    assert registry.channel_at(1, "site:1", 1) == first.channels[0]
    assert registry.by_token("token-2") is None
    assert [one.key for one in registry.channels(1)] == ["app:1"]


def test_a_removed_datamart_can_only_be_read():
    registry = settled([], settled([SITE]), datamarts=[Datamart(id=2)]).registry
    assert registry.datamart(1) is not None
    assert not registry.accepts(1)
    assert registry.accepts(2)
    assert registry.by_token("token-1") == PublicToken(2)
    assert [one.id for one in registry.datamarts()] == [1, 2]


def test_what_nobody_declared_is_unknown():
    registry = settled([SITE]).registry
    assert registry.datamart(2) is None
    assert not registry.accepts(2)
    assert registry.channel(2, "site:1") is None
    assert registry.channel(1, "app:1") is None
    assert registry.by_token("") is None
    with pytest.raises(LookupError, match="no version 2 of channel site:1"):
        registry.channel_at(1, "site:1", 2)


def test_the_first_site_is_the_first_declared_one():
    later = structs.replace(SITE, id="0")
    assert settled([APP, SITE, later]).registry.first_site(1).id == "1"
    with pytest.raises(LookupError, match="datamart 1 has no site"):
        _ = settled([APP]).registry.first_site(1)


def test_the_default_compartment_is_the_datamarts():
    registry = settled([], datamarts=[Datamart(id=1, default_compartment="shop")]).registry
    assert registry.default_compartment(1) == "shop"
    with pytest.raises(LookupError):
        registry.default_compartment(2)


def test_a_registry_to_read_with_takes_nothing():
    registry = Registry([DATAMART], [SITE])
    assert registry.datamart(1) == DATAMART
    assert registry.channel_at(1, "site:1", 1) == SITE
    assert not registry.accepts(1)
    assert registry.channel(1, "site:1") is None


def test_a_token_belongs_to_one():
    registry = settled([structs.replace(SITE, token="s")], datamarts=[Datamart(id=1, token="d")]).registry
    assert registry.by_token("d") == PublicToken(1)
    assert registry.by_token("s") == PublicToken(1, registry.channel(1, "site:1"))
    with pytest.raises(BadSettings, match=r"channel app:1 of datamart 1 and channel site:1 of datamart 1"):
        settled([structs.replace(SITE, token="s"), structs.replace(APP, token="s")])
    with pytest.raises(BadSettings, match="datamart 1"):
        settled([structs.replace(SITE, token="s")], datamarts=[Datamart(id=1, token="s")])


def test_a_token_of_a_removed_channel_may_be_given_again():
    first = settled([structs.replace(SITE, token="s")])
    registry = settled([structs.replace(APP, token="s")], first).registry
    assert registry.by_token("s").channel.key == "app:1"


KEY = "5c6b1c6e-6a55-4b7c-9a15-0d8f0f3a9d11"


@pytest.mark.parametrize("written", [KEY, KEY.upper(), KEY.replace("-", ""), f"{{{KEY}}}", f"urn:uuid:{KEY}"])
def test_a_tracker_key_is_found_however_it_is_written(written):
    registry = settled([structs.replace(SITE, tracker_key=KEY), APP]).registry
    assert registry.by_tracker_key(written) == registry.channel(1, "site:1")


@pytest.mark.parametrize(
    "written", ["", "x", KEY[:-1], KEY.replace("5", "\N{FULLWIDTH DIGIT FIVE}", 1), f"0x{KEY[2:]}"]
)
def test_what_is_no_tracker_key_is_nobodys(written):
    assert settled([structs.replace(SITE, tracker_key=KEY)]).registry.by_tracker_key(written) is None


def test_a_tracker_key_belongs_to_one_channel_that_takes_events():
    site, app = structs.replace(SITE, tracker_key=KEY), structs.replace(APP, tracker_key=KEY)
    with pytest.raises(BadSettings, match="channel app:1 of datamart 1 and channel site:1 of datamart 1 have the same"):
        settled([site, app])
    again = structs.replace(app, token="a")
    assert settled([again], settled([site])).registry.by_tracker_key(KEY).key == "app:1"


def test_compartments_are_known_by_their_tokens():
    shop = Datamart(id=1, compartments=(Compartment(id="shop", token="s"), Compartment(id="club", token="c")))
    registry = settled([], datamarts=[shop]).registry
    assert registry.compartment_by_token(1, "s") == "shop"
    assert registry.compartment_by_token(1, "") is None
    assert registry.compartment_by_token(2, "s") is None
    with pytest.raises(BadSettings, match="compartments club and shop of datamart 1 have the same token"):
        settled(
            [], datamarts=[Datamart(id=1, compartments=tuple(structs.replace(x, token="t") for x in shop.compartments))]
        )


def test_a_removed_compartment_is_nobodys():
    shop = Datamart(id=1, compartments=(Compartment(id="shop", token="s"),))
    registry = settled([], settled([], datamarts=[shop])).registry
    assert registry.compartment_by_token(1, "s") is None
    assert registry.datamart(1).compartments[0].removed


def test_signing_keys_are_known_by_their_ids_and_kept_nowhere():
    key = SigningKey(id="k", secret="never shown", datamart=1, channel="app:1")
    found = settled([APP], signing_keys=[key])
    assert found.registry.signing_key("k") == key
    assert found.registry.signing_key("l") is None
    assert "never" not in repr(key) + repr(found.datamarts) + repr(found.channels)
    with pytest.raises(BadSettings, match="two signing keys have the id k"):
        settled([APP], signing_keys=[key, structs.replace(key, secret="x")])


def test_clicks_may_lead_to_declared_hosts_and_the_sites_own():
    site = structs.replace(SITE, domain="Shop.example", aliases=("shop.test",))
    other = structs.replace(SITE, datamart=2, domain="other.example")
    datamarts = [Datamart(id=1, redirect_hosts=("partner.example",)), Datamart(id=2)]
    registry = settled([site, other], datamarts=datamarts).registry
    assert registry.redirect_hosts(1) == {"partner.example", "shop.example", "shop.test"}
    assert registry.redirect_hosts(2) == {"other.example"}
    assert registry.redirect_hosts(3) == frozenset()
