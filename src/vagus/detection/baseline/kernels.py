"""The same in one compiled pass: what :mod:`.forecast` and :mod:`.novelty` say, series by series.

A kernel reads and writes each column once, where the plain form makes a temporary of every step;
that is all of the difference. Read the plain form first: a test holds the two to the same numbers,
so names and the order of operations are the same here, and reasons aren't repeated. Nothing is
reordered (no fast-math) and no thread is started.

Importing this needs numba, the extra ``fast``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vagus.detection.baseline.absence import Absence
from vagus.detection.baseline.columns import Ticked
from vagus.detection.baseline.conformal import Bools, Counts, Floats, Keys
from vagus.detection.baseline.forecast import Forecast, Single
from vagus.detection.baseline.novelty import Novelty
from vagus.detection.baseline.peers import Index, Peers
from vagus.detection.baseline.tuning import Tuning

Signs = NDArray[np.int8]
_STEP, _MIX_1, _MIX_2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


@njit(cache=True, inline="always")
def _uniform(key: np.uint64, tick: int, stream: int) -> float:
    mixed = key + np.uint64(tick * 8 + stream + 1) * _STEP
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    mixed = mixed ^ (mixed >> np.uint64(31))
    return (float(mixed >> np.uint64(11)) + 0.5) * 2.0**-53


@njit(cache=True, inline="always")
def _in_units(deviation: float, usual: float) -> float:
    if usual > 0:
        return deviation / usual
    return 1e9 if deviation > 0 else 0.0


@njit(cache=True, inline="always")
def _bin(score: float) -> int:
    if not score > 0.0:
        return 0
    mantissa, exponent = math.frexp(score)
    place = (exponent - 1 + 3) * 4 + int(mantissa * 8.0) - 4
    return min(max(place, 0), 31)


@njit(cache=True, inline="always")
def _rank(counts: Counts, place: int) -> tuple[int, int, int]:
    """How many above, in the same bin, and in all."""
    above, total = 0, 0
    for k in range(len(counts)):
        held = int(counts[k])
        total += held
        if k > place:
            above += held
    return above, int(counts[place]), total


@njit(cache=True, inline="always")
def _count(counts: Counts, place: int, total: int, memory: float) -> None:
    counts[place] += np.uint16(1)
    if total + 1 >= memory:
        for k in range(len(counts)):
            counts[k] = np.uint16((int(counts[k]) + 1) >> 1)


@njit(cache=True)
def forecast(
    s: Forecast, ok: Bools, values: Floats, demand: Floats, keys: Keys, tick: int, protect: Bools,
    direction: Signs, floor: Single, least: Single, now: Ticked, tune: Tuning,
    expected: Floats, width: Floats, p: Floats, adjusted: Floats,
) -> None:  # fmt: skip
    for i in range(len(values)):
        expected[i] = width[i] = p[i] = adjusted[i] = np.nan
        if not ok[i]:
            continue
        x, teach = values[i], not protect[i]
        count = float(s.taught[i])
        if count == 0:
            s.born[i], s.level[i], s.anchor[i] = now.at, x, x
        age = now.at - s.born[i]
        day = float(s.day[now.day_0, i])
        day += now.day_part * (float(s.day[now.day_1, i]) - day)
        week = float(s.week[now.week_0, i])
        week += now.week_part * (float(s.week[now.week_1, i]) - week)
        season = (
            min(max(age / 86400.0 - 1, 0.0), 1.0) * day
            + min(max(age / 604800.0 - 1, 0.0), 1.0) * week
        )
        effect, load_scale, known, position, told = 0.0, 0.0, True, 0.0, False
        counted = float(s.demand_count[i])
        came = np.isfinite(demand[i])
        if came or counted > 0:
            effect, load_scale, known, position, told = _demand(s, i, demand[i], came, tune)
        level, anchor = s.level[i], s.anchor[i]
        base = level + season + effect
        power, before, echo = float(s.power[i]), float(s.before[i]), float(s.echo[i])
        phi = min(max(echo / power, 0.0), tune.whiten_most) if power > 0 else 0.0
        forecasted = base + phi * before
        surprise, rest = x - base, x - forecasted
        scale = float(s.scale[i])
        usual = load_scale if load_scale > 0 else scale
        deviation = abs(rest) if direction[i] == 0 else max(direction[i] * rest, 0.0)
        if abs(rest) < floor[i]:
            deviation = 0.0
        score = _in_units(deviation, usual)
        place = _bin(score)
        counts = s.counts[i]
        above, own, total = _rank(counts, place)
        if known:
            expected[i], width[i] = forecasted, usual
            calmer = scale / usual if usual > 0 else 1.0
            adjusted[i] = x - effect - surprise * (1.0 - calmer)
            if total >= least[i]:
                p[i] = (above + _uniform(keys[i], tick, 0) * (own + 1)) / (total + 1)
                gain = math.log(tune.kappa) - (1.0 - tune.kappa) * math.log(p[i])
                s.wealth[i] = max(float(s.wealth[i]), 0.0) + gain
        reach = tune.clip * math.sqrt(power)
        bounded = surprise if count < 8 else min(max(surprise, -reach), reach)
        s.before[i] = bounded if known else 0.0
        if not teach:
            continue
        if told:
            _learn_demand(s, i, x - anchor - season, abs(rest), effect, position, tune)
        once = 1.0 / (count + 1.0)
        if known:
            _learn_season(s, i, x - effect, day, week, age, once, now, tune)
            s.level[i] = level + max(once, tune.level_rate) * bounded
            rate = max(once, tune.whiten_rate)
            s.power[i] = power + rate * (bounded * bounded - power)
            s.echo[i] = echo + rate * (bounded * before - echo)
            size = abs(rest) if count < 8 else min(abs(rest), tune.clip * scale)
            size = max(size, 1e-7 * abs(x) + 1e-12)
            s.scale[i] = scale + max(once, tune.scale_rate) * (size - scale)
            if count >= 8:
                _count(counts, place, total, tune.memory)
        s.taught[i] = count + 1


@njit(cache=True)
def _demand(
    s: Forecast, i: int, demand: float, came: bool, tune: Tuning
) -> tuple[float, float, bool, float, bool]:
    counted, unit = float(s.demand_count[i]), float(s.demand_unit[i])
    if came and counted < tune.least and demand > 0:
        s.demand_unit[i] = unit + (demand - unit) / (counted + 1)
        s.demand_count[i] = counted + 1
    depends = counted >= tune.least
    if not (came and depends):
        return 0.0, 0.0, not depends, 0.0, False
    ratio = demand / unit if demand > 0 else 0.0
    last = s.demand_seen.shape[1] - 1
    position = 2.0 * math.log2(ratio) + (last + 1) // 2 if ratio > 0 else 0.0
    position = min(max(position, 0.0), float(last))
    low = min(int(position), last - 1)
    part = position - low
    nearest = low + (1 if part >= 0.5 else 0)
    sure = (1 - part) * min(float(s.demand_seen[i, low]), tune.demand_known)
    sure_next = part * min(float(s.demand_seen[i, low + 1]), tune.demand_known)
    both = sure + sure_next
    effect, scale = 0.0, 0.0
    known = s.demand_seen[i, nearest] >= tune.demand_known
    if both > 0:
        effect = sure * s.demand_effect[i, low] + sure_next * s.demand_effect[i, low + 1]
        effect /= both
        if known:
            scale = sure * s.demand_scale[i, low] + sure_next * s.demand_scale[i, low + 1]
            scale /= both
    return effect, scale, known, low + part, True


@njit(cache=True)
def _learn_demand(
    s: Forecast, i: int, target: float, size: float, held: float, position: float, tune: Tuning
) -> None:
    low = min(int(position), s.demand_seen.shape[1] - 2)
    part = position - low
    here = part >= 0.5
    at, other = (low + 1, low) if here else (low, low + 1)
    near, far = (part, 1.0 - part) if here else (1.0 - part, part)
    seen, seen_far = float(s.demand_seen[i, at]), float(s.demand_seen[i, other])
    rate = max(1.0 / (seen + 1.0), tune.demand_rate)
    scale = float(s.demand_scale[i, at])
    reach = np.inf if seen < tune.demand_known else tune.clip * scale
    off = min(max(target - held, -reach), reach)
    step = off / (near * near + far * far)
    rate_far = max(1.0 / (seen_far + 1.0), tune.demand_rate) if seen_far > 0 else 0.0
    effect = float(s.demand_effect[i, at]) if seen > 0 else held
    s.demand_effect[i, at] = effect + rate * near * step
    s.demand_effect[i, other] = float(s.demand_effect[i, other]) + rate_far * far * step
    if seen < tune.demand_known:
        size = abs(off)
    s.demand_scale[i, at] = scale + rate * (min(size, reach) - scale)
    s.demand_seen[i, at] = np.uint16(min(seen + 1, 60000.0))


@njit(cache=True, inline="always")
def _learn_season(
    s: Forecast, i: int, x: float, day: float, week: float, age: float, once: float, now: Ticked,
    tune: Tuning,
) -> None:  # fmt: skip
    anchor, spread = s.anchor[i], float(s.spread[i])
    pace = min(1.0, 1.6 * now.seconds / 3600.0)
    reach = np.inf if age < 86400.0 else tune.clip * spread
    off = min(max(x - anchor - day, -reach), reach)
    off_week = min(max(x - anchor - day - week, -reach), reach)
    gain = max(0.8 / (age / 86400.0 + 1.0), tune.day_rate) * pace * off
    s.day[now.day_0, i] = float(s.day[now.day_0, i]) + (1 - now.day_part) * gain
    s.day[now.day_1, i] = float(s.day[now.day_1, i]) + now.day_part * gain
    gain = max(0.8 / (age / 604800.0 + 1.0), tune.week_rate) * pace * off_week
    s.week[now.week_0, i] = float(s.week[now.week_0, i]) + (1 - now.week_part) * gain
    s.week[now.week_1, i] = float(s.week[now.week_1, i]) + now.week_part * gain
    slow = max(once, min(now.seconds / 86400.0, tune.level_rate))
    s.anchor[i] = anchor + slow * (off if age < 86400.0 else off_week)
    fast = max(once, min(now.seconds / 86400.0, tune.scale_rate))
    s.spread[i] = spread + fast * (abs(off) - spread)


@njit(cache=True, inline="always")
def _both_ways(x: float) -> float:
    return math.log1p(x) if x >= 0 else -math.log1p(-x)


@njit(cache=True)
def _distance(seen: Keys, spot: int) -> int:
    """To the nearest place taken, outwards; 0 when none is."""
    places = len(seen) * 64
    for apart in range(places):
        for near in (spot - apart, spot + apart):
            if 0 <= near < places:
                word = seen[near >> 6]
                if (word >> np.uint64(near & 63)) & np.uint64(1):
                    return apart
    return 0


@njit(cache=True)
def novelty(
    s: Novelty, ok: Bools, values: Floats, protect: Bools, edges: NDArray[np.int64], tune: Tuning,
    told_all: Floats,
) -> None:  # fmt: skip
    for i in range(len(values)):
        told_all[i] = 0.0
        if not ok[i]:
            continue
        x, count = values[i], float(s.taught[i])
        if count == 0:
            s.middle[i] = s.level[i] = s.last[i] = x
        once = 1.0 / (count + 1.0)
        warming = count < tune.novelty_warm
        middle, unit = s.middle[i], float(s.unit[i])
        if warming:
            off = x - middle
            reach = np.inf if count < 8 else 6.0 * unit
            middle += once * min(max(off, -reach), reach)
            unit += once * (min(abs(off), reach) - unit)
            s.middle[i], s.unit[i] = middle, unit
        level = s.level[i]
        level += max(once, tune.novelty_level_rate) * (x - level)
        volatility = float(s.volatility[i])
        rate = max(once, tune.novelty_volatility_rate)
        volatility += rate * (abs(x - s.last[i]) - volatility)
        s.taught[i], s.level[i], s.volatility[i], s.last[i] = count + 1, level, volatility, x
        told = 0.0
        if not warming:
            told = _told(s, i, x, middle, unit, level, volatility, not protect[i], edges)
        told = float(np.float32(told))
        peak, before = float(s.peak[i]), float(s.peak_before[i])
        if told > max(peak, before):
            told_all[i] = told
        peak = max(peak, told)
        if float(s.block[i]) + 1 >= tune.hold_off:
            s.peak_before[i], s.peak[i], s.block[i] = peak, 0.0, 0.0
        else:
            s.peak[i], s.block[i] = peak, float(s.block[i]) + 1


@njit(cache=True)
def _told(
    s: Novelty, i: int, x: float, middle: float, unit: float, level: float, volatility: float,
    teach: bool, edges: NDArray[np.int64],
) -> float:  # fmt: skip
    size = max(unit, 1e-3 * abs(middle) + 1e-9)
    told = 0.0
    for channel in range(3):
        if channel == 0:
            place = _both_ways((x - middle) / size)
        elif channel == 1:
            place = _both_ways((level - middle) / size)
        else:
            place = math.log(volatility / size + 0.02)
        spot = int(min(max(math.floor(place * 32.0) + 256, 0), 511))
        seen, counts = s.seen[i, channel], s.counts[i, channel]
        kind = 0
        if not (seen[spot >> 6] >> np.uint64(spot & 63)) & np.uint64(1):
            distance = _distance(seen, spot)
            while kind < len(edges) and distance >= edges[kind]:
                kind += 1
            if distance > 0:
                above, own, total = _rank(counts, kind)
                rare = (above + 0.5 * (own + 1)) / (total + 1)
                told = max(told, -math.log10(rare) + 1e-3 * distance)
            if teach:
                seen[spot >> 6] |= np.uint64(1) << np.uint64(spot & 63)
        if teach:
            counts[kind] += np.uint16(1)
            if counts[kind] == 65535:
                for k in range(len(counts)):
                    counts[k] = (counts[k] >> np.uint16(1)) + (counts[k] & np.uint16(1))
    return told


@njit(cache=True)
def distances(values: Floats, protect: Bools, order: Index, starts: Index, d: Floats) -> None:
    """``starts`` are the places in ``order`` where a group begins, and its end."""
    d[:] = np.nan
    most = 0
    for g in range(len(starts) - 1):
        most = max(most, starts[g + 1] - starts[g])
    ranked = np.empty(most)
    for g in range(len(starts) - 1):
        many = 0
        for k in range(starts[g], starts[g + 1]):
            i = order[k]
            if not (np.isnan(values[i]) or protect[i]):
                ranked[many] = values[i]
                many += 1
        if many == 0:
            continue
        if many <= 32:
            for k in range(1, many):
                held, j = ranked[k], k - 1
                while j >= 0 and ranked[j] > held:
                    ranked[j + 1] = ranked[j]
                    j -= 1
                ranked[j + 1] = held
        else:
            ranked[:many].sort()
        middle = 0.5 * (ranked[(many - 1) // 2] + ranked[many // 2])
        for k in range(starts[g], starts[g + 1]):
            i = order[k]
            if not np.isnan(values[i]) and many - (0 if protect[i] else 1) >= 1:
                d[i] = values[i] - middle


@njit(cache=True)
def peers(
    s: Peers, d_all: Floats, keys: Keys, tick: int, protect: Bools, direction: Signs,
    floor: Single, least: Single, tune: Tuning,
) -> None:  # fmt: skip
    for i in range(len(d_all)):
        d = d_all[i]
        if np.isnan(d):
            continue
        count = float(s.taught[i])
        level = d if count == 0 else s.level[i]
        power, before = float(s.power[i]), float(s.before[i])
        echo, scale = float(s.echo[i]), float(s.scale[i])
        phi = min(max(echo / power, 0.0), tune.whiten_most) if power > 0 else 0.0
        surprise = d - level
        rest = surprise - phi * before
        deviation = abs(rest) if direction[i] == 0 else max(direction[i] * rest, 0.0)
        if abs(rest) < floor[i]:
            deviation = 0.0
        score = _in_units(deviation, scale)
        place, counts = _bin(score), s.counts[i]
        above, own, total = _rank(counts, place)
        if total >= least[i]:
            p = (above + _uniform(keys[i], tick, 4) * (own + 1)) / (total + 1)
            gain = math.log(tune.kappa) - (1.0 - tune.kappa) * math.log(p)
            s.wealth[i] = max(float(s.wealth[i]), 0.0) + gain
        reach = tune.clip * math.sqrt(power)
        bounded = surprise if count < 8 else min(max(surprise, -reach), reach)
        s.before[i] = bounded
        s.level[i] = level
        if protect[i]:
            continue
        once = 1.0 / (count + 1.0)
        s.level[i] = level + max(once, tune.level_rate) * bounded
        rate = max(once, tune.whiten_rate)
        s.power[i] = power + rate * (bounded * bounded - power)
        s.echo[i] = echo + rate * (bounded * before - echo)
        size = abs(rest) if count < 8 else min(abs(rest), tune.clip * scale)
        size = max(size, 1e-12)
        s.scale[i] = scale + max(once, tune.scale_rate) * (size - scale)
        if count >= 8:
            _count(counts, place, total, tune.memory)
        s.taught[i] = count + 1


@njit(cache=True)
def absence(s: Absence, ok: Bools, protect: Bools, least: Single, tune: Tuning) -> None:
    for i in range(len(ok)):
        came = float(s.came[i])
        was = s.missing[i]
        if ok[i]:
            s.wealth[i] = 0.0
            if not protect[i]:
                s.came[i] = came + 1
                s.ended[i] += np.float32(1 if was else 0)
                s.lasted[i] += s.going_on[i] if was else np.float32(0)
            s.going_on[i] = 0
            s.missing[i] = False
            continue
        gaps, lasted, ended = float(s.gaps[i]), float(s.lasted[i]), float(s.ended[i])
        if was:
            usual = (lasted + 2.0) / (lasted + ended + 3.0)
        else:
            usual = (gaps + 1.0) / (came + gaps + tune.absent_prior)
        gained = max(float(s.wealth[i]), 0.0) - math.log(usual)
        s.wealth[i] = 0.0 if came < least[i] else gained
        if was:
            s.going_on[i] += np.float32(1)
        elif not protect[i] and came > 0:
            s.gaps[i] = gaps + 1
        s.missing[i] = came > 0
