"""Signed requests: what is signed, and each way in which a signature is not good (decision 39)."""

import gzip
import hashlib
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Selector, SigningKey
from gateway.collect.collect import Collect
from gateway.collect.plane import Plane
from gateway.collect.request import Request
from gateway.collect.signature import MAX_SKEW_MS, Signature, body_of, mac_of, signature_of, uri_of, verify
from gateway.errors import RequestError
from tests.gateway.engines import SITE, call, memory_collect, plane_of

NOW_MS = 1_700_000_000_000
SECRET = "a secret of the app"
KEY = SigningKey(id="app-key", secret=SECRET, datamart=1, channel="app:1")
URI = "datamarts/1/user_activities"
PATH = f"/v1/{URI}"
BODY = b'{"$type":"APP_VISIT"}'

DATAMART = {
    "id": 1,
    "channel": [{"id": "1"}, {"id": "1", "kind": "MOBILE_APPLICATION"}, {"id": "2", "kind": "MOBILE_APPLICATION"}],
    "signing_key": [
        {"id": "app-key", "secret": SECRET, "channel": "app:1"},
        {"id": "any-key", "secret": "another secret, for all channels"},
    ],
}
OTHER = {"id": 2, "signing_key": [{"id": "elsewhere", "secret": "of another datamart"}]}


def hmac_by_hand(secret: bytes, message: bytes) -> str:
    """RFC 2104, from its own words: the digest of key xor 0x5c, then the digest of key xor 0x36 and the text."""
    secret = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in secret) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in secret) + inner).hexdigest()


def signed(
    body: bytes, *, ts: int = NOW_MS, uri: str = URI, key: str = "app-key", secret: str = SECRET
) -> dict[str, str]:
    """The three headers, as a sender makes them."""
    mac = hmac_by_hand(secret.encode(), f"{uri}\n{key}\n{ts}\n".encode() + body)
    return {"x-mics-key-id": key, "x-mics-ts": str(ts), "x-mics-mac": mac}


def test_a_mac_that_openssl_made():
    """printf 'datamarts/1/user_activities?async=true\\napp-key\\n1700000000000\\n{"$type":"APP_VISIT"}' |
    openssl dgst -sha256 -hmac 'a secret of the app'"""
    found = mac_of(SECRET, f"{URI}?async=true", "app-key", "1700000000000", BODY)
    assert found == "6e77651f6d15d7f0f825721226093901d1a60a5ef1fdde9d07e8ca547e79d9fc"


@given(st.text(max_size=80), st.text(max_size=20), st.text("0123456789", max_size=15), st.binary(max_size=80))
def test_any_mac_is_the_standards(secret: str, uri: str, ts: str, body: bytes):
    expected = hmac_by_hand(secret.encode("utf-8", "surrogatepass"), f"{uri}\nk\n{ts}\n".encode() + body)
    assert mac_of(secret, uri, "k", ts, body) == expected


def refusal(headers: dict[str, str], *, key: SigningKey | None = KEY, body: bytes = BODY, **changed: Any) -> str:
    """The code that a signature is refused with; "" for a good one."""
    options = {"datamart": 1, "uri": URI, "body": body, "now_ms": NOW_MS, **changed}
    error = refused(headers, key, options)
    if error is None:
        return ""
    assert (error.status, error.headers["www-authenticate"]) == (401, "X-Mics")
    assert SECRET not in error.message
    return error.code


def refused(headers: dict[str, str], key: SigningKey | None, options: dict[str, Any]) -> RequestError | None:
    try:
        signature = signature_of(headers)
        assert signature is not None
        verify(signature, key, **options)
    except RequestError as error:
        return error
    return None


def test_a_good_signature_passes():
    assert refusal(signed(BODY)) == ""
    assert refusal(signed(b""), body=b"") == ""
    upper = signed(BODY) | {"x-mics-mac": signed(BODY)["x-mics-mac"].upper()}
    assert refusal(upper) == "", "some libraries write hex in capitals"


def test_without_the_headers_a_request_is_not_signed():
    assert signature_of({"authorization": "token"}) is None
    assert signature_of({"x-mics-key-id": "", "x-mics-ts": " "}) is None


@pytest.mark.parametrize("missing", ["x-mics-key-id", "x-mics-ts", "x-mics-mac"])
def test_a_missing_header_is_named(missing: str):
    headers = {name: value for name, value in signed(BODY).items() if name != missing}
    with pytest.raises(RequestError) as refused:
        signature_of(headers)
    assert refused.value.code == "signature_incomplete"
    assert missing in refused.value.message.lower()


@pytest.mark.parametrize("ts", ["now", "-1", "1.7e12", "1700000000000.0", "١٧٠٠٠٠٠٠٠٠٠٠٠", "1" * 400, "0x1", "1_0"])
def test_a_time_that_is_no_number(ts: str):
    assert refusal(signed(BODY) | {"x-mics-ts": ts}) == "bad_signature_time"


