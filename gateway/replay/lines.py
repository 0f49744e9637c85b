"""What one line of a file becomes: an activity for the engine, a dead letter, or nothing but a number."""

from typing import Literal

from gateway.replay.access_log import Unreadable, parse_line
from gateway.replay.feed import LINE_TOO_LONG, UNREADABLE_LINE, Feeder
from gateway.replay.line_ids import Occurrences, line_id
from gateway.replay.ndjson import read_item
from gateway.replay.source import MAX_LINE_BYTES
from gateway.replay.traffic import Traffic
from gateway.replay.visitors import activity

Format = Literal["combined", "ndjson"]
"""`combined` reads the common format too."""


def format_of(line: bytes) -> Format | None:
    """What a file is by its first lines: None for a blank one, which says nothing."""
    text = line.strip()
    return None if not text else "ndjson" if text.startswith(b"{") else "combined"


class LineReader:
    """Reads the lines of one file, in order.

    Args:
        feeder: where they go.
        form: what they are; None asks the first line.
        site: `$site_id` for lines of a log.
        domain: host for the paths of a log.
        traffic: what is left out of a log; None leaves out nothing.
    """

    def __init__(self, feeder: Feeder, form: Format | None, *, site: str, domain: str, traffic: Traffic | None) -> None:
        self._feeder = feeder
        self._form = form
        self._site = site
        self._domain = domain
        self._traffic = traffic
        self._occurrences = Occurrences()

    async def take(self, line: bytes) -> None:
        """Take the next line of the file, without its end.

        Raises:
            ReplayStalled, Closing, Broken: as the feeder.
        """
        counts = self._feeder.counts
        counts.lines += 1
        self._form = self._form or format_of(line)
        if not line.strip():
            return
        occurrence = self._occurrences.next_of(line)
        if len(line) > MAX_LINE_BYTES:
            await self._feeder.refuse(line, reason=LINE_TOO_LONG, line_id=line_id(line, occurrence))
        elif self._form == "ndjson":
            await self._take_item(line, occurrence)
        else:
            await self._take_request(line, occurrence)

    async def _take_request(self, line: bytes, occurrence: int) -> None:
        request = parse_line(line)
        if isinstance(request, Unreadable):
            await self._feeder.refuse(line, reason=UNREADABLE_LINE, line_id=line_id(line, occurrence))
            return
        reason = self._traffic.left_out(request) if self._traffic is not None else None
        if reason is not None:
            self._feeder.counts.left_out[reason] += 1
            return
        event_id = line_id(line, occurrence)
        item = activity(request, event_id=event_id, site=self._site, domain=self._domain)
        await self._feeder.send(item, ts_ms=request.ts_ms, line=line, line_id=event_id)

    async def _take_item(self, line: bytes, occurrence: int) -> None:
        item = read_item(line, lambda index: line_id(line, occurrence, index))
        first_id = line_id(line, occurrence)
        if item is None:
            await self._feeder.refuse(line, reason=UNREADABLE_LINE, line_id=first_id)
            return
        await self._feeder.send(item.body, ts_ms=item.ts_ms, line=line, line_id=first_id, has_events=item.has_events)
