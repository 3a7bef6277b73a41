"""Baselines instead of thresholds: what is normal for each series of a fleet, and what is not.

The user states how many false alarms are bearable (``false_alarms: 1 per week``); everything else
follows from that and from what was seen. ``fleet`` is the whole, a tick at a time; read it first,
then ``forecast``, ``novelty``, ``peers`` and ``absence``, each of which says why it is so, and
``evidence`` and ``budget`` for why the promise holds.
"""

from vagus.detection.baseline.budget import FAMILIES, Budget
from vagus.detection.baseline.fleet import Fleet, Scores

__all__ = ["FAMILIES", "Budget", "Fleet", "Scores"]
