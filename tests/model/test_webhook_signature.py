"""The signature of a request, as a receiver checks it."""

import base64
import hashlib
import hmac

import pytest

from engine.model.webhook_signature import key_of, signature_headers

ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
BODY = b'{"test": 2432232314}'


def test_the_example_that_libraries_of_the_scheme_test_with():
    headers = signature_headers("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ID, 1614265330, BODY)
    assert headers == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_any_other_secret_is_the_key_itself():
    headers = signature_headers("open sesame", ID, 7, b"{}")
    code = hmac.new(b"open sesame", b"%s.7.{}" % ID.encode(), hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(code).decode()


def test_time_id_and_body_are_all_signed():
    found = {
        signature_headers("s", *what)["webhook-signature"]
        for what in [(ID, 1, b"{}"), (ID, 2, b"{}"), ("other", 1, b"{}"), (ID, 1, b"[]")]
    }
    assert len(found) == 4


@pytest.mark.parametrize("secret", ["whsec_", "whsec_?", "whsec_abc"])
def test_a_key_that_cannot_be_read(secret):
    with pytest.raises(ValueError, match="whsec_"):
        key_of(secret)
