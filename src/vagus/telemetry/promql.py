"""A dialect as PromQL: what to ask a Prometheus for, to get what we would have scraped.

Each metric of a dialect becomes one query that gives, for each replica, the value that the store
would have had: a gauge as it stood, the rate of a counter, the median of a histogram. Labels that
the dialect wants or doesn't become matchers, and several series of a replica are put together as
its signal says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vagus._engines import Meaning
from vagus.model.signals import SIGNALS, Combine, Instrument
from vagus.telemetry.dialects import BUCKET, Dialect, escaped

MIN_WINDOW = 60.0  # s that a rate is taken over, or four steps if those are longer
_TOGETHER = {Combine.SUM: "sum", Combine.MAX: "max", Combine.MEAN: "avg"}


@dataclass(frozen=True, slots=True)
class Query:
    """Gives one series for each instance."""

    signal: str
    expression: str


def queries(dialect: Dialect, instances: Sequence[str], step: float) -> Iterator[Query]:
    """What to ask for of the replicas at ``instances`` (host:port)."""
    who = "|".join(map(re.escape, instances))
    window = f"{max(MIN_WINDOW, 4 * step):.0f}s"
    for metric, meanings in dialect.metrics.items():
        for meaning in meanings:
            yield Query(meaning.signal, _expression(metric, meaning, f"instance=~`{who}`", window))


def _expression(metric: str, meaning: Meaning, who: str, window: str) -> str:
    signal = SIGNALS[meaning.signal]
    matchers = ", ".join([who, *_matchers(meaning.where, "=~"), *_matchers(meaning.unless, "!~")])
    is_distribution = signal.instrument is Instrument.DISTRIBUTION

    def told(name: str) -> str:
        selected = f"{name}{BUCKET if is_distribution else ''}{{{matchers}}}"
        if is_distribution:
            return f"histogram_quantile(0.5, sum by (instance, le) (rate({selected}[{window}])))"
        if signal.instrument is Instrument.COUNTER:
            return f"sum by (instance) (rate({selected}[{window}]))"
        return f"{_TOGETHER[signal.combine]} by (instance) ({selected})"

    # A replica has the one name or, since an upgrade, the other.
    names = dict.fromkeys((metric, escaped(metric)))
    value = " or ".join(map(told, names))
    if meaning.scale == 1.0:
        return value
    return f"{f'({value})' if len(names) > 1 else value} * {meaning.scale!r}"


def _matchers(labels: Mapping[str, str], how: str) -> Iterator[str]:
    for name, pattern in labels.items():
        wild = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
        yield f"{name}{how}`{wild}`"
