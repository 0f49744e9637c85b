"""Expressions that operators write and strangers' values are held against.

They run in time that is linear in the value, whatever the expression says: RE2 has no backtracking, and refuses what
would need it (look-around, back-references). With the engine of Python's `re`, `(a+)+` and forty characters would hold
up everybody for hours.
"""

from collections.abc import Callable
from typing import Final

import re2  # type: ignore[import-untyped]

from engine.errors import CallerError

MAX_PROGRAM_BYTES: Final = 1 << 20
"""Memory of one compiled expression; larger ones are refused."""


def full_match(expression: str, path: str) -> Callable[[str], bool]:
    """A test whether all of a text matches.

    Args:
        expression: in the syntax of RE2.
        path: of it in what is declared.

    Raises:
        CallerError: it does not compile.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PROGRAM_BYTES
    try:
        compiled = re2.compile(expression, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0] if error.args else error
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(error)
        raise CallerError(f"no regular expression (RE2): {text}", code="bad_definition", path=path) from None
    return lambda text: compiled.fullmatch(text) is not None
