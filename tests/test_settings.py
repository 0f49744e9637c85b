"""Settings: defaults, what overrides them, and that every mistake is named with its place and what is allowed."""

import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from engine.errors import BadSettings
from engine.identity.placeholders import Placeholders
from engine.model.channel import ChannelSettings
from engine.model.described import as_toml
from engine.model.identity_rules import IdentityRules
from engine.settings import (
    ChannelDeclaration,
    DatamartSettings,
    SessionSettings,
    Settings,
    load_settings,
    settings_reference,
)

DEFAULT = Settings()
TRACKER_KEY = "5c6b1c6e-6a55-4b7c-9a15-0d8f0f3a9d11"


@pytest.fixture
def file(tmp_path):
    """Write a settings file: `file(text)` is its path."""

    def write(text: str):
        path = tmp_path / "sojourn.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(*args, **kwargs) -> str:
    with pytest.raises(BadSettings) as refused:
        load_settings(*args, **kwargs)
    return str(refused.value)


def test_without_a_file_there_is_a_datamart_and_a_site():
    assert load_settings(None, {}) == DEFAULT
    assert DEFAULT.declared_channels() == [ChannelSettings(datamart=1, kind="SITE", id="1")]
    (datamart,) = DEFAULT.datamarts
    assert (datamart.id, datamart.default_compartment) == (1, "1")


def test_the_defaults_are_what_the_types_allow():
    assert msgspec.convert(msgspec.to_builtins(DEFAULT), Settings) == DEFAULT


def test_the_reference_is_a_file_of_the_defaults(file):
    assert load_settings(file(settings_reference()), {}) == DEFAULT


def plain_keys(table, path=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from plain_keys(value, f"{path}{key}.")
        elif not (isinstance(value, list) and value and isinstance(value[0], dict)):
            yield f"{path}{key}"


def test_the_reference_gives_a_reason_and_what_is_allowed_for_every_key():
    lines = settings_reference().splitlines()
    keys = [number for number, line in enumerate(lines) if " = " in line and not line.startswith((" ", "#"))]
    assert len(keys) >= len(list(plain_keys(tomllib.loads(settings_reference()))))
    for number in keys:
        comment = []
        while lines[number - 1 - len(comment)].startswith("#"):
            comment.insert(0, lines[number - 1 - len(comment)])
        allowed = [index for index, line in enumerate(comment) if line.startswith("# Allowed: ")]
        assert len(allowed) == 1, lines[number]
        assert allowed[0] > 0, f"no reason for {lines[number]}"
        assert len(comment[allowed[0]]) > len("# Allowed: .")
    assert max(map(len, lines)) <= 120


@pytest.mark.slow
@given(st.data())
def test_any_allowed_file_reads_back(data):
    session = SessionSettings(
        gap_ms=data.draw(st.integers(1, 86_400_000)), max_activity_chars=data.draw(st.integers(500, 1_000_000))
    )
    texts = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\x7f\n, ]'), min_size=1, max_size=60)
    identity = IdentityRules(placeholders=tuple(data.draw(st.lists(texts, max_size=8))))
    site = ChannelDeclaration(id="x", aliases=("a.b", "c"), name=data.draw(texts))
    wanted = structs.replace(
        DEFAULT, session=session, identity=identity, datamarts=(DatamartSettings(id=9, channels=(site,)),)
    )
    assert msgspec.convert(tomllib.loads(as_toml(wanted)), Settings) == wanted


def test_a_file_says_what_it_wants_and_the_rest_is_default(file):
    path = file(
        """
        [session]
        gap_ms = 600_000
        [identity]
        placeholders = ["kiosk"]
        zeros_are_placeholders = false
        [identity.hyper_point]
        max_accounts = 2
        [[datamart]]
        id = 7
        [[datamart.channel]]
        id = "shop"
        domain = "example.com"
        aliases = ["example.org"]
        grace_ms = 60_000
        [[datamart.channel]]
        id = "shop"
        kind = "MOBILE_APPLICATION"
        """
    )
    settings = load_settings(path, {})
    assert settings.session == SessionSettings(gap_ms=600_000)
    assert settings.storage == DEFAULT.storage
    assert settings.identity.hyper_point.max_accounts == 2
    assert settings.declared_channels() == [
        ChannelSettings(
            datamart=7,
            kind="SITE",
            id="shop",
            domain="example.com",
            aliases=("example.org",),
            gap_ms=600_000,
            grace_ms=60_000,
        ),
        ChannelSettings(datamart=7, kind="MOBILE_APPLICATION", id="shop", gap_ms=600_000),
    ]
    rules = settings.identity
    assert Placeholders(rules.placeholders, zeros=rules.zeros_are_placeholders) is not None


