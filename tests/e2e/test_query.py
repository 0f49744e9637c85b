"""`sojourn query` beside a running server: its datamart's own names, and what is known of persons."""

import json
from pathlib import Path

import pytest

from tests.e2e.server import serving, sojourn, visit

pytestmark = pytest.mark.slow

DEFINITIONS = """
[[datamart]]
id = 1

[[datamart.schema.field]]
object_type = "UserEvent"
name = "color"
paths = ["$properties.color"]
type = "STRING"

[[datamart.query]]
id = "red"
query = 'SELECT @count{} FROM UserEvent WHERE color = "red"'

[[datamart.segment]]
id = "vip"

[[datamart.automation]]
id = "7"
trigger = 'events { color = "red" }'
begin = "add"
[[datamart.automation.node]]
id = "add"
type = "ADD_TO_SEGMENT_NODE"
segment = "vip"
"""


def test_a_query_beside_a_server_knows_what_was_applied_there(tmp_path: Path):
    data, file = tmp_path / "data", tmp_path / "shop.toml"
    file.write_text(DEFINITIONS)

    def ask(text: str) -> object:
        found = sojourn("query", text, "--data", str(data), "--json")
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)

    with serving(data, "--definitions", str(file)) as server:
        for user, color in (("a", "red"), ("b", "blue")):
            item = visit(user, "see")
            item["$events"][0]["$properties"] = {"color": color}
            assert server.post([item], **{"async": "false"}).status_code == 200
        assert ask("@red") == {"count": 1}
        assert ask('SELECT @count{} FROM UserPoint WHERE segments { id = "vip" }') == {"count": 1}
        assert ask('SELECT { color } FROM UserEvent WHERE color = "blue"') == {"color": "blue"}
        unknown = sojourn("query", "@green", "--data", str(data))
        assert (unknown.returncode, "no query `green`" in unknown.stderr) == (2, True)
