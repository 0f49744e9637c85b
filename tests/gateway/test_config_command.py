"""`sojourn config`: what it prints can be read back, and a bad file is told by its key."""

import tomllib

from gateway.cli import run


def test_what_it_prints_is_a_good_file(capsys, tmp_path):
    assert run(["config"]) == 0
    text = capsys.readouterr().out
    assert "gap_ms" in text
    assert "session" in tomllib.loads(text)
    file = tmp_path / "sojourn.toml"
    file.write_text(text)
    assert run(["config", "--config", str(file)]) == 0
    assert capsys.readouterr().out == ""


def test_a_bad_file_is_told_by_its_key(capsys, tmp_path):
    file = tmp_path / "sojourn.toml"
    file.write_text("[session]\ngap = 1\n")
    assert run(["config", "--config", str(file)]) == 2
    assert "session.gap" in capsys.readouterr().err
