"""TLS: what the settings name is loaded or said to be wrong, and the listener does over it what it does without."""

import ssl
from pathlib import Path

import pytest
import trio
import trustme

from engine import BadSettings
from gateway.collect.listener import serve
from gateway.collect.listener.tls import tls_context
from tests.gateway.listener.served import (
    LARGE_BYTES,
    Receipt,
    Served,
    Wire,
    chunked,
    get,
    listening,
    post,
    until_waiting,
)

AUTHORITY = trustme.CA()
OWN = AUTHORITY.issue_cert("localhost", "127.0.0.1")
BODY_BYTES = 64 * 1024


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """Paths of a chain and its key."""
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(pem.bytes() for pem in OWN.cert_chain_pems))
    key.write_bytes(OWN.private_key_pem.bytes())
    return str(chain), str(key)


@pytest.fixture
def tls(certificate: tuple[str, str]) -> ssl.SSLContext:
    """What a listener takes."""
    context = tls_context(*certificate)
    assert context is not None
    return context


def trusting(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """What a client takes."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    if version is not None:
        context.maximum_version = version
    return context


async def connect(served: Served, context: ssl.SSLContext) -> Wire:
    """A connection behind its handshake."""
    stream = await trio.open_ssl_over_tcp_stream("localhost", served.port, https_compatible=True, ssl_context=context)
    await stream.do_handshake()
    return Wire(stream)


def test_without_a_certificate_there_is_no_tls():
    assert tls_context("", "") is None


def test_what_is_wrong_with_the_files_is_said(tmp_path: Path, certificate: tuple[str, str]):
    chain, key = certificate
    other = tmp_path / "other.pem"
    other.write_bytes(AUTHORITY.issue_cert("x").private_key_pem.bytes())
    text = tmp_path / "text.pem"
    text.write_text("no certificate")
    for files in ((str(tmp_path / "none.pem"), key), (chain, str(tmp_path / "none.pem")), (chain, str(other))):
        with pytest.raises(BadSettings, match=r"collect\.tls_certificate, collect\.tls_key: "):
            tls_context(*files)
    with pytest.raises(BadSettings):
        tls_context(str(text), key)


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path, certificate: tuple[str, str]):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(OWN.private_key_pem.bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    file = tmp_path / "locked.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret)  # type: ignore[union-attr]
    )
    with pytest.raises(BadSettings, match="encrypted"):
        tls_context(certificate[0], str(file))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_are_answered_over_one_connection(tls: ssl.SSLContext, version: ssl.TLSVersion):
    async with listening(tls=tls) as served, await connect(served, trusting(version)) as wire:
        for size in (0, 1, 200_000):
            await wire.send(post("/echo", b"x" * size))
            assert (await wire.answer()).data["bytes"] == size
        await wire.send(get("/slow") + get("/large") + get("/echo"))
        assert [(await wire.answer()).status for _ in range(3)] == [200, 200, 200]
        await wire.send(get("/echo", "Connection: close"))
        assert (await wire.answer()).headers["connection"] == "close"
        assert await wire.end() == b""


def test_old_protocols_are_not_spoken(tls: ssl.SSLContext):
    assert tls.minimum_version >= ssl.TLSVersion.TLSv1_2


async def test_a_refusal_is_read_although_the_sender_goes_on(tls: ssl.SSLContext):
    async with listening(tls=tls, max_body_bytes=BODY_BYTES) as served, await connect(served, trusting()) as wire:
        await wire.send(chunked("/echo", *[b"x" * 10_000] * 20)[:-5])
        for _ in range(20):
            await wire.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
        assert (await wire.answer()).status == 413


async def test_plain_http_is_no_handshake(tls: ssl.SSLContext):
    async with listening(tls=tls) as served:
        async with await served.connect() as wire:
            await wire.send(get("/echo"))
            assert b"HTTP" not in await wire.end()
        assert served.number("connections_timed_out_handshake") == 1


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_handshake_that_does_not_end_is_given_up(tls: ssl.SSLContext, data: bytes):
    async with listening(tls=tls, head_timeout_s=0.1) as served:
        async with await served.connect() as wire:
            await wire.send(data or b"\x16")
            assert await wire.end() == b""
        assert served.number("connections_timed_out_handshake") == 1


async def test_a_handshake_does_not_hold_up_the_stop(tls: ssl.SSLContext):
    async with listening(tls=tls, grace_s=60) as served, await served.connect() as wire:
        await wire.send(b"\x16\x03\x01")
        await served.until("connections", 1)
        served.stopping.set()
        with trio.fail_after(2):
            await served.done.wait()


@pytest.mark.slow
async def test_a_reader_that_does_not_read_is_given_up(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serve, "SWEEP_S", 0.02)
    async with listening(tls=tls, write_timeout_s=0.2) as served, await connect(served, trusting()) as wire:
        await wire.send(get("/large") * 20)
        await served.until("connections_timed_out_write", 1)
        assert len(await wire.end()) < 20 * LARGE_BYTES


async def test_a_drain_ends_idle_connections_and_answers_the_others(tls: ssl.SSLContext):
    async with listening(tls=tls, grace_s=5) as served:
        idle, busy = await connect(served, trusting()), await connect(served, trusting())
        async with idle, busy:
            await idle.send(get("/echo"))
            await idle.answer()
            await busy.send(post("/committed", b"1"))
            await until_waiting(1)
            served.stopping.set()
            assert await idle.end() == b""
            Receipt.waiting[0].end()
            assert (await busy.answer()).headers["connection"] == "close"
            assert await busy.end() == b""
