"""What a person sees: tables and progress on the terminal, everybody else's talk in a log."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

SAY_EVERY_S = 15.0
"""Where there is no terminal, how often a line says how far it is."""


class Screen:
    """The terminal, kept for us while file descriptors 1 and 2 lead into a log.

    Ray, MLflow and the libraries under them write to both from several languages; nothing
    short of the descriptors themselves keeps that apart from what a person should read.

    Args:
        log: Gets everything that anybody else writes.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self._err = os.fdopen(os.dup(2), "w", encoding="utf-8")
        with log.open("ab") as sink:
            os.dup2(sink.fileno(), 1)
            os.dup2(sink.fileno(), 2)
        self.console = Console(file=self._err, highlight=False, markup=False, emoji=False)

    def say(self, text: str) -> None:
        """One line for a person."""
        self.console.print(text, soft_wrap=True)

    def print_json(self, text: str) -> None:
        """One line for a program, on stdout."""
        self._out.write(text + "\n")
        self._out.flush()

    def show(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """A table of two columns."""
        table = Table(title=title, show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    @contextmanager
    def table(self, columns: Sequence[str]) -> Iterator["LiveTable"]:
        """A table for as long as the block takes."""
        if not self.console.is_terminal:
            yield LiveTable(None, columns)
            return
        with Live(console=self.console, transient=True, auto_refresh=False) as live:
            yield LiveTable(live, columns)

    @contextmanager
    def bar(self, title: str, total: int | None = None) -> Iterator["Bar"]:
        """A progress bar for as long as the block takes."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        quiet = not self.console.is_terminal
        with Progress(
            *columns, console=self.console, transient=True, disable=quiet
        ) as progress:
            bar = Bar(progress, title, total, self.say if quiet else None)
            started_s = time.monotonic()
            yield bar
        # A bar vanishes; what it has shown stays as a line, also where there is no terminal.
        self.say(f"{title}: {bar.text()} ({time.monotonic() - started_s:.0f} s)")


class LiveTable:
    """A table that is drawn anew where it stands, on a terminal; elsewhere nothing is shown."""

    def __init__(self, live: Live | None, columns: Sequence[str]) -> None:
        self._live, self._columns = live, columns

    def show(self, title: str, rows: Sequence[Sequence[str]]) -> None:
        """Draw the rows that are there now; of many, the last ones."""
        if self._live is None:
            return
        table = Table(title=title, title_justify="left")
        for column in self._columns:
            table.add_column(column, overflow="fold")
        room = max(3, self._live.console.height - 6)
        for row in rows[-room:]:
            table.add_row(*row)
        self._live.update(table, refresh=True)


def say_after_another(text: str) -> None:
    """One line for a person, where another process may have died over its progress bar."""
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        console.show_cursor(show=True)
        console.print()
    console.print(text, soft_wrap=True)


class Bar:
    """One progress bar.

    Args:
        progress: Where it is drawn.
        title: What it shows.
        total: Its end, if that is known.
        say: Where there is no terminal to draw on: shows a line now and then, as in the log of
            a job on another machine.
        clock: In seconds.
    """

    def __init__(
        self,
        progress: Progress,
        title: str,
        total: int | None,
        say: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._title, self._say, self._clock = title, say, clock
        self._said_s = clock()
        self._task = progress.add_task(title, total=total, note="")
        self._done, self._total, self._note = 0, total, ""

    def move(self, done: int, total: int | None = None, note: str = "") -> None:
        """Show how far it is."""
        self._done, self._note = done, note or self._note
        self._total = self._total if total is None else total
        fields: dict[str, Any] = {"completed": done, "total": self._total, "note": self._note}
        self._progress.update(self._task, **fields)
        if self._say is not None and self._clock() - self._said_s >= SAY_EVERY_S:
            self._said_s = self._clock()
            of = f" of {self._total}" if self._total else ""
            self._say(f"{self._title}: {done}{of}" + (f", {self._note}" if self._note else ""))

    def text(self) -> str:
        """How far it came, in words."""
        note = f", {self._note}" if self._note else ""
        return f"{self._done}{note}" if self._done else f"done{note}"
