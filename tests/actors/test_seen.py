"""Accepted once: what is remembered, from when on, and until when (decision 18)."""

import pytest

from engine.actors.seen import SeenKeys
from engine.store.memory import MemoryStore

KEEP_MS = 1000
NOW = 1_700_000_000_000


class Here:
    def __init__(self):
        self.store = MemoryStore()
        self.seen = SeenKeys(self.store, KEEP_MS)

    def knows(self, event_id, draft=None, *, wall_ms=NOW, datamart=1):
        draft = self.seen.draft() if draft is None else draft
        return self.seen.knows(draft, datamart=datamart, event_id=event_id, wall_ms=wall_ms)

    def note(self, draft, event_id, *, wall_ms=NOW):
        return self.seen.note(draft, datamart=1, event_id=event_id, wall_ms=wall_ms)

    def digest(self, key, draft=None, *, wall_ms=NOW, datamart=1):
        draft = self.seen.draft() if draft is None else draft
        found = self.seen.request(draft, datamart=datamart, idempotency_key=key, wall_ms=wall_ms)
        return None if found is None else found.digest

    def note_request(self, draft, key, digest, refused=()):
        return self.seen.note_request(
            draft, datamart=1, idempotency_key=key, body_digest=digest, refused=refused, wall_ms=NOW
        )


@pytest.fixture
def here():
    return Here()


def test_an_id_is_known_within_its_own_request_at_once(here):
    draft = here.seen.draft()
    assert not here.knows("a", draft)
    here.note(draft, "a")
    assert here.knows("a", draft)
    assert not here.knows("b", draft)


def test_an_id_of_a_request_that_was_not_taken_was_never_there(here):
    here.note(here.seen.draft(), "a")
    assert not here.knows("a")


def test_an_id_is_known_before_and_after_its_commit(here):
    draft = here.seen.draft()
    operation = here.note(draft, "a")
    here.seen.keep(draft)
    assert here.knows("a"), "two copies on two connections at once are one event"
    here.store.commit([operation])
    here.seen.committed(draft)
    assert here.knows("a")
    assert SeenKeys(here.store, KEEP_MS).knows(here.seen.draft(), datamart=1, event_id="a", wall_ms=NOW)
    assert here.seen._pending == {}


def test_an_id_is_of_its_datamart(here):
    draft = here.seen.draft()
    here.note(draft, "a")
    assert not here.knows("a", draft, datamart=2)


def test_an_id_is_forgotten_when_its_time_is_over_also_before_it_is_swept_away(here):
    here.store.commit([here.note(here.seen.draft(), "a")])
    assert here.knows("a", wall_ms=NOW + KEEP_MS - 1)
    assert not here.knows("a", wall_ms=NOW + KEEP_MS)


def test_an_event_id_is_no_idempotency_key(here):
    draft = here.seen.draft()
    here.note(draft, "a")
    assert here.digest("a", draft) is None


@pytest.mark.parametrize("stage", ["draft", "kept", "stored"])
def test_a_request_is_known_by_the_digest_of_its_body(here, stage):
    draft = here.seen.draft()
    operation = here.note_request(draft, "k", b"body")
    if stage == "draft":
        assert here.digest("k", draft) == b"body"
        assert here.digest("k") is None
        return
    here.seen.keep(draft)
    if stage == "stored":
        here.store.commit([operation])
        here.seen.committed(draft)
    assert here.digest("k") == b"body"
    assert here.digest("k", datamart=2) is None
    assert here.digest("other") is None


def test_what_was_refused_of_a_request_is_known_with_it(here):
    draft = here.seen.draft()
    refused = ((3, "bad_field", "wrong", "$.$ts"),)
    here.store.commit([here.note_request(draft, "k", b"body", refused)])
    found = here.seen.request(here.seen.draft(), datamart=1, idempotency_key="k", wall_ms=NOW)
    assert found.refused == refused


@pytest.mark.parametrize("looked_up", [True, False])
def test_looking_up_first_changes_no_answer(here, looked_up):
    """Known, expired and new ids, and one noted in this request after it was looked up."""
    first = here.seen.draft()
    here.store.commit([here.note(first, "known"), here.note(first, "old", wall_ms=NOW - KEEP_MS)])
    draft = here.seen.draft()
    if looked_up:
        here.seen.look_up(draft, datamart=1, event_ids=["known", "old", "new", "known"])
    assert [here.knows(one, draft) for one in ("known", "old", "new")] == [True, False, False]
    here.note(draft, "new")
    assert here.knows("new", draft)
