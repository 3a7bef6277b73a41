"""The numbers of the reflexes, in one place, each with its reason.

They are properties of the method (how much evidence is enough), not of anybody's stack: what is
slow, or how often requests fail anyway, is learned from siblings. That is why none of them is in
``vagus.yaml``.
"""

from __future__ import annotations

import math

# --- canonical names of the signals that reflexes read --------------------------------------------

RUNNING = "vagus.server.requests.running"
"""Requests in progress inside the server."""
WAITING = "vagus.server.requests.waiting"
"""Requests that a server has accepted and not begun with."""
STEPS = "vagus.server.steps"
"""Counter of the engine's steps: forward progress itself."""

# --- memory ---------------------------------------------------------------------------------------

MEMORY_ANSWERS = 256
"""Ended attempts kept per replica: 16 s at 16 requests/s, 6 minutes at the pace of an LLM."""
MEMORY_IN_FLIGHT = 512
MEMORY_ENDED_IDS = 1024
"""Ids of ended attempts, so that a row read twice (a rotated log) is not evidence twice."""
MEMORY_PROBES = 16
MEMORY_SCRAPES = 64
"""A minute on a grid of 1 s: whether requests queued while the answers that are judged were due."""

RECENT_S = 60.0
"""What ended longer ago says nothing about now."""
LOST_ROW_S = 5.0
"""In flight, yet not in the log for this long although it is reported every second: the row of its
end was lost (rotation, restart of the gateway), so it must not pass for a stuck one."""

# --- failing requests seen at the gateway ---------------------------------------------------------

FAILING_SHARE = 0.6
"""Share of requests that fail at a sick replica, as the sequential test assumes. A lower share is
found too, only later; retries by session make much higher ones rare."""
FAILING_ANYWAY = 0.02
"""Share that fails at healthy replicas, at the least; siblings' own share raises it."""
REFUSED_ANYWAY = 0.005
"""A refused connection is rarer still: one that listens refuses nobody."""
FAILING_ANYWAY_MOST = 0.5
"""If siblings fail more often than this, failing is not this replica's own trouble."""
FAILING_ENOUGH = 12.5
"""Log-likelihood ratio that opens a finding: four failures in a row when siblings fail seldom
(3.4 each), three refusals. e^12.5: about one false one in 270,000 requests at the assumed rates."""
AGREED = 0.5
"""Another sense that has seen something bad, too, halves what is needed: two failures."""
FAILING_WINDOW = 48
"""Answers looked at; more could only dilute what is wrong now."""
ONE_BLOW_S = 0.03
"""Streams that break within this time broke by one blow (a process that died, a proxy that was
reloaded): one event, however many rows it wrote."""
SUSPICION_S = 15.0
"""A first bad piece of evidence arouses probes for this long, unless it is cleared before."""

# --- slow at the gateway --------------------------------------------------------------------------

SLOW_RATIO = 3.0
"""Times the siblings' median. Twice is within what one long prompt in the queue does."""
SLOW_FLOOR_S = 0.06
"""And this much more: below, nobody notices, and a busy machine's scheduler does as much."""
SLOW_QUANTILE = 0.95
"""And slower than this share of siblings' answers, which is what their own bursts look like."""
SLOW_ANYWAY = 0.1
"""Share of answers beyond all that at a replica as good as its siblings (three measures, 5 % each,
not independent)."""
SLOW_SHARE = 0.75
"""The same at a slow one."""
SLOW_ENOUGH = 12.0
"""Six exceedances in a row (2.0 each): 0.4 s at 16 requests/s."""
SLOW_AGREED = 0.7
"""Slow probes lend less weight than failed ones: they may have met the same burst."""
SLOW_SUSPECT = 2.0
"""The first one: it only arouses probes."""
SLOW_WINDOW = 24
SLOW_MIN_SIBLINGS_ANSWERS = 8
SLOW_SPAN_S = 0.3
"""Exceedances must span this time, and SLOW_SPAN_DURATIONS typical answers: those that waited in
one queue waited for one reason."""
SLOW_SPAN_DURATIONS = 3.0
SLOW_ALONGSIDE = 3
"""Answers of the siblings at the same time without which nothing is said: everybody may be slow."""
SLOW_TOKEN_FLOOR_S = 0.02
"""The floor for a single token."""
QUEUE_MARGIN_S = 1.0
"""A queue is seen once per scrape: a request this far from a reading with one stood in it, too."""
PACE_MIN_BYTES = 256
"""Streams shorter than this have no pace worth comparing."""

