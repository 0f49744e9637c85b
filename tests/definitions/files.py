"""The file with one of everything, and changes of it."""

import tomllib
from pathlib import Path

from engine.declaring import file_tables, read_file
from engine.definitions.declared.datamarts import Declared
from engine.definitions.reading import read_declared

FULL = Path(__file__).with_name("full.toml")


def full() -> Declared:
    """What the file declares."""
    return read_file(FULL)


def tables(**changed: object) -> dict:
    """The file's tables, its products included; keywords replace kinds of the first datamart."""
    found = file_tables(FULL)
    found["datamart"][0] |= changed
    return found


def small(text: str = "", **more: object) -> dict:
    """A datamart 1 with a site 1 and what the text declares beside it, below `[[datamart]]`."""
    found = tomllib.loads(f"[[datamart]]\nid = 1\n{text}")
    found["datamart"][0] |= more
    return found


def declared(text: str = "", **more: object) -> Declared:
    """`small`, read."""
    return read_declared(small(text, **more))
