"""How a peer begins: an address of its own choice, and a line that tells it."""

import json
import socket


def bound() -> socket.socket:
    """A socket that listens on a free port of this machine: who connects early waits for the server behind it."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    return listener


def tell(listener: socket.socket) -> None:
    """Print where it listens, as one line of JSON."""
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
