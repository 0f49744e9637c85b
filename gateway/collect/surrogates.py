"""Text that was cut in the middle of an emoji, as JavaScript writes it in JSON: `"\\ud83d"`, half a surrogate pair.

JSON's grammar allows it, but it is no character and has no UTF-8, so a reader of JSON refuses the whole document:
one title that a page has shortened would cost all the events of its request. It becomes U+FFFD here, where nobody is
there to be told. Pure.
"""

import re
from typing import Final

_MAY_BE_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")

# A backslash stands only in front of what it escapes, so that reading from the left never takes `\\ud83d`, which is a
# backslash and text, for a half.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def without_halves(data: bytes) -> bytes:
    """JSON with U+FFFD for each half of a surrogate pair; anything else stays as it is, byte for byte."""
    return _ESCAPE.sub(_mended, data) if _MAY_BE_HALF.search(data) else data


def _mended(found: "re.Match[bytes]") -> bytes:
    return rb"\ufffd" if found["half"] is not None else found[0]
