"""Consent: any no is a no, and so is a question that the law asks and nobody answered."""

import pytest

from engine import VisitorSettings
from gateway.collect.consent import allows_cookie, objection

TCF = "CPcl6wAPcl6wAAHABBENDuCgAP-gAAAAAAYgF5wAgAAAA.YAAAAAAAAAAA"


@pytest.mark.parametrize(
    ("headers", "visitors", "reason"),
    [
        ({}, {}, ""),
        ({"dnt": "1"}, {}, "do_not_track"),
        ({"dnt": " 1 "}, {}, "do_not_track"),
        ({"dnt": "0"}, {}, ""),
        ({"dnt": "null"}, {}, ""),
        ({"sec-gpc": "1"}, {}, "global_privacy_control"),
        ({"sec-gpc": "1", "dnt": "1"}, {"honour_do_not_track": False}, "global_privacy_control"),
        ({"sec-gpc": "1", "dnt": "1"}, {"honour_global_privacy_control": False}, "do_not_track"),
        (
            {"sec-gpc": "1", "dnt": "1"},
            {"honour_do_not_track": False, "honour_global_privacy_control": False},
            "",
        ),
    ],
)
def test_what_the_browser_says(headers, visitors, reason):
    assert objection(headers, VisitorSettings(**visitors)) == reason


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, True),
        ({"consent": "true"}, True),
        ({"consent": "1"}, True),
        ({"consent": "false"}, False),
        ({"consent": "0"}, False),
        ({"consent": "?"}, False),
        ({"gdpr": "0"}, True),
        ({"gdpr": "1"}, False),
        ({"gdpr": "1", "gdpr_consent": TCF}, True),
        ({"gdpr": "1", "gdpr_consent": TCF, "consent": "false"}, False),
        ({"gdpr": "1", "gdpr_consent": "${GDPR_CONSENT_184}"}, False),
        ({"gdpr": "1", "gdpr_consent": "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"}, False),
        ({"gdpr": "${GDPR}", "gdpr_consent": "${GDPR_CONSENT_184}"}, True),
        ({"gdpr_consent": ""}, True),
    ],
)
def test_what_the_page_says(said, expected):
    assert allows_cookie(**said) is expected
