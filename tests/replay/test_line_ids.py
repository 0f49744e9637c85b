"""Ids of lines: the same in every replay of a file, different for every line of it."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.line_ids import Occurrences, line_id


def ids(lines: list[bytes]) -> list[str]:
    occurrences = Occurrences()
    return [line_id(line, occurrences.next_of(line)) for line in lines]


def test_equal_lines_are_counted():
    occurrences = Occurrences()
    assert [occurrences.next_of(line) for line in (b"a", b"b", b"a", b"a", b"b")] == [0, 0, 1, 2, 1]


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"a\0"])))
def test_every_line_has_an_id_of_its_own_and_always_the_same(lines):
    assert ids(lines) == ids(lines)
    assert len(set(ids(lines))) == len(lines)


@given(st.data(), st.lists(st.sampled_from([b"a", b"b", b"c"])))
def test_the_ids_of_a_file_do_not_depend_on_the_order_of_its_lines(data, lines):
    assert sorted(ids(lines)) == sorted(ids(data.draw(st.permutations(lines))))


def test_events_of_one_line_have_ids_of_their_own():
    assert len({line_id(b"a", occurrence, index) for occurrence in range(3) for index in range(3)}) == 9


def test_the_id_of_a_line_never_changes():
    # Who replays a log again with a later version must find its lines known.
    assert line_id(b"a line", 0) == "884b25cb77d25cedaef3d27d"
    assert line_id(b"a line", 1, 2) == "8fc6013e1ac329369941f026"
