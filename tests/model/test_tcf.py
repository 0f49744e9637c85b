"""Consent strings of TCF 2: what they say, and that any text gives a value or an error that says what is wrong."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.model.tcf import MAX_TC_STRING_CHARS, read_tc_string

# Made by the reference implementation of IAB Tech Lab (its JavaScript library, 1.5.21); policy 4 is TCF 2.2.
BITFIELD = "CP97zwAP9_GsAAfACBENDIEgAMIAAAKAAAAAAQkKAAACABQAwAAA.IAAA.YAAAAAAAAAAA"
RANGES = "CP97zwAP9_GsAAfACBENDIEgAMAAAABAAAAAI_QAgABwK8BH4EsIAIEsAAAA.IAAA.YAAAAAAAAAAA"
NOTHING = "CP97zwAP9_GsAAfACBENDIEgAAAAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA"
RESTRICTED = "CP97zwAP9_GsAAfACBENDIEgAMIAAEIAAAAAAEkKABICgBggAIABwkAEABI8ACAAkAAA.IAAA.YAAAAAAAAAAA"
# The example of the framework's own specification; TCF 2.0.
SPECIFIED = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"


def members(vendors, most=1300):
    return [one for one in range(most + 1) if one in vendors]


def purposes(bits):
    return [one for one in range(1, 25) if bits >> (24 - one) & 1]


def test_a_string_with_bits():
    said = read_tc_string(BITFIELD)
    assert (said.created_ms, said.updated_ms) == (1_714_521_600_000, 1_714_608_000_000)
    assert (said.cmp, said.policy) == (31, 4)
    assert (members(said.vendors), purposes(said.purposes)) == ([2, 7, 9, 33], [1, 2, 7])
    assert (members(said.interest_vendors), purposes(said.interest_purposes)) == ([9, 10], [7, 9])
    assert said.restrictions == ()


def test_a_string_with_ranges():
    said = read_tc_string(RANGES)
    assert members(said.vendors) == [3, *range(700, 1151)]
    assert (members(said.interest_vendors), purposes(said.interest_purposes)) == ([1200], [10])


def test_a_string_that_allows_nothing():
    said = read_tc_string(NOTHING)
    assert members(said.vendors) == members(said.interest_vendors) == []
    assert not said.consents(1, ())
    assert not said.tolerates(1, ())


def test_the_example_of_the_specification():
    said = read_tc_string(SPECIFIED)
    assert (members(said.vendors), members(said.interest_vendors)) == ([2, 6, 8], [2, 6, 8])
    assert (purposes(said.purposes), said.cmp, said.policy) == ([1, 2, 3], 27, 2)
    assert said.created_ms == 1_582_243_059_300


@pytest.mark.parametrize(
    ("vendor", "asked", "consents"),
    [
        (2, (), True),
        (2, (1, 2), True),
        (2, (1, 2, 7), True),
        (2, (1, 3), False),
        (3, (1,), False),
        (33, (7,), True),
        (34, (), False),
        (0, (), False),
        (2, (0,), False),
        (2, (25,), False),
    ],
)
def test_consent_is_of_the_vendor_and_of_all_purposes(vendor, asked, consents):
    assert read_tc_string(BITFIELD).consents(vendor, asked) is consents


@pytest.mark.parametrize(("vendor", "asked", "tolerates"), [(9, (7, 9), True), (9, (2,), False), (2, (7,), False)])
def test_interest_has_its_own_vendors_and_purposes(vendor, asked, tolerates):
    assert read_tc_string(BITFIELD).tolerates(vendor, asked) is tolerates


@pytest.mark.parametrize(
    ("vendor", "purpose", "consents", "tolerates"),
    [
        (2, 1, True, False),
        (7, 1, False, False),  # Not allowed to vendor 7.
        (7, 2, True, True),
        (9, 2, True, False),  # Vendor 9 needs consent,
        (9, 7, False, True),  # and here an interest.
    ],
)
def test_what_the_publisher_restricts(vendor, purpose, consents, tolerates):
    said = read_tc_string(RESTRICTED)
    assert (said.consents(vendor, (purpose,)), said.tolerates(vendor, (purpose,))) == (consents, tolerates)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "empty"),
        (".IAAA", "empty"),
        ("C", "a character is missing"),
        ("CP97!wAP", "no base64url"),
        ("CP97é", "no base64url"),
        ("CP97zwAP9_", "ends within the times"),
        (BITFIELD.split(".", maxsplit=1)[0][:40], "ends within the vendors' consents"),
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", "version 1, not 2"),
        ("DBABMA", "version 3, not 2"),  # GPP.
        ("C" * (MAX_TC_STRING_CHARS + 1), "more than"),
    ],
)
def test_what_cannot_be_read_says_why(text, fault):
    with pytest.raises(ValueError, match=fault):
        read_tc_string(text)


class Bits:
    """The slow and obvious encoder."""

    def __init__(self):
        self.text = ""

    def put(self, value, count):
        self.text += f"{value:0{count}b}"
        return self

    def vendors(self, chosen, *, ranges):
        self.put(max(chosen, default=0), 16).put(int(ranges), 1)
        if not ranges:
            self.text += "".join(str(int(one in chosen)) for one in range(1, max(chosen, default=0) + 1))
            return self
        self.put(len(chosen), 12)
        for one in sorted(chosen):
            self.put(0, 1).put(one, 16)
        return self

    def done(self):
        text = self.text + "0" * (-len(self.text) % 8)
        data = int(text, 2).to_bytes(len(text) // 8, "big")
        return base64.urlsafe_b64encode(data).decode().rstrip("=")


VENDORS = st.frozensets(st.integers(1, 300), max_size=20)
PURPOSES = st.frozensets(st.integers(1, 24))


@given(VENDORS, VENDORS, PURPOSES, PURPOSES, st.booleans(), st.booleans(), st.integers(0, 2**36 - 1))
def test_what_is_written_is_read(consent, interest, told, tolerated, first, second, time):
    def bits(chosen):
        return sum(1 << (24 - one) for one in chosen)

    made = Bits().put(2, 6).put(time, 36).put(time, 36).put(7, 12).put(1, 12).put(2, 6).put(0, 12).put(9, 12)
    made.put(4, 6).put(0, 14).put(bits(told), 24).put(bits(tolerated), 24).put(0, 13)
    said = read_tc_string(made.vendors(consent, ranges=first).vendors(interest, ranges=second).put(0, 12).done())
    assert (members(said.vendors), members(said.interest_vendors)) == (sorted(consent), sorted(interest))
    assert (purposes(said.purposes), purposes(said.interest_purposes)) == (sorted(told), sorted(tolerated))
    assert said.created_ms == said.updated_ms == time * 100


@given(st.text(max_size=200) | st.text("ABCDEFabcdef0123456789-_.", max_size=400).map(lambda text: "C" + text))
def test_any_text_gives_a_value_or_an_error(text):
    try:
        said = read_tc_string(text)
    except ValueError:
        return
    assert said.consents(1, (1,)) in (True, False)
    assert said.tolerates(65_535, (24,)) in (True, False)


@given(st.sampled_from([BITFIELD, RANGES, RESTRICTED]), st.data())
def test_a_string_that_was_cut_is_an_error_or_still_whole(text, data):
    core = text.split(".", maxsplit=1)[0]
    cut = core[: data.draw(st.integers(0, len(core)))]
    try:
        said = read_tc_string(cut)
    except ValueError:
        return
    assert said == read_tc_string(text), "what was cut off was padding"
