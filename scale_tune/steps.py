"""What a command is doing: a spinner on a terminal, plain lines elsewhere; it is never silent for long."""

import threading
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from scale_tune.shown import shown

SILENCE_SECONDS = 4.0
"""After so long without a line, it is said again what takes so long."""
LOOK_SECONDS = 0.5
ONGOING = " …"
"""At the end of a line."""


class Screen(Console):
    """Where all is printed as it stands, but for secrets and what a terminal would obey."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What Rich makes of any text: in a line, or in a cell of a table."""
        return super().render_str(shown(text), **options)


class Steps:
    """Tells of a command's steps. Called with a line, it prints the line; one that ends in … says what takes time now.

    On a terminal, what takes time is a spinner below the lines, which goes when it is done. Elsewhere it is a line when
    it begins, and another every few seconds.

    Args:
        console: where; None: standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Screen()
        self._text: str | None = None
        self._counted = ""
        self._since = self._said = time.monotonic()
        self._ended = threading.Event()
        self._spinner: Progress | None = None

    def __enter__(self) -> "Steps":
        if not self.console.is_terminal:
            threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.pause()
        self._ended.set()

    def __call__(self, line: str) -> None:
        """Print a line that a user should know of, or say what takes time from now on."""
        if line.endswith(ONGOING):
            self.doing(line.removesuffix(ONGOING))
        else:
            self._print(line)

    def _print(self, line: str) -> None:
        self._said = time.monotonic()
        self.console.print(line, soft_wrap=True)

    def doing(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Say what takes time from now on, until it is said of something else.

        Args:
            text: as ``starting Ray``.
            done: how much of it is done, if that can be counted.
            total: how much there is.
        """
        begins = text != self._text
        self._counted = "" if done is None or total is None else f", {done:,} of {total:,}"
        if begins:
            self._text, self._since = text, time.monotonic()
        if self.console.is_terminal:
            self._spin(text, done, total, begins=begins)
        elif begins:
            self._print(text + ONGOING)

    def pause(self) -> None:
        """Do without a spinner, and be silent, until something else takes time: another shows how it goes."""
        self._text = None
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _spin(self, text: str, done: int | None, total: int | None, *, begins: bool) -> None:
        if begins or self._spinner is None:
            self.pause()
            self._text = text
            words = TextColumn(
                "{task.description}{task.fields[counted]}", markup=False, table_column=Column(overflow="fold")
            )
            self._spinner = Progress(
                SpinnerColumn(),
                words,
                _Counted(),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._spinner.add_task(shown(text), total=total, counted=self._counted)
            self._spinner.start()
        self._spinner.update(self._spinner.task_ids[0], completed=done or 0, total=total, counted=self._counted)

    def _break_silence(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            if self._text is not None and now - self._said >= SILENCE_SECONDS:
                self._print(f"  still {self._text}{self._counted} ({now - self._since:.0f}s)")


class _Counted(ProgressColumn):
    """A bar, if there is anything to count."""

    def __init__(self) -> None:
        super().__init__()
        self._bar = BarColumn(bar_width=20)

    def render(self, task: Task) -> Text:
        return self._bar.render(task) if task.total else Text("")  # type: ignore[return-value]
