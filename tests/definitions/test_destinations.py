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


def test_a_secret_is_not_shown():
    assert "sesame" not in repr(declare(secret="open sesame", headers={"Authorization": "sesame"}))
