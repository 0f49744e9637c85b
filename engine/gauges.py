"""How near each bound is, read when somebody asks (house: Everything is bounded)."""

from collections.abc import Callable, Mapping, Sequence

from engine.actors.intake import Intake
from engine.actors.outbox.service import Outbox
from engine.actors.recovery import Recovery
from engine.actors.router import Router
from engine.actors.scenario_clock import ScenarioClock
from engine.actors.stage_actor import Counting
from engine.actors.user_actor import Entry
from engine.actors.wheel import Wheel
from engine.actors.writer import Writer
from engine.live import Definitions
from engine.observe import GcPauses
from engine.settings import LimitsSettings
from engine.store.port import Db, Store


class Gauges:
    """Reads the numbers of a running engine; see the names in `read`.

    Args:
        limits: the bounds that are shown beside the numbers.
        analysts: the gauges of those whom the analyzers' step asks.
    """

    def __init__(
        self,
        *,
        limits: LimitsSettings,
        store: Store,
        writer: Writer,
        router: Router,
        wheel: Wheel[Entry],
        intake: Intake,
        recovery: Recovery,
        chain: Sequence[Counting],
        pauses: GcPauses,
        definitions: Definitions,
        outbox: Outbox,
        scenarios: ScenarioClock,
        analysts: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._limits = limits
        self._store = store
        self._writer = writer
        self._router = router
        self._wheel = wheel
        self._intake = intake
        self._recovery = recovery
        self._chain = chain
        self._pauses = pauses
        self._analysts = analysts
        self._definitions = definitions
        self._outbox = outbox
        self._scenarios = scenarios

    def read(self) -> Mapping[str, float]:
        """All gauges by name; a bound is named like its number with `_max` behind it."""
        limits, router = self._limits, self._router.statistics()
        writer, store, recovery = self._writer.statistics(), self._store.statistics(), self._recovery.statistics
        found: dict[str, float] = {
            "live_users": router.live_users,
            "live_users_max": limits.max_live_users,
            "live_users_peak": router.peak_live_users,
            "sessions_open": router.open_sessions,
            "users_quarantined": router.quarantined,
            "user_failures": router.failures,
            "timers_waiting": self._wheel.statistics().entries,
            "activities_unstored": router.unstored,
            "activities_unstored_max": limits.max_unstored_activities,
            "journal_bytes": self._intake.journal_bytes,
            "user_rate_buckets": len(self._intake.user_rates.buckets),
            "user_rate_refusals": self._intake.user_rates.buckets.refused,
            "journal_bytes_max": limits.max_journal_bytes,
            "writer_pending_bytes": writer.pending_bytes,
            "writer_pending_bytes_max": writer.max_pending_bytes,
            "writer_pending_bytes_peak": writer.peak_pending_bytes,
            "writer_oldest_pending_ms": writer.oldest_pending_ms,
            "writer_commits": writer.batches,
            "writer_last_commit_ms": writer.last_commit_ms,
            "writer_last_commit_operations": writer.last_operations,
            "writer_retries": writer.retries,
            "store_used_bytes": store.used_bytes,
            "store_map_bytes": store.map_size_bytes,
            "store_map_bytes_max": store.max_map_size_bytes,
            "recovery_records": recovery.records,
            "recovery_orphans": recovery.orphans,
            "recovery_damaged_states": recovery.damaged,
            "recovery_finished": float(recovery.finished),
            "definitions_set_aside": sum(map(len, self._definitions.holding.aside.values())),
            "gc_pause_last_ms": self._pauses.last_ms,
            "gc_pause_max_ms": self._pauses.max_ms,
        }
        moves = self._scenarios.statistics()
        found |= {
            "scenario_timers": store.entries.get(Db.TIMERS, 0),
            "scenario_timers_standing": moves.passed_over,
            "scenario_moves_in_flight": moves.in_flight,
            "scenario_moves_in_flight_max": moves.max_in_flight,
            "scenario_moves_settled": moves.moved,
            "scenario_lag_ms": moves.lag_ms,
        }
        found |= {f"store_rows_{name}": rows for name, rows in store.entries.items()}
        found |= self._outbox.gauges()
        for stage in self._chain:
            counts = stage.statistics()
            found |= {
                f"stage_{stage.name}_received": counts.received,
                f"stage_{stage.name}_queued_lists": counts.queued_lists,
                f"stage_{stage.name}_queued_lists_max": counts.max_queued_lists,
                f"stage_{stage.name}_errors": counts.errors,
                f"stage_{stage.name}_waiting": stage.waiting,
            }
        found |= self._analysts()
        return found
