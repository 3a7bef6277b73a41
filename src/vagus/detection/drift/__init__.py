"""Drift: what is asked, found or answered is not what it was, and which part of it.

Queries, documents and answers are watched alike, as embeddings. ``detector`` is the whole; read it
first, then ``novelty`` and ``witness``, each of which sees what the other doesn't, ``evidence`` for
why the declared run length holds, and ``slices`` for what changed. That users ask other things is
no fault of the stack: drift informs.
"""

from vagus.detection.drift.detector import RUN_LENGTH, Alarm, Drift, Evidence
from vagus.detection.drift.reference import Reference, Rejection
from vagus.detection.drift.slices import Slice

__all__ = ["RUN_LENGTH", "Alarm", "Drift", "Evidence", "Reference", "Rejection", "Slice"]
