"""The registry of an agent id, which the limits count by (mediarithmics 1.5 and 13)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.identity.agents import split_agent


@pytest.mark.parametrize(
    ("user_agent_id", "registry", "id_there"),
    [
        ("vec:89090939434", "vec", "89090939434"),
        ("net:9:12345", "net:9", "12345"),
        ("mob:ios:raw:AB-12", "mob:ios", "AB-12"),
        ("mob:android:AB-12", "mob:android", "AB-12"),
        ("etag:-1", "etag", "-1"),
        ("net:9", "", "net:9"),
        ("vec", "", "vec"),
        ("net:9:a:b", "net:9", "a:b"),
        ("AB-12", "", "AB-12"),
        ("2001:db8::1", "", "2001:db8::1"),
        ("", "", ""),
    ],
)
def test_the_shapes_that_occur(user_agent_id, registry, id_there):
    assert split_agent(user_agent_id) == (registry, id_there)


@given(st.text(alphabet="vecntmob:9a"))
def test_any_text_splits(text):
    registry, id_there = split_agent(text)
    assert text.startswith(registry)
    assert text.endswith(id_there)
