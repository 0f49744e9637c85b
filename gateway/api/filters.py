r"""The `filters` parameter of a timeline: `field==value`, `,` between conditions (all hold), `|` between values (any).

    $type==SITE_VISIT|APP_VISIT,$channel_id==1268,start_ts==1700000000000

`start_ts` and `end_ts` bound `$ts`, both included. Any other name is a root field, `$channel_id` standing for
`$site_id` or `$app_id`; a value is compared with the text of a JSON scalar (a string's content, a number as it was
sent, `true`, `false`, `null`). A backslash takes the meaning from the sign behind it: `name==Smith\, Jones`.
(facts: mediarithmics 11.1)
"""

import re
from typing import Final

from engine import Condition, Filters
from gateway.errors import RequestError

MAX_CONDITIONS: Final = 16
"""Of one request. Each is held against every activity that is read on the way."""

MAX_VALUES: Final = 64
"""Of one condition, for the same reason."""

MAX_TS_MS: Final = 2**63 - 1

# A sign with its backslash, or one of the separators, or a run of plain text.
_TOKEN = re.compile(r"\\.|==|[,|]|[^\\,|=]+|=|\\", re.DOTALL)


def parse_filters(text: str) -> Filters:
    """Read a `filters` parameter, form-decoded already. Empty text filters nothing.

    Raises:
        RequestError: 400 `bad_filter`; the message names the condition.
    """
    if not text:
        return Filters()
    conditions: list[Condition] = []
    bounds: dict[str, int] = {}
    for condition in _split(text):
        if condition.field in ("start_ts", "end_ts"):
            if condition.field in bounds:
                raise _bad(f"`{condition.field}` is there twice")
            bounds[condition.field] = _ts(condition)
        else:
            conditions.append(condition)
    return Filters(tuple(conditions), bounds.get("start_ts"), bounds.get("end_ts"))


def escape(value: str) -> str:
    """The value with a backslash before every sign that means something in a filter."""
    return re.sub(r"[\\,|=]", r"\\\g<0>", value)


def _split(text: str) -> list[Condition]:
    found: list[Condition] = []
    parts: list[str] = [""]
    field: str | None = None
    for token in [*_TOKEN.findall(text), ","]:
        if token == "," or token == "|":
            if field is None:
                raise _bad(f"`{parts[-1]}` is not `field==value`")
            if token == "|":
                parts.append("")
                continue
            if len(parts) > MAX_VALUES:
                raise _bad(f"`{field}` has more than {MAX_VALUES} values")
            found.append(Condition(field, tuple(parts)))
            field, parts = None, [""]
        elif token == "==" and field is None:
            field, parts = parts[0], [""]
            if not field:
                raise _bad("a condition has no field before `==`")
        elif token == "\\":
            raise _bad("a backslash at the end has nothing to stand for")
        else:
            parts[-1] += token[1:] if token.startswith("\\") else token
    if len(found) > MAX_CONDITIONS:
        raise _bad(f"more than {MAX_CONDITIONS} conditions")
    return found


def _ts(condition: Condition) -> int:
    (text, *others) = condition.values
    if others or not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > MAX_TS_MS:
        raise _bad(f"`{condition.field}` must be one time in milliseconds since the epoch")
    return int(text)


def _bad(message: str) -> RequestError:
    return RequestError(400, "bad_filter", message, path="filters")