@pytest.mark.parametrize(
    ("ts", "code"),
    [
        (NOW_MS - MAX_SKEW_MS, ""),
        (NOW_MS + MAX_SKEW_MS, ""),
        (NOW_MS - MAX_SKEW_MS - 1, "stale_signature"),
        (NOW_MS + MAX_SKEW_MS + 1, "stale_signature"),
        (0, "stale_signature"),
        (NOW_MS // 1000, "stale_signature"),
    ],
)
def test_how_far_a_clock_may_be_off(ts: int, code: str):
    assert refusal(signed(BODY, ts=ts)) == code


def test_a_key_that_is_not_known_for_the_datamart():
    assert refusal(signed(BODY), key=None) == "unknown_signing_key"
    assert refusal(signed(BODY), datamart=2) == "unknown_signing_key"


def test_whatever_is_changed_breaks_the_signature():
    good = signed(BODY)
    assert refusal(good, body=BODY + b" ") == "bad_signature"
    assert refusal(good, uri=URI + "?async=true") == "bad_signature"
    assert refusal(good | {"x-mics-ts": str(NOW_MS + 1)}) == "bad_signature"
    assert refusal(good | {"x-mics-key-id": "any-key"}) == "bad_signature"
    assert refusal(signed(BODY, secret="guessed")) == "bad_signature"
    for mac in ("", "0" * 64, good["x-mics-mac"][:-1], good["x-mics-mac"] + "0", "ä" * 64, "x"):
        assert refusal(good | {"x-mics-mac": mac}) == ("bad_signature" if mac else "signature_incomplete")


@given(st.dictionaries(st.sampled_from(["x-mics-key-id", "x-mics-ts", "x-mics-mac"]), st.text()))
def test_any_headers_are_refused_or_are_no_signature(headers: dict[str, str]):
    try:
        signature = signature_of(headers)
    except RequestError:
        return
    assert signature is None or isinstance(signature, Signature)
    if signature is not None:
        with pytest.raises(RequestError):
            verify(signature, KEY, datamart=1, uri=URI, body=b"", now_ms=NOW_MS)


def test_what_is_signed_is_as_it_was_sent():
    request = Request(path="/v1/datamarts/1/x%2Fy", raw_query="a=b%20c&d", body=b"inflated", compressed_body=b"small")
    assert uri_of(request) == "datamarts/1/x%2Fy?a=b%20c&d"
    assert body_of(request) == b"small"
    assert uri_of(Request(path="/v1/x")) == "x"
    assert body_of(Request(body=b"plain")) == b"plain"


def app_visit(user: str = "u1", app: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "$type": "APP_VISIT",
        "$session_status": "IN_SESSION",
        "$app_id": app,
        "$user_agent_id": user,
        "$events": [{"$event_name": "hello", "$properties": {}}],
        **more,
    }


async def send(
    collect: Collect, plane: Plane, body: Any, query: str = "", *, extra: dict[str, str] | None = None, **options: Any
) -> tuple[int, Any]:
    """A signed request, as of now."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    options = {"ts": collect.now_ms(), "uri": URI + query, **options}
    headers = signed(data, **options) | (extra or {})
    reply = await call(plane, "POST", PATH + query, data, headers=headers, token="")
    return reply.status, json.loads(reply.body)


def fates(answer: Any) -> list[tuple[str, str]]:
    return [(one["status"], one.get("error_code", "")) for one in answer["data"]["results"]]


async def test_an_application_sends_with_a_signature_and_no_token():
    async with memory_collect(datamart=[DATAMART, OTHER]) as collect:
        plane = plane_of(collect)
        status, answer = await send(collect, plane, app_visit(), "?async=false")
        assert (status, answer["data"]["status"], answer["data"]["events"]) == (200, "accepted", 1)
        for changed, code in (
            ({"secret": "guessed"}, "bad_signature"),
            ({"ts": collect.now_ms() - MAX_SKEW_MS - 5000}, "stale_signature"),
            ({"key": "nobody"}, "unknown_signing_key"),
            ({"key": "elsewhere", "secret": "of another datamart"}, "unknown_signing_key"),
        ):
            status, answer = await send(collect, plane, app_visit("u2"), **changed)
            assert (status, answer["error_code"]) == (401, code)


async def test_a_bad_signature_is_not_mended_by_a_token():
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        token = {"authorization": SITE}
        status, answer = await send(collect, plane, app_visit(), secret="guessed", extra=token)
        assert (status, answer["error_code"]) == (401, "bad_signature")
        assert (await send(collect, plane, app_visit(), extra=token))[0] == 200


async def test_a_request_that_is_sent_again_is_a_duplicate():
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        ts = collect.now_ms()
        visits = [app_visit(), app_visit("u2"), app_visit(app="9")]
        refused = ("refused", "unknown_channel")
        assert fates((await send(collect, plane, visits, ts=ts))[1]) == [("accepted", ""), ("accepted", ""), refused]
        again = [("duplicate", ""), ("duplicate", ""), refused]
        assert fates((await send(collect, plane, visits, ts=ts))[1]) == again
        extra = {"idempotency-key": "another name for it"}
        assert fates((await send(collect, plane, visits, ts=ts, extra=extra))[1]) == again
        assert fates((await send(collect, plane, visits, ts=ts + 1))[1])[:2] == [("accepted", "")] * 2


async def test_an_idempotency_key_works_beside_the_signature():
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        ts, key = collect.now_ms(), {"idempotency-key": "k"}
        assert (await send(collect, plane, app_visit(), ts=ts, extra=key))[1]["data"]["status"] == "accepted"
        assert (await send(collect, plane, app_visit(), ts=ts + 1, extra=key))[1]["data"]["status"] == "duplicate"
        stripped = await send(collect, plane, app_visit(), ts=ts + 1)
        assert stripped[1]["data"]["status"] == "duplicate", "a MAC is known from its first request on"
        status, answer = await send(collect, plane, app_visit("u2"), ts=ts + 2, extra=key)
        assert (status, answer["error_code"]) == (422, "idempotency_key_reused")


async def test_a_mac_cannot_be_used_up_by_who_has_a_token():
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        ts = collect.now_ms()
        data = json.dumps(app_visit()).encode()
        mac = signed(data, ts=ts)["x-mics-mac"]
        for key in (mac, f"mac:{mac}"):
            reply = await call(plane, "POST", PATH, b"[]", headers={"idempotency-key": key}, token=SITE)
            assert reply.status == 200
            other = json.dumps(app_visit("u2")).encode()
            reply = await call(plane, "POST", PATH, other, headers={"idempotency-key": key}, token=SITE)
            assert reply.status == 200
        assert (await send(collect, plane, data, ts=ts))[1]["data"]["status"] == "accepted"


async def test_a_key_of_a_channel_sends_for_that_channel_only():
    touch = {"$type": "TOUCH", "$session_status": "NO_SESSION", "$user_agent_id": "u1", "$events": []}
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        visits = [app_visit(), app_visit(app="2"), app_visit(**{"$app_id": None, "$site_id": "1"}), touch, {}]
        answer = (await send(collect, plane, visits))[1]
        assert [code for _, code in fates(answer)] == ["", *["forbidden_channel"] * 3, "bad_field"]
        paths = [one.get("path") for one in answer["data"]["results"]]
        assert paths[1:3] == ["$.$app_id", "$.$site_id"]
        any_key = {"key": "any-key", "secret": "another secret, for all channels"}
        answer = (await send(collect, plane, visits, **any_key))[1]
        assert [code for _, code in fates(answer)] == ["", "", "", "", "bad_field"]


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("", gzip.compress), ("deflate", zlib.compress)]
)
async def test_of_a_compressed_body_what_is_sent_is_signed(encoding: str, pack: Any):
    plain = json.dumps(app_visit()).encode()
    async with memory_collect(datamart=[DATAMART]) as collect:
        plane = plane_of(collect)
        extra = {"content-encoding": encoding} if encoding else {}
        status, answer = await send(collect, plane, pack(plain), extra=extra)
        assert (status, answer["data"]["status"]) == (200, "accepted")
        headers = signed(plain, ts=collect.now_ms()) | extra
        reply = await call(plane, "POST", PATH, pack(plain), headers=headers, token="")
        assert (reply.status, json.loads(reply.body)["error_code"]) == (401, "bad_signature")


async def test_a_key_has_a_rate_of_its_own():
    async with memory_collect(
        datamart=[DATAMART], rates__requests_per_s_of_token=0.001, rates__burst_of_token=2
    ) as collect:
        plane = plane_of(collect)
        ts = collect.now_ms()
        assert [(await send(collect, plane, app_visit(), ts=ts + n))[0] for n in range(3)] == [200, 200, 429]
        reply = await call(plane, "POST", PATH, json.dumps(app_visit()).encode(), token=SITE)
        assert reply.status == 200


async def test_what_an_application_sends_tells_where_it_is_unless_it_says_so_itself():
    async with memory_collect(datamart=[DATAMART], visitors__store_client_address=True) as collect:
        plane = plane_of(collect)
        sent = [app_visit("u1"), app_visit("u2", client_address="mine"), {}]
        assert (await send(collect, plane, sent))[0] == 200
        any_key = {"key": "any-key", "secret": "another secret, for all channels"}
        assert (await send(collect, plane, app_visit("u3"), **any_key))[0] == 200
        found = {}
        for user in ("u1", "u2", "u3"):
            point = collect.engine.reader.find_user_point(1, Selector.parse(f"user_agent_id={user}"))
            (shown,) = await collect.engine.activities(1, point, live=True)
            found[user] = json.loads(shown).get("client_address")
        assert found == {"u1": "192.0.2.7", "u2": "mine", "u3": None}
