"""What the listener's tests on real sockets share."""

import pytest

from gateway.collect.listener import serve, shared


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a tenth of a second need to be looked at more often."""
    monkeypatch.setattr(serve, "SWEEP_S", 0.01)
    monkeypatch.setattr(shared, "LINGER_S", 0.3)


@pytest.fixture(params=["epoll", "tasks"])
def polled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections wait together, and each in its own task, as on systems without epoll."""
    if request.param == "tasks":
        monkeypatch.setattr(shared.Poller, "where_possible", lambda: None)
