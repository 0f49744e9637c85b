"""Which lines of a log are no visit of a person: files that a page brings along, and programs (`traffic.toml`).

A log is mostly these. Both tests go by what the client says of itself, so what they leave out is counted and shown.
"""

import re
import tomllib
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files

from gateway.replay.access_log import LogLine


class LeftOut(StrEnum):
    """Why a line is left out."""

    CRAWLER = "crawler"
    """The user agent names a program. Looked at first: who came counts before what was fetched."""
    STATIC = "static"
    """The path is that of a file which pages bring along."""


class Traffic:
    """The two tests.

    Args:
        static_extensions: endings of the path's last part, without the dot, in lower case.
        static_paths: whole paths.
        crawlers: regular expressions, searched in the user agent; case does not matter.
    """

    def __init__(self, static_extensions: Sequence[str], static_paths: Sequence[str], crawlers: Sequence[str]) -> None:
        self._extensions = frozenset(static_extensions)
        self._paths = frozenset(static_paths)
        pattern = re.compile("|".join(crawlers) or r"(?!)", re.IGNORECASE | re.ASCII)
        # A log has few user agents and many lines; what is kept is bounded all the same.
        self._is_crawler = lru_cache(maxsize=4096)(lambda agent: pattern.search(agent) is not None)

    def left_out(self, line: LogLine) -> LeftOut | None:
        """Why the line is no visit of a person; None when it may be one."""
        if self._is_crawler(line.agent):
            return LeftOut.CRAWLER
        path = line.target.partition("?")[0].partition("#")[0].partition(";")[0]
        extension = path.rpartition("/")[2].rpartition(".")
        if path in self._paths or (extension[1] and extension[2].lower() in self._extensions):
            return LeftOut.STATIC
        return None


def load_traffic() -> Traffic:
    """The tests as `traffic.toml` beside this module describes them."""
    text = files("gateway.replay").joinpath("traffic.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return Traffic(table["static_extensions"], table["static_paths"], table["crawlers"])
