"""What came in since the start, by protocol and what became of it; read when somebody asks.

These count requests, also those that never reached the engine. The engine's own counters are rows of the store.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Counters(Collector):
    """Requests and items, by protocol.

    Attributes:
        requests: (protocol, status of the reply) → how many.
        items: (protocol, fate, reason) → how many events; fate is `accepted`, `duplicate`, `refused` or `dropped`.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.items: Counter[tuple[str, str, str]] = Counter()
        self._watched: list[Callable[[], Mapping[str, float]]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def watch(self, numbers: Callable[[], Mapping[str, float]]) -> None:
        """Show these numbers too, as they are when somebody asks: how near a bound is, by name."""
        self._watched.append(numbers)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The families."""
        requests = CounterMetricFamily("sojourn_requests", "requests answered", labels=["protocol", "status"])
        for (protocol, status), number in sorted(self.requests.items()):
            requests.add_metric([protocol, str(status)], number)
        yield requests
        items = CounterMetricFamily(
            "sojourn_collected", "events by protocol and fate", labels=["protocol", "fate", "reason"]
        )
        for (protocol, fate, reason), number in sorted(self.items.items()):
            items.add_metric([protocol, fate, reason], number)
        yield items
        for numbers in self._watched:
            for name, value in sorted(numbers().items()):
                yield GaugeMetricFamily(f"sojourn_{name}", name.replace("_", " "), value=value)
