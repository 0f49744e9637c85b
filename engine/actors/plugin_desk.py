"""Where plugins turn to: who they are, which analyzers are theirs, the files they keep here (mediarithmics 6.3, 6.4).

A plugin is known by the `worker_id` and `token` that its analyzers are defined with; several analyzers may have the
same ones, as one program may serve several. The files it keeps are its own: no other plugin sees them. A `worker_id`
has one token in all datamarts (`definitions/checking.py`), and no `/`, so that the keys of one plugin never begin as
those of another.
"""

import hmac
from collections.abc import Callable, Iterable
from typing import Final

import trio
from msgspec import Struct

from engine.actors.writer import Writer
from engine.definitions.declared.analyzers import Analyzer
from engine.definitions.defined import Defined
from engine.errors import CallerError
from engine.store.port import Db, Put, Store

PREFIX: Final = b"plugin_configuration/"
"""Of the rows of these files, among the definitions: `plugin_configuration/<worker id>/<name>`."""

MAX_FILE_BYTES: Final = 1 << 20
"""Of one file: it is configuration; data comes from the folder of data files."""

MAX_NAME_BYTES: Final = 200
"""Of a file's name, which is the last part of a key; a worker id, before it, is shorter."""

MAX_FILES: Final = 100
"""Of one plugin."""


class PluginAnalyzer(Struct, frozen=True):
    """An analyzer that is a plugin's, and its datamart."""

    datamart: int
    analyzer: Analyzer


class PluginDesk:
    """Answers plugins.

    Args:
        defined: what is defined now, of all datamarts.
        store: where files are kept; a look-up is a point read.
        writer: writes them.
    """

    def __init__(self, defined: Callable[[], Iterable[Defined]], store: Store, writer: Writer) -> None:
        self._defined = defined
        self._store = store
        self._writer = writer

    def analyzers(self, worker_id: str, token: str) -> tuple[PluginAnalyzer, ...]:
        """The analyzers of the plugin with these credentials, none where nobody has them; in the order of datamarts."""
        given = token.encode()
        if "/" in worker_id:
            return ()  # None may be applied; one that was kept by an earlier version would share keys.
        return tuple(
            PluginAnalyzer(defined.datamart, one)
            for defined in sorted(self._defined(), key=lambda one: one.datamart)
            for one in defined.analyzers
            # The second comparison takes the same time whatever the token is.
            if one.worker_id and one.worker_id == worker_id and hmac.compare_digest(one.token.encode(), given)
        )

    def configuration(self, worker_id: str, name: str) -> bytes | None:
        """A file that the plugin keeps here, or None.

        Raises:
            CallerError: it cannot have this name.
        """
        return self._store.get(Db.DEFINITIONS, _key(worker_id, name))

    async def keep_configuration(self, worker_id: str, name: str, content: bytes) -> None:
        """Keep a file; one of this name is replaced. Returns when it is on disk.

        Raises:
            CallerError: it is too large, there are too many, or it cannot have this name.
            Overloaded, Unavailable, Closing, Broken: it was not kept.
        """
        key = _key(worker_id, name)
        if len(content) > MAX_FILE_BYTES:
            raise CallerError(f"a file has at most {MAX_FILE_BYTES} bytes", code="file_too_large")
        if self._store.get(Db.DEFINITIONS, key) is None:
            rows = self._store.page(Db.DEFINITIONS, prefix=_prefix(worker_id), limit=MAX_FILES)
            if len(rows) >= MAX_FILES:
                raise CallerError(f"a plugin keeps at most {MAX_FILES} files", code="too_many_files")
        ticket = self._writer.submit([Put(Db.DEFINITIONS, key, content)], len(key) + len(content))
        await ticket.durable()
        await trio.lowlevel.checkpoint()


def _prefix(worker_id: str) -> bytes:
    return PREFIX + worker_id.encode() + b"/"


def _key(worker_id: str, name: str) -> bytes:
    try:
        text = name.encode()
    except UnicodeEncodeError:
        raise CallerError("no UTF-8", code="bad_parameter", path="technical_name") from None
    if not 0 < len(text) <= MAX_NAME_BYTES:
        raise CallerError(f"a file's name has 1 to {MAX_NAME_BYTES} bytes", code="bad_parameter", path="technical_name")
    return _prefix(worker_id) + text
