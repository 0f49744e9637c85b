"""SIGHUP applies the server's file of definitions once more; the log tells what was different, or what is wrong."""

import signal

import trio

from engine import Difference, Engine, SojournError, log


async def watch_reload(engine: Engine, *, task_status: "trio.TaskStatus[None]") -> None:
    """Apply the file at each SIGHUP until cancelled. Started once it is heard: before, it would end the process."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            try:
                found = await engine.apply_file()
            except SojournError as error:
                log("definitions refused, what was applied before holds", "error", code=error.code, why=str(error))
            else:
                _tell(found)


def _tell(found: Difference | None) -> None:
    if found is None:
        log("no file of definitions to apply again", "warning")
        return
    # Names only: a value may be an address with a password in it.
    changes = [
        f"{one.what} {one.kind} {one.id} (datamart {one.datamart})"
        + (f": {', '.join(field.path for field in one.fields)}" if one.fields else "")
        for one in found.changes
    ]
    log("definitions applied" if changes else "definitions as before", counts=found.counts(), changes=changes)
