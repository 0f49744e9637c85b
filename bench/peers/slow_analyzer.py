"""An HTTP analyzer that changes nothing and takes its time. Prints its port, and serves until it is ended."""

import argparse
import sys
from typing import Final

import trio
from msgspec import Raw, json

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"

_body = json.Decoder(dict[str, Raw])


async def serve(delay_s: float) -> None:
    """Answer each request after so long."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    print(listeners[0].socket.getsockname()[1], flush=True)

    async def answer(stream: trio.SocketStream) -> None:
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                more = await stream.receive_some(65536)
                if not more:
                    return
                held += more
            head, _, held = held.partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            while len(held) < length:
                held += await stream.receive_some(65536)
            activity = bytes(_body.decode(held[:length])["activity"])
            held = held[length:]
            await trio.sleep(delay_s)
            body = b'{"status":"ok","data":%b}' % activity
            await stream.send_all(ANSWER % (len(body), body))

    await trio.serve_listeners(answer, listeners)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=int, default=50)
    try:
        trio.run(serve, parser.parse_args().delay_ms / 1000)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
