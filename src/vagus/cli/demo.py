"""``vagus demo``: brings the lab up, plays the faults, prints what happened.

On a terminal the story is told as it unfolds, each fault under its own heading; elsewhere the same
lines come without colour. However it ends (Ctrl-C, an error, the last fault), what was started is
ended: Vagus first, so that it does not heal what is being taken down.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vagus.cli.live import Told, tell
from vagus.cli.progress import StepProgress
from vagus.clock import SystemClock
from vagus.demo.faults import FAULTS, DemoFault, choose
from vagus.demo.feed import Event, VagusProcess
from vagus.demo.play import Play
from vagus.demo.report import render
from vagus.demo.result import DemoResult, FaultResult, RequestSeen
from vagus.lab import declaration
from vagus.lab.load import on_lab
from vagus.lab.results import Result
from vagus.lab.settings import LabSettings
from vagus.lab.stack import Lab
from vagus.narrative import narrate

RATE = 0.7  # questions a second: what two cores answer at leisure
STEADY_ANSWERS = 6  # good answers in a row before the first fault
STEADY_WITHIN = 90.0  # s
LOG_WIDTH = 160  # columns where there is no terminal to ask
_UNTOLD = frozenset({"finding.closed"})  # true, and of no interest while something else happens


def run_demo(
    *,
    only: Sequence[str],
    all_faults: bool,
    list_faults: bool,
    keep: bool,
    mode: str,
    report: Path,
    picture: Path | None,
    port_offset: int,
    as_json: bool,
) -> None:
    if list_faults:
        _list(as_json=as_json)
        return
    faults = choose(only, everything=all_faults)
    console = Console(stderr=as_json, record=picture is not None)
    if not console.is_terminal:
        console.width = LOG_WIDTH
    result = asyncio.run(_until_interrupted(faults, keep, mode, port_offset, console))
    if result is None:
        raise typer.Exit(130)
    report.write_text(render(result), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        console.print(_table(result))
        console.print(f"\n{result.healed} of {len(result.faults)} healed; report: {report}")
    if picture is not None:
        console.save_svg(str(picture), title="vagus demo")
    if not result.all_healed and mode != "shadow":
        raise typer.Exit(1)


def _list(*, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"faults": [{"fault": f.name, "title": f.title} for f in FAULTS]}))
        return
    for fault in FAULTS:
        more = "" if fault.standard else "  (with --all)"
        typer.echo(f"{fault.name:<18}{fault.title}{more}")


async def _until_interrupted(
    faults: Sequence[DemoFault], keep: bool, mode: str, port_offset: int, console: Console
) -> DemoResult | None:
    """The demo's result, or None after Ctrl-C or SIGTERM; nothing is left behind either way."""
    playing = asyncio.create_task(_demo(faults, keep, mode, port_offset, console))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        return await playing
    except asyncio.CancelledError:
        console.print("\ninterrupted; everything was ended")
        return None


async def _demo(
    faults: Sequence[DemoFault], keep: bool, mode: str, port_offset: int, console: Console
) -> DemoResult:
    clock, settings = SystemClock(), LabSettings(offset=port_offset)
    requests: list[RequestSeen] = []

    def saw(result: Result) -> None:
        why = f"{result.failure.value}: {result.detail}" if result.failure else ""
        requests.append(RequestSeen(result.intended, result.ttft, why))

    async with AsyncExitStack() as stack:
        lab = Lab(settings, keep=keep)
        _heading(console, "the stack", "three LLM replicas, two embedders, Postgres, RAG, Envoy")
        with StepProgress(console) as progress:
            stack.push_async_callback(_take_down, lab, keep)
            await lab.up(progress)
        vagus = VagusProcess(
            settings.config_file,
            settings.run_dir / "vagus.log",
            mode=mode,
            environment=declaration.environment(settings),
        )
        for stale in settings.run_dir.glob("vagus*.db*"):
            stale.unlink()
        stack.push_async_callback(vagus.stop)
        await vagus.start()
        load = on_lab(settings, RATE)
        load.on_result = saw
        loading = asyncio.create_task(load.run())
        stack.push_async_callback(_cancel, loading)
        began = clock.now()
        play = Play(settings, lab.client, vagus, requests, began, clock)
        _heading(console, "load", f"{RATE:g} question/s in bursts, until the stack is steady")
        await play.until_quiet(answers=STEADY_ANSWERS, within=STEADY_WITHIN)
        slow_after = play.learn_usual_pace()
        console.print(f"  steady; slow is a first token after more than {slow_after:.1f} s")
        results = []
        for number, fault in enumerate(faults):
            if number:
                await play.until_quiet()
            _heading(console, fault.name, f"{fault.title} ({fault.replica})")
            results.append(await play.play(fault, _teller(console)))
            console.print(_in_short(results[-1]))
            if fault.silent:
                console.print(_seen_by_others(results[-1]))
        await play.until_quiet()
        return DemoResult(tuple(results), tuple(requests), mode, began)


async def _take_down(lab: Lab, keep: bool) -> None:
    if not keep:
        await lab.down()
    else:
        await lab.client.close()


async def _cancel(task: asyncio.Task[Sequence[Result]]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _heading(console: Console, name: str, text: str) -> None:
    console.print(Text.assemble("\n", (name, "bold"), "  ", (text, "bright_black")))


def _teller(console: Console) -> Callable[[Event], None]:
    """Prints events; what is said again and again (a refusal that is waited out) once."""
    told: set[str] = set()

    def tell_event(event: Event) -> None:
        line = narrate(event.event, event.facts)
        if event.event not in _UNTOLD and line.text not in told:
            told.add(line.text)
            text = tell(Told(event.at, line))
            console.print(Padding(text, (0, 0, 0, 2)), no_wrap=True, overflow="ellipsis")

    return tell_event


def _in_short(result: FaultResult) -> Text:
    if not result.healed:
        return Text("  not healed", "bold red")
    return Text(
        f"  detected after {_s(result.detected_s)}, traffic safe after {_s(result.safe_s)}, "
        f"healed after {_s(result.healed_s)}",
        "bold green",
    )


def _seen_by_others(result: FaultResult) -> Text:
    """What a monitor of errors and latency had to go by."""
    return Text(
        f"  meanwhile, by errors and latency: {result.failed} of {result.requests} requests "
        f"failed, {result.slow} were slow",
        "bright_black",
    )


def _table(result: DemoResult) -> Table:
    table = Table(title="", box=None, header_style="bright_black", padding=(0, 1))
    for title in ("fault", "detected", "traffic safe", "healed", "failed", "slow", "actions", ""):
        numeric = title in ("detected", "traffic safe", "healed", "failed", "slow")
        table.add_column(title, justify="right" if numeric else "left")
    for fault in result.faults:
        table.add_row(
            fault.title,
            _s(fault.detected_s),
            _s(fault.safe_s),
            _s(fault.healed_s),
            f"{fault.failed} of {fault.requests}",
            str(fault.slow),
            ", ".join(fault.actions),
            Text("✔ healed", "green") if fault.healed else Text("✖ not healed", "bold red"),
        )
    return table


def _s(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"