def test_the_environment_goes_over_the_file_and_the_command_line_over_both(file):
    path = file("[session]\ngap_ms = 1000\ngrace_ms = 1\n[collect]\nport = 1\n[log]\nlevel = 'error'\n")
    environ = {
        "SOJOURN_SESSION__GAP_MS": "2_000",
        "SOJOURN_COLLECT__PORT": "2",
        "SOJOURN_COLLECT__HOST": "0.0.0.0",
        "SOJOURN_COLLECT__BODY_TIMEOUT_S": "1.5",
        "SOJOURN_STORAGE__METASYNC": "false",
        "SOJOURN_STORAGE__DATA_DIR": "7",
        "SOJOURN_LOG__FORMAT": "json",
        "SOJOURN_LOG__LEVEL": "",
        "SOJOURN_IDENTITY__PLACEHOLDERS": '["a", "b"]',
        "SOJOURN_IDENTITY__HYPER_POINT__MAX_MERGES": "3",
        "SOJOURN_DATA": "a script's own",
        "PATH": "/bin",
    }
    settings = load_settings(path, environ, {"collect.port": 0, "session.max_future_ms": 5})
    assert (settings.session.gap_ms, settings.session.grace_ms, settings.session.max_future_ms) == (2000, 1, 5)
    assert (settings.collect.host, settings.collect.port, settings.collect.body_timeout_s) == ("0.0.0.0", 0, 1.5)
    assert settings.storage.metasync is False
    assert settings.storage.data_dir == "7"
    assert (settings.log.format, settings.log.level) == ("json", "error")
    assert settings.identity.placeholders == ("a", "b")
    assert settings.identity.hyper_point.max_merges == 3


