"""Files of definitions and the files of products they name: what is read, and what cannot be is told with its place."""

from pathlib import Path

import pytest

from engine.declaring import file_tables, read_file
from engine.errors import BadDefinition


def catalog_file(folder: Path, name: str) -> Path:
    file = folder / "shop.toml"
    file.write_text(f"[[datamart]]\nid = 1\n[[datamart.catalog]]\nid = 'c'\nproducts_file = '{name}'\n")
    return file


def products(file: Path):
    return read_file(file).datamarts[0].catalogs[0].products


def test_products_come_from_a_file_beside_it(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/p.ndjson").write_text('{"id":"1","url":"u","size":3}\n\n{"id":"2","url":"v","extra":{"a":1}}\n')
    first, second = products(catalog_file(tmp_path, "data/p.ndjson"))
    assert (first.id, first.url, first.extra) == ("1", "u", {"size": 3})
    assert second.extra == {"a": 1}


def test_a_csv_has_names_in_its_first_line(tmp_path: Path):
    text = 'id,url,name,categories,price,size\n1,u,"Hat, red",clothes > hats,1.5,\n2,v,,,,L\n'
    (tmp_path / "p.CSV").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first, second = products(catalog_file(tmp_path, "p.CSV"))
    assert (first.name, first.categories, first.price, first.extra) == ("Hat, red", ("clothes", "hats"), 1.5, {})
    assert (second.name, second.categories, second.price, second.extra) == ("", (), None, {"size": "L"})


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.ndjson", None, "No such file"),
        ("p.ndjson", b'{"id":"1","url":"u"}\n[3]\n', "line 2"),
        ("p.ndjson", b"\xff", "not UTF-8"),
        ("p.csv", b"id,url\n1,u,3\n", "more fields"),
        ("p.csv", b"id,url,price\n1,u,cheap\n", "cheap"),
    ],
)
def test_a_bad_file_of_products_is_told_with_its_place(tmp_path: Path, name: str, text: bytes | None, told: str):
    if text is not None:
        (tmp_path / name).write_bytes(text)
    with pytest.raises(BadDefinition) as refused:
        read_file(catalog_file(tmp_path, name))
    assert refused.value.path == "datamart[0].catalog[0].products_file"
    assert told in str(refused.value)


def test_a_product_that_is_none_is_told_by_its_place(tmp_path: Path):
    (tmp_path / "p.ndjson").write_text('{"id":"1","url":"u"}\n{"id":"2"}\n')
    with pytest.raises(BadDefinition) as refused:
        read_file(catalog_file(tmp_path, "p.ndjson"))
    assert refused.value.path == "datamart[0].catalog[0].product[1]"


def test_a_file_that_is_not_there_or_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BadDefinition, match=r"none\.toml: No such file"):
        file_tables(tmp_path / "none.toml")
    file = catalog_file(tmp_path, "x.csv")
    monkeypatch.setattr("engine.declaring.MAX_FILE_BYTES", 3)
    with pytest.raises(BadDefinition, match="larger than 3 bytes"):
        file_tables(file)
