"""OTLP's exponential histograms in our buckets.

Theirs are ours at another scale, so putting them into ours is a shift of the index, and exact, as
long as theirs are finer; coarser ones go to their middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_service
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics

from vagus.telemetry.otlp_layout import Attributes, Metric, Point, Temporality
from vagus.telemetry.pushed import GRID, GRID_BOUNDS
from vagus.telemetry.sketch import Floats

MAX_BUCKETS = 4096  # of one point
_SCALES = range(-10, 21)  # that the specification allows


def exponential_points(
    request: metrics_service.ExportMetricsServiceRequest,
) -> Iterator[tuple[Point, Floats, int, int]]:
    """(the series, counts in GRID, time and start in ns) of each that can be used."""
    for resource in request.resource_metrics:
        origin = attributes(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = metric.exponential_histogram
                is_delta = data.aggregation_temporality == metrics.AGGREGATION_TEMPORALITY_DELTA
                told = Metric(
                    origin,
                    metric.name,
                    metric.unit,
                    Temporality.DELTA if is_delta else Temporality.CUMULATIVE,
                )
                for point in data.data_points:
                    counts = _counts(point)
                    if counts is not None:
                        labels = attributes(point.attributes)
                        series = Point(told, labels, -1, -1, -1, bounds=GRID_BOUNDS)
                        times = point.time_unix_nano, point.start_time_unix_nano
                        yield series, counts, *times


def _counts(point: metrics.ExponentialHistogramDataPoint) -> Floats | None:
    told = np.array(point.positive.bucket_counts, dtype=np.float64)
    if point.scale not in _SCALES or len(told) > MAX_BUCKETS:
        return None
    index = np.arange(len(told), dtype=np.int64) + point.positive.offset
    if point.scale >= GRID.scale:
        places = (index >> (point.scale - GRID.scale)) - GRID.offset
    else:
        middle = np.floor((index + 0.5) * 2.0 ** (GRID.scale - point.scale))
        places = np.clip(middle, -(2.0**40), 2.0**40).astype(np.int64) - GRID.offset
    places = np.clip(places, 0, GRID.count - 1)
    counts: Floats = np.bincount(places, weights=told, minlength=GRID.count).astype(np.float64)
    counts[0] += point.zero_count
    return counts


def attributes(told: Iterable[KeyValue]) -> Attributes:
    """Sorted by name, values as text; what is a list or a mapping is left out."""
    found: dict[str, str] = {}
    for attribute in told:
        text = plain(attribute)
        if text is not None:
            found[attribute.key] = text
    return tuple(sorted(found.items()))


def plain(attribute: KeyValue) -> str | None:
    """A value as text; None for what is a list, a mapping or bytes."""
    value = attribute.value
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which == "int_value":
        return str(value.int_value)
    if which == "double_value":
        return str(value.double_value)
    if which == "bool_value":
        return "true" if value.bool_value else "false"
    return None
