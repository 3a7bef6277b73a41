"""Whatever stands in the gateway's log is an attempt, nobody's, or a counted rejection."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.adapters.envoy.access_log import decoder
from vagus.clock import ManualClock
from vagus.config import Kind
from vagus.model import Attempt, Evidence, Phase, Subject
from vagus.telemetry import tail
from vagus.telemetry.access_log import AccessLogSource
from vagus.telemetry.rejections import Rejections
from vagus.telemetry.tail import Tail
from vagus.topology import ComponentNode, Topology

HOST = "127.0.0.1:31101"
STACK = Topology(
    {"chat": ComponentNode("chat", Kind.MODEL_SERVER, "llama.cpp", {"chat-1": f"http://{HOST}"})}
)
GOOD = {
    **{"t": "1795537011.246093", "type": "UpstreamEnd", "id": "x", "cluster": "chat"},
    **{"host": HOST, "attempt": "1", "cohort": None, "path": "/", "code": 200, "flags": "-"},
    **{"details": None, "ttft_us": 21000, "stream_us": 9000, "duration_ms": 31, "bytes": 900},
    "content_type": "text/event-stream",
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
bent_rows = st.dictionaries(st.sampled_from(sorted(GOOD)), anything).map(lambda b: {**GOOD, **b})
rows = anything | bent_rows | st.just(GOOD)


@given(st.lists(rows, max_size=5))
def test_every_row_is_understood_or_counted(written: list[object]) -> None:
    clock = ManualClock()
    rejections = Rejections(clock)
    emitted: list[Evidence] = []

    def emit(batch: Sequence[Evidence]) -> None:
        emitted.extend(batch)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "access.jsonl"
        path.touch()
        source = AccessLogSource(path, decoder(lambda: STACK), clock, rejections)
        source._poll(emit)
        path.write_text("".join(f"{json.dumps(row)}\n" for row in [*written, GOOD]))
        source._poll(emit)
        source._tail.close()
    assert emitted[-1] == Attempt(
        Subject("chat", "chat-1"),
        f"x:1:{HOST}",
        Phase.ENDED,
        at=1795537011.246093 + 0.031,
        started_at=1795537011.246093,
        status=200,
        time_to_first_token=0.021,
        duration=0.031,
        received_bytes=900,
        content_type="text/event-stream",
        path="/",
    )
    assert len(emitted) + rejections.counts.total() <= len(written) + 1


steps = st.lists(
    st.tuples(st.sampled_from(["write", "rotate", "read"]), st.integers(1, 30)), max_size=30
)


@settings(max_examples=60)
@given(steps, st.integers(1, 16))
def test_every_line_is_read_once_however_the_file_is_cut_and_rotated(
    steps: list[tuple[str, int]], chunk: int
) -> None:
    """Writes of any length that cut lines anywhere; the writer finishes its line before it turns
    to another file, as loggers do."""
    text = "".join(f"line {n}\n" for n in range(200))
    at, lost, got = 0, list[str](), list[bytes]()
    usual, tail.CHUNK = tail.CHUNK, chunk
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "log"
            path.touch()
            follower = Tail(path, lost.append)

            def read_all() -> None:
                more = True
                while more:
                    lines, more = follower.read()
                    got.extend(lines)

            read_all()
            for number, (step, amount) in enumerate(steps):
                if step == "write":
                    with path.open("a") as file:
                        file.write(text[at : at + amount])
                    at = min(at + amount, len(text))
                elif step == "read":
                    read_all()
                else:
                    read_all()  # the rotation before this one, if there was one
                    with path.open("a") as file:
                        end = text.find("\n", at - 1) + 1 if at else 0
                        file.write(text[at:end])
                    at = max(at, end)
                    path.rename(path.with_name(f"log.{number}"))
                    path.touch()
            read_all()
            read_all()
            follower.close()
    finally:
        tail.CHUNK = usual
    complete = text[:at].rpartition("\n")[0]
    assert b"\n".join(got).decode() == complete
    assert len(lost) == (at > 0 and text[at - 1] != "\n")
