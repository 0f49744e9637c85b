"""Files of definitions: a TOML or JSON file, and the files of products that its catalogs name."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from engine.definitions.declared.catalogs import Product
from engine.definitions.declared.datamarts import Declared
from engine.definitions.reading import read_declared, tables_of_source
from engine.errors import BadDefinition, CallerError
from engine.model.wire import decode, decoder

MAX_FILE_BYTES: Final = 256 << 20
"""Of one file: a million products; a larger one is something else."""

_row = decoder(dict[str, Any])
_KNOWN: Final = frozenset(one.encode_name for one in structs.fields(Product))


def read_file(path: str | Path) -> Declared:
    """What a file declares.

    Raises:
        BadDefinition: the file cannot be read, or something in it is not allowed; its faults are told by their paths.
    """
    return read_declared(file_tables(path))


def file_tables(path: str | Path) -> dict[str, Any]:
    """A file's tables, with the products of the files that its catalogs name in their place.

    Raises:
        BadDefinition: a file cannot be read.
    """
    path = Path(path)
    data = tables_of_source(_read(path, ""))
    faults: list[tuple[str, str]] = []
    for place, catalog in _catalogs(data):
        name = catalog.get("products_file")
        if not name or not isinstance(name, str):
            continue
        try:
            products = list(_products(path.parent / name))
        except BadDefinition as error:
            faults += ((f"{place}.products_file", problem) for _, problem in error.faults)
            continue
        own = catalog.get("product") or []
        if isinstance(own, list):
            catalog["product"] = [*own, *products]
            del catalog["products_file"]
    if faults:
        raise BadDefinition(faults)
    return data


def _catalogs(data: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    datamarts = data.get("datamart")
    for index, datamart in enumerate(datamarts if isinstance(datamarts, list) else ()):
        catalogs = datamart.get("catalog") if isinstance(datamart, dict) else None
        for at, catalog in enumerate(catalogs if isinstance(catalogs, list) else ()):
            if isinstance(catalog, dict):
                yield f"datamart[{index}].catalog[{at}]", catalog


def _products(path: Path) -> Iterator[dict[str, Any]]:
    text = _read(path, f"{path}: ")
    if path.suffix.lower() == ".csv":
        yield from _csv_products(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _product(decode(_row, line.encode()))
        except CallerError as error:
            raise BadDefinition([("", f"{path}, line {number}: {error}")]) from None


def _csv_products(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
            if None in row:
                raise csv.Error("a line has more fields than the first one has names")
            found: dict[str, Any] = {name: value for name, value in row.items() if value}
            if "categories" in found:
                found["categories"] = [one.strip() for one in found["categories"].split(">")]
            if "price" in found:
                found["price"] = float(found["price"])
            yield _product(found)
    except (csv.Error, ValueError) as error:
        raise BadDefinition([("", f"{path}: {error}")]) from None


def _product(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a product: what is no key of one goes into its `extra`."""
    extra = {name: value for name, value in row.items() if name not in _KNOWN}
    if not extra:
        return row
    held = row.get("extra")
    known = {name: value for name, value in row.items() if name in _KNOWN}
    return known | {"extra": (held if isinstance(held, dict) else {}) | extra}


def _read(path: Path, prefix: str) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadDefinition([("", f"{path} is larger than {MAX_FILE_BYTES} bytes")])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadDefinition([("", f"{path}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise BadDefinition([("", f"{path} is not UTF-8 at byte {error.start}")]) from error
