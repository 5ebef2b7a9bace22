"""The metrics of one process, made of its statistics when Prometheus asks for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from . import metrics, process_wide
from .process_wide import Count
from .stats import PREPARE_BOUNDS


class OfThisProcess(Collector):
    """All caches of this process, together."""

    def describe(self) -> list[Metric]:
        """The names alone: a registry asks for them, and no folder is to be looked at for that."""
        return [*_counters({}), _preparations({}), *_sizes([0] * len(metrics.SIZES))]

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment."""
        counts = process_wide.counted()
        yield from _counters(counts)
        yield _preparations(counts)
        yield from _sizes(process_wide.held())


def _counters(counts: Mapping[Count, float]) -> Iterator[Metric]:
    for metric in metrics.COUNTERS:
        family = CounterMetricFamily(metric.name, metric.help, labels=[metric.label] if metric.label else [])
        found = {by: number for (kind, by), number in counts.items() if kind == metric.counts}
        if metric.counts == "saved_seconds":  # which may go down, and a counter must not
            found = {"": found.get("", 0) + counts.get(("lost_seconds", ""), 0)}
        for by in dict.fromkeys([*(metric.always if metric.label else [""]), *found]):
            family.add_metric([by] if metric.label else [], found.get(by, 0))
        yield family


def _preparations(counts: Mapping[Count, float]) -> Metric:
    buckets, number = [], 0.0
    for bound in PREPARE_BOUNDS:
        number += counts.get(("prepared_within", str(bound)), 0)
        buckets.append(("+Inf" if bound == math.inf else str(bound), number))
    seconds = counts.get(("prepare_seconds", ""), 0)
    return HistogramMetricFamily(metrics.PREPARATIONS.name, metrics.PREPARATIONS.help, buckets, seconds)


def _sizes(held: list[int] | process_wide.Held) -> Iterator[Metric]:
    for metric, size in zip(metrics.SIZES, held, strict=True):
        yield GaugeMetricFamily(metric.name, metric.help, size)
