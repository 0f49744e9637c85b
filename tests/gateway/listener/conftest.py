"""What the listener's tests on real sockets share."""

import pytest

from gateway.collect.listener import serve, shared


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of a tenth of a second need to be looked at more often."""
    monkeypatch.setattr(serve, "SWEEP_S", 0.01)
    monkeypatch.setattr(shared, "LINGER_S", 0.3)
