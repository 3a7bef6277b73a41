"""An open-loop load: requests leave when they are due, whatever became of those before them.

A closed loop, in which each of so many users waits for an answer before the next question, slows
down with the stack and so hides what it should show. Here a stalled replica meets the same stream
of people that a healthy one does.

    python -m vagus.lab.load --rate 1.5 --duration 60
    python -m vagus.lab.load --target chat --trace azure.csv --json result.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError
from vagus.lab import arrivals, trace
from vagus.lab.answers import Ask, BadAnswer, Chat, Failure, Target, read
from vagus.lab.questions import questions
from vagus.lab.results import Result, Summary
from vagus.lab.settings import LabSettings, url

COHORTS = {"free": 6, "team": 3, "enterprise": 1}
"""Groups of users, told by the header ``x-user-cluster``, and how often each asks."""

GIVE_UP_S = 30.0
"""After this long a caller turns away, counted from when the request was meant to be sent."""

SLOW_AFTER_S = 2.0
MOST_IN_FLIGHT = 1_000
TARGETS: dict[str, Callable[[], Target]] = {"ask": Ask, "chat": Chat}


@dataclass(frozen=True)
class Request:
    """One request as it will be sent."""

    question: str
    cohort: str


def requests(settings: LabSettings, seed: int) -> Iterator[Request]:
    """An endless seeded stream of questions from people of all cohorts."""
    chance = random.Random(seed)
    asked = [question.text for question in questions(settings)]
    while True:
        (cohort,) = chance.choices(list(COHORTS), weights=list(COHORTS.values()))
        yield Request(chance.choice(asked), cohort)


@dataclass
class Load:
    """Sends ``requests`` at ``times`` (seconds from the start) to ``base_url``.

    ``on_result`` is called for each request once it is over; must return at once. ``results`` may
    be read at any time.
    """

    base_url: str
    times: Iterator[float]
    requests: Iterator[Request]
    target: Target = field(default_factory=Ask)
    clock: Clock = field(default_factory=SystemClock)
    on_result: Callable[[Result], None] | None = None
    give_up_s: float = GIVE_UP_S
    most_in_flight: int = MOST_IN_FLIGHT
    results: list[Result] = field(default_factory=list)
    began_at: float | None = None
    """When the load began, Unix time."""

    async def run(self, duration: float | None = None) -> Sequence[Result]:
        """Send for ``duration`` seconds, or until cancelled, and wait for the last answers."""
        self.began_at, start = self.clock.now(), self.clock.monotonic()
        waiting: set[asyncio.Task[None]] = set()
        async with (
            aiohttp.ClientSession(
                self.base_url,
                connector=aiohttp.TCPConnector(limit=0),
                timeout=aiohttp.ClientTimeout(total=None),
            ) as session,
            asyncio.TaskGroup() as under_way,
        ):
            for due in self.times:
                if duration is not None and due >= duration:
                    break
                await self.clock.sleep(start + due - self.clock.monotonic())
                call = _Call(next(self.requests), start, due, self.clock)
                if len(waiting) >= self.most_in_flight:
                    self._over(call.result(Failure.OVERLOAD, "not sent"))
                    continue
                task = under_way.create_task(self._ask(session, call))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
        return self.results

    async def _ask(self, session: aiohttp.ClientSession, call: _Call) -> None:
        failure, detail = None, ""
        left = self.give_up_s - (call.sent - call.due)
        try:
            async with (
                asyncio.timeout(left),
                session.post(
                    self.target.path,
                    json=self.target.body(call.request.question),
                    headers={
                        "traceparent": call.traceparent,
                        "x-user-cluster": call.request.cohort,
                    },
                ) as response,
                aclosing(read(response, self.target)) as texts,
            ):
                async for text in texts:
                    call.received(text)
        except TimeoutError:
            failure, detail = Failure.TIMEOUT, f"no whole answer after {self.give_up_s:g} s"
        except BadAnswer as bad:
            failure, detail = bad.failure, str(bad)
        except aiohttp.ClientError as error:
            failure, detail = Failure.UNREACHABLE, str(error) or type(error).__name__
        self._over(call.result(failure, detail))

    def _over(self, result: Result) -> None:
        self.results.append(result)
        if self.on_result is not None:
            self.on_result(result)


class _Call:
    """One request under way: what came of it so far."""

    def __init__(self, request: Request, start: float, due: float, clock: Clock) -> None:
        self.request = request
        self.due = due
        self.traceparent = trace.passed_on(None)
        self._start = start
        self._clock = clock
        self._first_token: float | None = None
        self._pieces = 0
        self.sent = self._elapsed()

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._start

    def received(self, text: str) -> None:
        if text and self._first_token is None:
            self._first_token = self._elapsed()
        self._pieces += bool(text)

    def result(self, failure: Failure | None, detail: str) -> Result:
        return Result(
            intended=self.due,
            sent=self.sent,
            first_token=self._first_token,
            ended=self._elapsed(),
            failure=failure,
            detail=detail,
            cohort=self.request.cohort,
            trace_id=self.traceparent.split("-")[1],
            pieces=self._pieces,
        )


async def run_load(
    settings: LabSettings,
    rate: float,
    *,
    duration: float | None = None,
    target: str = "ask",
    seed: int | None = None,
    trace_file: Path | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Sequence[Result]:
    """Put a load on the lab of ``settings``, until cancelled or for ``duration`` seconds."""
    load = on_lab(settings, rate, target=target, seed=seed, trace_file=trace_file)
    load.on_result = on_result
    return await load.run(duration)


def on_lab(
    settings: LabSettings,
    rate: float,
    *,
    target: str = "ask",
    seed: int | None = None,
    trace_file: Path | None = None,
) -> Load:
    """The load on a lab's gateway: ``rate`` requests a second in the long run."""
    if rate <= 0:
        raise LabError(f"a rate of {rate} requests a second", mend="use more than 0")
    seed = settings.seed if seed is None else seed
    times = arrivals.replayed(trace_file, rate) if trace_file else arrivals.bursty(rate, seed)
    return Load(
        url(settings.gateway_port), times, requests(settings, seed), target=TARGETS[target]()
    )


