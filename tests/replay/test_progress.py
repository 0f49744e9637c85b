"""How progress looks: a bar, or a line of text every few seconds."""

import pytest

from gateway.replay.progress import LINE_EVERY_S, Bar, Plain


class Watch:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_plain_is_a_line_every_few_seconds(capsys):
    watch = Watch()
    with Plain(2000, watch) as display:
        for done in range(0, 2000, 100):
            watch.now_s += LINE_EVERY_S / 10
            display.show("access.log", done, done * 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "access.log: 2,700 lines, 45 %\naccess.log: 5,700 lines, 95 %\n"


def test_plain_does_not_know_the_end_of_a_pipe(capsys):
    watch = Watch()
    with Plain(None, watch) as display:
        watch.now_s += LINE_EVERY_S
        display.show("standard input", 5, 1)
    assert capsys.readouterr().err == "standard input: 1 lines\n"


@pytest.mark.parametrize("total", [None, 0, 2000])
def test_the_bar_shows_file_and_lines_on_stderr(capsys, monkeypatch, total):
    # Elsewhere than on a terminal rich draws no bar at all.
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    watch = Watch()
    with Bar(total, watch) as display:
        for done in range(0, 2001, 500):
            watch.now_s += 1
            display.show("[red]access.log", done, done * 3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "[red]access.log" in err
    assert "6,000 lines" in err
