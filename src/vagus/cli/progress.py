"""Progress of long work: a bar in a terminal, a line a step elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class StepProgress:
    """One bar a named step; a context manager. Calls fit the lab's ``Progress``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = ""
        self._tasks: dict[str, object] = {}
        self._bars = Progress(
            TextColumn("  {task.description:<9}"),
            BarColumn(bar_width=28),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="bright_black"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, step: str, done: float, note: str = "") -> None:
        if not self._console.is_terminal:
            line = f"  {step}: {note}"
            if line != self._told:
                self._told = line
                self._console.print(line, markup=False, highlight=False)
            return
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=1.0, note=note)
        self._bars.update(self._tasks[step], completed=done, note=note)  # type: ignore[arg-type]