async def _until_interrupted(load: Load, duration: float) -> None:
    """Run the load; Ctrl-C ends it early and keeps what there is."""
    running = asyncio.ensure_future(load.run(duration))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def main() -> None:
    """The command line: a line a request on standard error, the figures on standard output."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.load", description=__doc__)
    parser.add_argument("--offset", type=int, default=0, help="of the lab's ports")
    parser.add_argument("--target", choices=TARGETS, default="ask")
    parser.add_argument("--rate", type=float, default=1.0, help="requests a second")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--trace", type=Path, help="arrivals from a file: Azure CSV, Mooncake JSONL"
    )
    parser.add_argument("--slow-after", type=float, default=SLOW_AFTER_S, help="seconds to a token")
    parser.add_argument("--json", type=Path, help="write figures and every request to this file")
    options = parser.parse_args()
    settings = LabSettings(offset=options.offset)
    try:
        load = on_lab(
            settings,
            options.rate,
            target=options.target,
            seed=options.seed,
            trace_file=options.trace,
        )
        load.on_result = _tell
        asyncio.run(_until_interrupted(load, options.duration))
    except LabError as error:
        sys.exit(str(error))
    figures = asdict(Summary.of(load.results, options.slow_after))
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    if options.json:
        records = {
            "began_at": load.began_at,
            "target": options.target,
            "rate": options.rate,
            "summary": figures,
            "requests": [asdict(result) for result in load.results],
        }
        options.json.write_text(json.dumps(records), encoding="utf-8")


def _tell(result: Result) -> None:
    first = "-" if result.ttft is None else f"{result.ttft:.3f}"
    verdict = f"{result.failure}: {result.detail}" if result.failure else "ok"
    sys.stderr.write(
        f"{result.intended:8.2f} s  first token {first:>7}  end {result.latency:7.3f}  {verdict}\n"
    )


if __name__ == "__main__":
    main()
