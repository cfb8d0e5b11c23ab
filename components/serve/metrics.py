"""What Prometheus is told: the plain counters of the models, put into its words when it asks."""

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from components.serve.fleet import Fleet, Slot

__all__ = ["CONTENT_TYPE", "Metrics"]
PREFIX = "evergreen_"


class Metrics(Collector):
    """All metrics of one server."""

    def __init__(self, fleet: Fleet, refused: Counter[str]) -> None:
        """Registers nothing globally, so that a process may hold several servers.

        Args:
            fleet: whose models are told about.
            refused: requests that no model was asked about, by kind.
        """
        self._fleet, self._refused = fleet, refused
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """One family after another, as `prometheus_client` asks for them."""
        slots = self._fleet.slots
        yield self._refusals(slots)
        yield from _histograms(slots)
        yield from _counters(slots)
        yield from _gauges(slots)
        yield from _by_version(slots)

    def describe(self) -> list[Metric]:
        """Nothing: otherwise registering would collect, before anything is loaded."""
        return []

    def _refusals(self, slots: dict[str, Slot]) -> Metric:
        family = _counter("requests_refused", "Requests not answered with a prediction, by kind", ["model", "kind"])
        for kind, count in self._refused.items():
            family.add_metric(["", kind], count)
        for name, slot in slots.items():
            for kind, count in slot.counters.refused.items():
                family.add_metric([name, kind], count)
        return family


def _histograms(slots: dict[str, Slot]) -> Iterator[Metric]:
    latency = HistogramMetricFamily(
        f"{PREFIX}request_seconds", "From a request's headers to its prediction", labels=["model"]
    )
    batch = HistogramMetricFamily(f"{PREFIX}batch_rows", "Rows in one call of the model", labels=["model"])
    for name, slot in slots.items():
        latency.add_metric([name], slot.counters.latency.cumulative(), slot.counters.latency.total)
        batch.add_metric([name], slot.counters.batch.cumulative(), slot.counters.batch.total)
    yield latency
    yield batch


COUNTERS = {
    "instances": "Rows in the requests that were answered",
    "cache_hits": "Rows answered from the cache",
    "cache_misses": "Rows looked up in the cache and not found",
    "switches": "Versions put into service after the first",
    "load_failures": "Attempts to load a version for service that failed",
    "logged": "Instances written to the request log",
    "log_dropped": "Instances sampled for the request log that could not be written",
}


def _counters(slots: dict[str, Slot]) -> Iterator[Metric]:
    for attribute, text in COUNTERS.items():
        family = _counter(attribute, text, ["model"])
        for name, slot in slots.items():
            family.add_metric([name], getattr(slot.counters, attribute))
        yield family


def _gauges(slots: dict[str, Slot]) -> Iterator[Metric]:
    families = {
        name: GaugeMetricFamily(f"{PREFIX}{name}", text, labels=["model"])
        for name, text in {
            "version": "Number of the version in service",
            "data_age_seconds": "Time since the newest row that the version in service was trained on",
            "queue_requests": "Requests waiting for a prediction that has not begun",
            "cache_entries": "Rows in the cache",
            "row_cost_seconds": "What a prediction of one row took when the version was loaded",
            "joins_requests": "1 where requests share calls of the model, as decided when the version was loaded",
            "in_thread": "1 where predictions are made in a thread, because one takes too long for the event loop",
        }.items()
    }
    for name, slot in slots.items():
        for gauge, value in _gauge_values(slot).items():
            if value is not None:
                families[gauge].add_metric([name], value)
    yield from families.values()


def _gauge_values(slot: Slot) -> dict[str, float | None]:
    model = slot.model
    return {
        "version": model.version,
        "data_age_seconds": None if model.trained_until is None else time.time() - model.trained_until,
        "queue_requests": model.batcher.waiting,
        "cache_entries": len(model.cache),
        "row_cost_seconds": model.cost.one_s,
        "joins_requests": model.cost.joins and not model.cost.blocks,
        "in_thread": model.cost.blocks,
    }


def _by_version(slots: dict[str, Slot]) -> Iterator[Metric]:
    """Of the versions in service: divided by the rows, the unseen values of a feature are a share."""
    rows = _counter("predicted_rows", "Rows that the version predicted, without the cache", ["model", "version"])
    unseen_text = "Values of a feature, in the predicted rows, that its vocabulary does not know"
    unseen = _counter("unseen_values", unseen_text, ["model", "version", "feature"])
    for name, slot in slots.items():
        version = "" if slot.model.version is None else str(slot.model.version)
        rows.add_metric([name, version], slot.predicted_rows)
        for feature, count in slot.unseen().items():
            unseen.add_metric([name, version, feature], count)
    yield rows
    yield unseen


def _counter(name: str, text: str, labels: list[str]) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)
