"""What may be declared as a destination."""

import msgspec
import pytest

from engine.definitions.declared.destinations import Destination


def declare(**fields):
    return msgspec.convert({"id": "crm", "url": "https://crm.example/hook"} | fields, Destination)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "http://10.0.0.7:8080/hook?key=1"},
        {"url": "http://localhost/"},
        {"url": "http://[::1]:8080/"},
        {"url": "http://my_service.internal./hook?to=a@b"},
        {"url": f"http://{'a' * 63}.example/"},
        {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {"secret": "anything", "headers": {"Authorization": "Bearer x", "X-Tenant": "1"}},
        {"timeout_ms": 600_000, "max_calls": 1000, "max_per_s": 0.1},
    ],
)
def test_what_can_work_is_taken(fields):
    assert declare(**fields).id == "crm"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": "ftp://crm.example"}, "http or https"),
        ({"url": "crm.example/hook"}, "http or https"),
        ({"url": "https://"}, "http or https"),
        ({"url": "https://crm.example/a#b"}, "fragment"),
        ({"url": "https://crm.example/a b"}, "blank"),
        ({"url": "https://crm.example:99999/"}, "[Pp]ort"),
        ({"url": "https://crm.example:0/"}, "port 0"),
        ({"url": "https://user:s3cret@crm.example/"}, "password"),
        ({"url": "https://user@crm.example/"}, "password"),
        ({"url": "http://a..b/"}, "cannot be a host"),
        ({"url": "http://.a/"}, "cannot be a host"),
        ({"url": "http://-a.b/"}, "cannot be a host"),
        ({"url": f"http://{'a' * 64}.example/"}, "cannot be a host"),
        ({"url": f"http://{'a.' * 127}example/"}, "cannot be a host"),
        ({"headers": {"X-A": "1", "x-a": "1"}}, "same name"),
        ({"secret": "whsec_not base64"}, "base64"),
        ({"headers": {"Content-Type": "text/plain"}}, "set by the outbox"),
        ({"headers": {"Idempotency-Key": "1"}}, "set by the outbox"),
        ({"headers": {"X Y": "1"}}, "no header"),
        ({"headers": {"X": "a\r\nb: c"}}, "no header"),
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"max_calls": 0}, "max_calls"),
        ({"max_per_s": -1}, "max_per_s"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_is_refused(fields, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        declare(**fields)


@pytest.mark.parametrize("url", ["ftp://u:s3cret@x/", "https://u:s3cret@x:99999/", "https://u:s3cret@\u2100/"])
def test_a_password_is_not_even_told_when_it_is_refused(url):
    with pytest.raises(msgspec.ValidationError) as error:
        declare(url=url)
    assert "s3cret" not in str(error.value)


def test_a_secret_is_not_shown():
    assert "sesame" not in repr(declare(secret="open sesame", headers={"Authorization": "sesame"}))
