"""A live window: the events of a `LIVE` visit, gathered for a minute from the arrival of the first (decision 11)."""

from engine.session import boundary
from engine.session.closed import CloseReason, Member, Source
from engine.session.session import Run


class LiveWindow(Run):
    """What one user sent live on one channel within the window. No origin, referrer or gap cuts it; size does."""

    __slots__ = ()

    source = Source.LIVE

    @property
    def due_ms(self) -> int:
        """When its minute is over."""
        return boundary.live_until_ms(self.first_arrival_ms, self.settings)

    def _reason_to_cut(self, member: Member, start: int, added: int) -> CloseReason | None:
        return CloseReason.SIZE if self._outgrows(member, start, added) else None