# --- hung -----------------------------------------------------------------------------------------

HUNG_FLOOR_S = 0.95
"""No progress for this long, at the least: the gateway reports streams every second, so the first
report that shows one standing still is just that old."""
HUNG_FACTOR = 5.0
"""Times what siblings take at their slowest (SLOW_QUANTILE): a long prefill reads as a hang."""
HUNG_PAUSE = 2.0
"""Times what siblings take for a whole answer, at their slowest, in which none of its own ended."""
HUNG_MIN_ATTEMPTS = 2
REPORT_DUE_S = 1.5
"""The gateway reports what lasts every second; half of one more for the log to be read."""
HUNG_STEADY_S = 5.0
"""By scrapes: work in progress while the step counter stands still, over this time ..."""
HUNG_STEADY_AGREED_S = 2.5
"""... or this, when another sense agrees."""
HUNG_STEADY_READINGS = 4
HUNG_STEADY_SUSPECT = 3
SCRAPE_TIMEOUTS = 3
"""Metrics are often served by the same busy loop as answers: busy is not dead."""
SCRAPE_TIMEOUTS_AGREED = 2

# --- in a row -------------------------------------------------------------------------------------

PROBES_BAD = 2
PROBES_BAD_MIXED = 3
"""In a row, when each failed in another way."""
PROBE_RATIO = 4.0
"""Times the siblings' probes: fewer than requests, and not at quite the same moments."""
PROBES_SLOW = 4
PROBES_SLOW_BUSY = 8
PROBES_SLOW_AGREE = 2
"""In a row, to lend weight to what the gateway sees."""
PROBES_ALONGSIDE = 2
"""Probes of siblings during the same time, without which nothing is said."""
PROBES_SLOW_GLARING = 3
SLOW_GLARING = 6.0
"""Times the siblings' probes at the same time: then three are enough."""
PROBES_NONSENSE = 3
"""A tie in greedy decoding can last for a probe or two."""
SCRAPES_REFUSED = 2
SCRAPES_UNREADABLE = 3

PROBE_FRESH_S = 60.0
"""A sibling's probe older than this is no measure."""
CONTROL_AGE_S = 1.5
"""While a replica is suspected to be slow or to talk nonsense, its siblings are asked as well when
their last probe is older than this: a comparison needs both at the same time."""

ANSWER_CHARS = 400
UNLIKE = 0.35
"""Similarity of character trigrams below which two answers are not the same answer ..."""
ALIKE = 0.6
"""... and above which they are. Greedy decoding of the same weights repeats itself but for ties."""

# --- health: when findings close ------------------------------------------------------------------

GOOD_ROWS = 8
GOOD_ROWS_AGREED = 3
"""When its probes are good as well: at the pace of an LLM eight requests are half a minute."""
GOOD_PROBES = 3
GOOD_SCRAPES = 3
GOOD_SPAN_S = 2.0
"""Good probes count as health only over this time: a flapping replica answers well for a moment."""
QUIET_S = 10.0
"""An ejected replica writes no rows, so what the gateway found can't be refuted at the gateway. It
closes when no row came for this long and the other senses find it good."""

# --- telling --------------------------------------------------------------------------------------

TELL_AGAIN_S = 5.0
"""An open finding is reported again when its evidence went on for this long."""
TELL_CHANGE = 2.0
"""Or when its number changed by this factor."""


def gain(share_sick: float, share_anyway: float) -> float:
    """What one bad piece of evidence adds to the log-likelihood ratio."""
    return math.log(share_sick / share_anyway)


def loss(share_sick: float, share_anyway: float) -> float:
    """What one good piece takes from it (a positive number)."""
    return math.log((1 - share_anyway) / (1 - share_sick))
