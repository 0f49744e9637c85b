"""What a team builds first: FastAPI on uvicorn that puts each body into SQLite, on disk before it says 200.

uvicorn with uvloop and httptools, without its access log; SQLite with a write-ahead log and `synchronous=FULL`, which
syncs the log at each commit; one insert, one commit a request. Neither JSON nor session is looked at.

Where the commit runs is a choice, `--commit`:

- `thread` (default): an async handler hands it to the one thread that has the connection, and the loop goes on: the
  fastest where a sync takes time.
- `loop`: in the async handler itself, where nobody else is served meanwhile: the fastest where a sync costs nothing.
- `pool`: a plain `def` handler, as the tutorials show; FastAPI's thread pool, the connection under a lock. Slowest.
"""

import argparse
import asyncio
import signal
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Final

import uvicorn
from fastapi import Depends, FastAPI, Request, Response

from bench.machine import tune_gc
from bench.peers.port import bound, tell

PATH: Final = "/v1/datamarts/{datamart}/user_activities"
INSERT: Final = "INSERT INTO activities (body) VALUES (?)"
_OK: Final = b'{"status":"ok"}'


def connected(file: Path) -> sqlite3.Connection:
    """A connection that commits each statement by itself and lets threads take turns."""
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS activities (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    return connection


def made(connection: sqlite3.Connection, commit: str) -> FastAPI:
    """The application, with the commit where it is asked for."""
    app = FastAPI(openapi_url=None)

    def stored() -> Response:
        return Response(_OK, media_type="application/json")

    if commit == "thread":
        writer = ThreadPoolExecutor(1)

        @app.post(PATH)
        async def take(request: Request) -> Response:
            body = await request.body()
            await asyncio.get_running_loop().run_in_executor(writer, connection.execute, INSERT, (body,))
            return stored()

    elif commit == "loop":

        @app.post(PATH)
        async def take(request: Request) -> Response:
            connection.execute(INSERT, (await request.body(),))
            return stored()

    else:
        lock = threading.Lock()

        async def raw(request: Request) -> bytes:
            return await request.body()

        @app.post(PATH)
        def take(body: Annotated[bytes, Depends(raw)]) -> Response:
            with lock:
                connection.execute(INSERT, (body,))
            return stored()

    return app


def main() -> None:
    """Serve until the process is asked to end."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers.fastapi_sqlite",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="the database")
    parser.add_argument("--commit", choices=("thread", "loop", "pool"), default="thread", help="where (thread)")
    options = parser.parse_args()
    app = made(connected(options.file), options.commit)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
    listener = bound()
    tune_gc()
    tell(listener)
    # uvicorn ends what is under way at SIGTERM, and then raises the signal again: that is a good end here.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