def test_the_first_tokens_come_from_the_environment(file):
    environ = {"SOJOURN_ADMIN_TOKEN": "secret-1", "SOJOURN_SITE_TOKEN": "public.2"}
    settings = load_settings(None, environ)
    assert settings.api.admin_token == "secret-1"
    assert [one.token for one in settings.declared_channels()] == ["public.2"]
    path = file(
        "[[datamart]]\nid = 4\n[[datamart.channel]]\nid = 'a'\nkind = 'MOBILE_APPLICATION'\n"
        "[[datamart.channel]]\nid = 'b'\n[[datamart.channel]]\nid = 'c'\n"
    )
    assert [one.token for one in load_settings(path, environ).declared_channels()] == ["", "public.2", ""]
    assert refusal(file("[[datamart]]\nid = 4\n"), environ) == "SOJOURN_SITE_TOKEN: the first datamart has no site"


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ("[session]\ngapp_ms = 1", "session.gapp_ms", "unknown key; did you mean gap_ms?"),
        ("[sesion]\ngap_ms = 1", "sesion", "did you mean session?"),
        ("[session]\nzzz = 1", "session.zzz", "unknown key; known are gap_ms, grace_ms"),
        ("[identity.hyper_point]\nmax_merge = 1", "identity.hyper_point.max_merge", "did you mean max_merges?"),
        ("[[datamart]]\nid = 1\n[[datamart.channel]]\nid = '1'\ntokn = 'x'", "datamart[0].channel[0].tokn", "token?"),
        ("[session]\ngap_ms = 0", "session.gap_ms", "allowed: a whole number from 1 to 86_400_000"),
        ("[session]\ngap_ms = '1'", "session.gap_ms", "got `str`; allowed: a whole number"),
        ("[session]\ngap_ms = 1.5", "session.gap_ms", "got `float`; allowed: a whole number"),
        ("[session]\ngap_ms = true", "session.gap_ms", "got `bool`; allowed: a whole number"),
        ("session = 3", "session", "got `int`"),
        ("[log]\nformat = 'xml'", "log.format", 'allowed: "console" or "json"'),
        ("[storage]\nmetasync = 1", "storage.metasync", "allowed: true or false"),
        ("[collect]\nport = 70_000", "collect.port", "from 0 to 65535"),
        ("[collect]\nbody_timeout_s = 0", "collect.body_timeout_s", "allowed: a number from 0.1 to 3600"),
        ("[identity]\nplaceholders = ['']", "identity.placeholders[0]", "allowed: a list, each text"),
        (
            "[[datamart]]\nid = 1\n[[datamart.channel]]\nid = 'a/b'",
            "datamart[0].channel[0].id",
            "allowed: text of at most",
        ),
        ("[[datamart]]\nid = 1\n[[datamart.channel]]\nname = 'x'", "datamart[0].channel[0]", "`id`"),
        ("[[datamart]]\nname = 'x'", "datamart[0]", "missing required field `id`"),
        (
            "[[datamart]]\nid = 1\n[[datamart.channel]]\nid = 'a'\ntracker_key = 'x'",
            "datamart[0].channel[0].tracker_key",
            "allowed: text of at most 47",
        ),
        (
            "[[datamart]]\nid = 1\n[[datamart.signing_key]]\nid = 'k'\nsecret = 'short'",
            "datamart[0].signing_key[0].secret",
            "allowed: text of 16 to 255 characters",
        ),
        (
            "[[datamart]]\nid = 1\nredirect_hosts = ['']",
            "datamart[0].redirect_hosts[0]",
            "allowed: a list, each text of at most",
        ),
        (
            "[[datamart]]\nid = 1\nredirect_hosts = ['.com']",
            "datamart[0].redirect_hosts[0]",
            "matches",
        ),
        ("[storage]\nmap_size_bytes = 1_000_000\nmax_map_size_bytes = 100_000", "storage", "less than map_size_bytes"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(file, text, key, told):
    path = file(text)
    message = refusal(path, {})
    assert message.startswith(f"{path}: {key}: ")
    assert told in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[datamart]]\nid = 1\n[[datamart]]\nid = 1", "datamart 1 is declared twice"),
        ("datamart = []", "at least one datamart"),
        (
            "[[datamart]]\nid = 1\n[[datamart.channel]]\nid = 'a'\n[[datamart.channel]]\nid = 'a'",
            "channel 1/SITE/a is declared twice",
        ),
        ("[[datamart]]\nid = 1\ntoken = 't'\n[[datamart.channel]]\nid = 'a'\ntoken = 't'", "a token is given twice"),
        ("[api]\nadmin_token = 't'\n[[datamart]]\nid = 1\ntoken = 't'", "a token is given twice"),
        ("[collect]\nport = 8081", "collect and api need different ports"),
        (
            "[[datamart]]\nid = 1\ntoken = 't'\n[[datamart.compartment]]\nid = 'a'\ntoken = 't'",
            "a token is given twice",
        ),
        (
            "[[datamart]]\nid = 1\n[[datamart.compartment]]\nid = 'a'\n[[datamart.compartment]]\nid = 'a'",
            "compartment 1/a is declared twice",
        ),
        (
            f"[[datamart]]\nid = 1\n[[datamart.channel]]\nid = 'a'\ntracker_key = '{TRACKER_KEY}'\n"
            f"[[datamart.channel]]\nid = 'b'\ntracker_key = '{TRACKER_KEY.upper()}'",
            f"tracker_key {TRACKER_KEY} is declared twice",
        ),
        (
            "[[datamart]]\nid = 1\n[[datamart.signing_key]]\nid = 'k'\nsecret = 'sixteen letters!'\n"
            "[[datamart]]\nid = 2\n[[datamart.signing_key]]\nid = 'k'\nsecret = 'sixteen letters?'",
            "signing_key k is declared twice",
        ),
        (
            "[[datamart]]\nid = 1\n[[datamart.channel]]\nid = '1'\n"
            "[[datamart.signing_key]]\nid = 'k'\nsecret = 'sixteen letters!'\nchannel = 'app:1'",
            "signing_key k: datamart 1 declares no channel app:1",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(file, text, told):
    path = file(text)
    assert refusal(path, {}).startswith(f"{path}: ")
    assert told in refusal(path, {})


def test_all_unknown_keys_are_named_at_once(file):
    path = file("[session]\ngapms = 1\n[api]\nprot = 1\n")
    assert [line.split(": ")[1] for line in refusal(path, {}).splitlines()] == ["session.gapms", "api.prot"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "SOJOURN_SESSION__GAPP_MS",
            "1",
            "SOJOURN_SESSION__GAPP_MS: session.gapp_ms: unknown key; did you mean gap_ms?",
        ),
        ("SOJOURN_SESION__GAP_MS", "1", "SOJOURN_SESION__GAP_MS: sesion: unknown key; did you mean session?"),
        (
            "SOJOURN_SESSION__GAP_MS",
            "soon",
            "SOJOURN_SESSION__GAP_MS: session.gap_ms: Expected `int`, got `str`; allowed",
        ),
        ("SOJOURN_SESSION_GAP_MS", "1", "did you mean SOJOURN_SESSION__GAP_MS?"),
        ("SOJOURN_ADMIN_TOKN", "x", "did you mean SOJOURN_ADMIN_TOKEN?"),
        ("SOJOURN_SESSION__GAP_MS__X", "1", "session.gap_ms"),
        ("SOJOURN_DATAMART__ID", "1", "datamart"),
        ("SOJOURN_ADMIN_TOKEN", "with space", "SOJOURN_ADMIN_TOKEN: api.admin_token: "),
        ("SOJOURN_SITE_TOKEN", "with space", "SOJOURN_SITE_TOKEN: datamart[0].channel[0].token: "),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(name, value, told):
    message = refusal(None, {name: value})
    assert told in message
    assert name in message


def test_a_secret_is_never_in_a_message(file):
    assert "s p" not in refusal(None, {"SOJOURN_ADMIN_TOKEN": "s p"})
    path = file("[[datamart]]\nid = 1\n[[datamart.signing_key]]\nid = 'k'\nsecret = 'sssshort'")
    assert "sssshort" not in refusal(path, {})


def test_an_application_has_a_key_to_sign_with_and_a_key_in_addresses(file):
    path = file(
        f"""
        [[datamart]]
        id = 1
        redirect_hosts = ["partner.example"]
        [[datamart.channel]]
        id = "1"
        kind = "MOBILE_APPLICATION"
        tracker_key = "{{{TRACKER_KEY.upper()}}}"
        [[datamart.signing_key]]
        id = "k"
        secret = "sixteen letters!"
        channel = "app:1"
        [[datamart.compartment]]
        id = "shop"
        """
    )
    settings = load_settings(path, {"SOJOURN_LOG__LEVEL": "debug"})
    (datamart,) = settings.datamarts
    assert [one.tracker_key for one in settings.declared_channels()] == [TRACKER_KEY]
    assert [(one.id, one.secret, one.channel) for one in datamart.signing_keys] == [("k", "sixteen letters!", "app:1")]
    assert "sixteen" not in repr(settings)
    assert datamart.redirect_hosts == ("partner.example",)
    assert [one.id for one in datamart.compartments] == ["shop"]


def test_the_reference_shows_what_is_in_no_default():
    lines = settings_reference().splitlines()
    for shown in ("# [[datamart.signing_key]]", "# secret =", "# [[datamart.compartment]]", 'tracker_key = ""'):
        assert shown in lines


@pytest.mark.parametrize(("content", "told"), [(b"[session", "not a TOML file"), (b"\xff", "not a TOML file")])
def test_a_file_that_is_not_toml(tmp_path, content, told):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    assert refusal(path, {}).startswith(f"{path}: {told}")


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "none.toml"
    assert refusal(path, {}) == f"{path}: No such file or directory"
