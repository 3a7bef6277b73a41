"""Recordings: rotated, crashed, expired, refused by the disk, and read again."""

from __future__ import annotations

import errno
import gzip
from pathlib import Path

import numpy as np
import pytest

from vagus.clock import ManualClock
from vagus.errors import MalformedData
from vagus.model import Failure, Probe, Sense, Subject
from vagus.model.series import Column, SeriesKey
from vagus.telemetry import history, segments
from vagus.telemetry.history import Recorder, recorded
from vagus.telemetry.recording import Batch
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.segments import Limits, Segments

CHAT_1 = Subject("chat", "chat-1")
START = 1_700_000_000.0


def probe(at: float) -> Probe:
    return Probe(CHAT_1, at, Failure.TIMEOUT, duration=2.0)


class Recording:
    def __init__(self, folder: Path | None, **limits: float) -> None:
        self.clock = ManualClock(START)
        self.rejections = Rejections(self.clock)
        self.folder = folder
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        self.recorder = self.another()

    def another(self) -> Recorder:
        return Recorder(self.folder, self.clock, self.rejections, self.limits)

    def seen(self) -> list[float]:
        assert self.folder is not None
        return [record.at for record in recorded(self.folder)]

    def files(self) -> list[str]:
        assert self.folder is not None
        return sorted(file.suffix for file in self.folder.iterdir() if file.name != ".lock")


def test_evidence_and_columns_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "deep" / "history")
    series = (SeriesKey(CHAT_1, "vagus.server.steps", Sense.SCRAPE), None)
    more = (*series, SeriesKey(CHAT_1, "vagus.server.requests.running", Sense.SCRAPE))
    recording.recorder.observe([probe(1.0), probe(2.0)])
    recording.recorder.tick(Column(START, series, np.array([1.5, np.nan])))
    recording.clock.advance(1)
    recording.recorder.tick(Column(START + 1, more, np.array([2.5, np.nan, 3.0])))
    recording.recorder.observe([probe(3.0)])
    recording.recorder.close()
    assert recording.folder is not None
    first, second, third, fourth = recorded(recording.folder)
    assert first == Batch(START, (probe(1.0), probe(2.0)))
    assert isinstance(second, Column)
    assert isinstance(third, Column)
    assert (second.series, third.series) == (series, more)
    assert third.values[2] == 3.0
    assert fourth == Batch(START + 1, (probe(3.0),))


def test_nothing_is_recorded_where_no_folder_is_named() -> None:
    recording = Recording(None)
    recording.recorder.observe([probe(1.0)])
    recording.recorder.close()
    assert not recording.rejections.counts


def test_each_segment_stands_for_itself(tmp_path: Path) -> None:
    clock = ManualClock(START)
    series = (SeriesKey(CHAT_1, "vagus.server.steps", Sense.SCRAPE),)
    for _ in range(3):
        recorder = Recorder(tmp_path, clock, Rejections(clock))
        recorder.tick(Column(clock.now(), series, np.array([1.0])))
        recorder.close()
        clock.advance(10)
    files = sorted(tmp_path.glob("*.gz"))
    assert len(files) == 3
    files[0].unlink()
    assert [record.at for record in recorded(tmp_path)] == [START + 10, START + 20]


def test_a_segment_is_finished_by_age_and_by_size(tmp_path: Path) -> None:
    clock = ManualClock(START)
    segments = Segments(tmp_path, clock, Limits(segment_seconds=60, segment_bytes=100))
    segments.open()
    assert not segments.is_full
    clock.advance(60)
    assert segments.is_full
    segments.finish()
    segments.open()
    segments.write(b"x" * 100)
    assert segments.is_full
    segments.close()
    assert len(list(tmp_path.glob("*.gz"))) == 2


def test_old_segments_go_and_the_oldest_of_too_many(tmp_path: Path) -> None:
    clock = ManualClock(START)
    segments = Segments(tmp_path, clock, Limits(keep_seconds=100))
    for _ in range(5):
        segments.open()
        segments.write(b"{}")
        segments.finish()
        clock.advance(40)
    kept = sorted(file.name for file in tmp_path.glob("*.gz"))
    assert [int(name.split(".")[0]) / 1000 - START for name in kept] == [80, 120, 160]
    size = max(file.stat().st_size for file in tmp_path.glob("*.gz"))
    segments.close()
    segments = Segments(tmp_path, clock, Limits(keep_bytes=2 * size))
    segments.open()
    segments.close()
    assert len(list(tmp_path.glob("*.gz"))) == 2


