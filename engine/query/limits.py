"""How large a query may be. Each bound has its reason beside it; what is above is refused when a query is read."""

from typing import Final

MAX_QUERY_CHARS: Final = 100_000
"""A query with a list of some thousand ids fits; it is read in milliseconds."""

MAX_DEPTH: Final = 32
"""Expressions within expressions. People write four; reading and asking are recursive."""

MAX_NODES: Final = 5000
"""Expressions of one query: asked of each activity, at 0.1 µs and more each."""

MAX_VALUES: Final = 20_000
"""Values of one comparison: the equal ones are looked up in a set, so only memory pays for them."""

MAX_NAME_CHARS: Final = 255
"""Of a field's name, as of an event's."""

MAX_PATTERN_CHARS: Final = 1000
"""Of what MATCHES gets: longer ones are lists of words, which `CONTAINS [ … ]` does better."""

MAX_PATTERN_POSITIONS: Final = 1000
"""Characters of all that MATCHES gets in one query, repetitions written out: some thirty patterns of addresses. The
worst of them cost up to 20 ns each for a character of a value; nearly all cost a few ns for all of them together."""

MAX_MATCHING_WORK: Final = 1_000_000
"""Positions of a comparison × characters of a value: 8 ms for the worst that were found, at most 20. A value
that is more matches nothing."""

MAX_MATCHED_CHARS: Final = 20_000
"""A longer value matches nothing: more than twice what an activity may have."""