def test_what_a_crash_left_is_finished_without_its_half_line(tmp_path: Path) -> None:
    clock = ManualClock(START)
    crashed = Segments(tmp_path, clock, Limits())
    crashed.open()
    crashed.write(b'{"at":1.0,"batch":[]}')
    crashed.write(b'{"at":2.0,"ba')
    crashed.flush()
    part = next(tmp_path.glob("*.part"))
    part.write_bytes(part.read_bytes()[:-1])
    assert [record.at for record in recorded(tmp_path)] == [1.0]
    crashed.abandon()

    recording = Recording(tmp_path)
    recording.clock.advance(5)
    recording.recorder.observe([])
    recording.recorder.close()
    assert recording.seen() == [1.0, START + 5]
    assert recording.files() == [".gz", ".gz"]


def test_two_segments_of_one_millisecond_are_two_files(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for _ in range(3):
        recorder = recording.another()
        recorder.observe([])
        recorder.close()
    assert recording.files() == [".gz"] * 3


def test_a_folder_that_cant_be_made_is_told_and_the_loop_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recording = Recording(tmp_path / "file" / "history")
    for _ in range(10):
        recording.recorder.observe([probe(1.0), probe(2.0)])
    recording.recorder.close()
    assert recording.rejections.counts[Rejected.HISTORY_LOST] == 20


def test_a_second_process_keeps_its_hands_off(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    owner = Segments(tmp_path, recording.clock, Limits())
    owner.open()
    owner.write(b'{"at":1.0,"batch":[]}')
    recording.recorder.observe([probe(1.0)])
    recording.recorder.close()
    assert recording.rejections.counts[Rejected.HISTORY_LOST] == 1
    owner.close()
    assert recording.seen() == [1.0]


def test_a_full_disk_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path)
    full = True
    real = Segments.write

    def write(segments: Segments, line: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(segments, line)

    monkeypatch.setattr(Segments, "write", write)
    monkeypatch.setattr(history, "RETRY", 0.0)
    recording.recorder.observe([probe(1.0)])
    recording.recorder.close()
    full = False
    later = recording.another()
    later.observe([probe(2.0)])
    later.close()
    assert recording.rejections.counts[Rejected.HISTORY_LOST] == 1
    assert [record for record in recorded(tmp_path) if isinstance(record, Batch)] == [
        Batch(START, (probe(2.0),))
    ]


def test_it_waits_before_it_tries_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    recording = Recording(tmp_path / "file" / "history")
    recording.recorder.observe([probe(1.0)])
    recording.recorder.observe([probe(1.0)])
    recording.recorder.close()
    assert recording.rejections.counts[Rejected.HISTORY_LOST] == 2


def test_evidence_that_comes_faster_than_it_can_be_written_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "QUEUE", 2)
    monkeypatch.setattr(history.threading.Thread, "start", lambda thread: None)
    recording = Recording(tmp_path)
    for _ in range(5):
        recording.recorder.observe([probe(1.0)] * 10)
    assert recording.rejections.counts[Rejected.HISTORY_LOST] == 30


def test_a_span_of_time(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    for _ in range(4):
        recorder = recording.another()
        for _ in range(2):
            recorder.observe([])
        recorder.close()
        recording.clock.advance(10)
    assert [r.at for r in recorded(tmp_path, START + 10, START + 20)] == [
        *(START + 10, START + 10),
        *(START + 20, START + 20),
    ]


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "000000000000001.jsonl.gz").write_bytes(gzip.compress(b'{"at":1,"batch":[]}\n{}\n'))
    with pytest.raises(MalformedData) as caught:
        list(recorded(tmp_path))
    assert caught.value.where.endswith("000000000000001.jsonl.gz:2")


def test_a_segment_is_read_once_while_it_is_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer goes on between a reader's look at the folder and its look at the file."""
    clock = ManualClock(START)
    writer = Segments(tmp_path, clock, Limits(keep_seconds=30))
    writer.open()
    writer.write(b'{"at":1.0,"batch":[]}')
    writer.flush()
    real = segments._opened

    def after_the_writer(file: Path) -> object:
        writer.finish()
        return real(file)

    with monkeypatch.context() as patched:
        patched.setattr(segments, "_opened", after_the_writer)
        assert [record.at for record in recorded(tmp_path)] == [1.0]
    done = next(tmp_path.glob("*.gz"))
    done.with_name(done.name.replace("jsonl.gz", "jsonl.part")).write_bytes(
        gzip.decompress(done.read_bytes())
    )
    assert [record.at for record in recorded(tmp_path)] == [1.0], "both were there for a moment"
    writer.close()


def test_a_segment_that_expires_while_it_is_looked_for_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path)
    for _ in range(2):
        recorder = recording.another()
        recorder.observe([])
        recorder.close()
        recording.clock.advance(10)
    oldest = min(tmp_path.glob("*.gz"))
    real = segments._opened

    def expired(file: Path) -> object:
        oldest.unlink(missing_ok=True)
        return real(file)

    monkeypatch.setattr(segments, "_opened", expired)
    assert recording.seen() == [START + 10]
