"""Read a trace of one's own from a CSV file; everything wrong in it is said in one pass.

Either ``time_s,node,event``, with an event of up, notice, down, killed or frozen a row, or
``time_s,nodes``, with the number of nodes from that time on. Times may begin anywhere; rows may
come in any order. The last time is the trace's end.
"""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.problems import joined
from orchestrator.errors import ConfigError
from orchestrator.simulate.traces import KINDS, Change, ChangeKind, Trace, from_counts

MOST_SHOWN = 20
NOTICE_S = 120.0
"""Lead of a notice whose machine never goes in the trace, and of all that only counts tell."""

_EVENTS = ("time_s", "node", "event")
_COUNTS = ("time_s", "nodes")
_BY_NAME: Mapping[str, ChangeKind] = {kind: kind for kind in KINDS}


@dataclass
class _Reader:
    """The rows of one file that could be read, and what is wrong with the others."""

    path: Path
    changes: list[tuple[int, Change]] = field(default_factory=list)
    counts: list[tuple[float, int]] = field(default_factory=list)
    problems: list[ConfigError] = field(default_factory=list)

    def wrong(self, row: int, problem: str, fix: str) -> None:
        self.problems.append(ConfigError(problem, f"{self.path}: row {row}", fix))


def read_trace(path: Path, *, notice_s: float = NOTICE_S) -> Trace:
    """Read a trace.

    Args:
        path: The file. Row 1 is its header.
        notice_s: With counts alone: how long before it goes a node has its notice.

    Raises:
        ConfigError: Anything is wrong; every row that is has a line of its own.
    """
    reader = _Reader(path)
    for row, cells in _rows(reader):
        _read_row(reader, row, cells)
    times_s = {change.at_s for _, change in reader.changes}
    times_s |= {at_s for at_s, _ in reader.counts}
    if len(times_s) < 2 and not reader.problems:
        reader.wrong(2, f"{len(times_s)} points in time", "Write two at least: a start, an end")
    _check_lives(reader)
    if reader.problems:
        shown = reader.problems[:MOST_SHOWN]
        if len(reader.problems) > MOST_SHOWN:
            more = len(reader.problems) - MOST_SHOWN
            shown.append(ConfigError(f"{more} more rows are wrong", str(path), "Mend these"))
        raise joined(shown)
    if reader.counts:
        counts = sorted(reader.counts)
        moved = [(at_s - counts[0][0], nodes) for at_s, nodes in counts]
        return from_counts(path.stem, moved, notice_s=notice_s)
    return _trace(path.stem, [change for _, change in reader.changes])


def _rows(reader: _Reader) -> Iterator[tuple[int, list[str]]]:
    try:
        text = reader.path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        fix = "Name a CSV file, or one of calm, diurnal and bursty"
        raise ConfigError(f"cannot be read ({problem})", str(reader.path), fix) from error
    rows = csv.reader(text.splitlines())
    header = tuple(name.strip() for name in next(rows, []))
    if header not in {_EVENTS, _COUNTS}:
        reader.wrong(
            1,
            f"the header is {','.join(header)!r}",
            f"Write {','.join(_EVENTS)} or {','.join(_COUNTS)}",
        )
        return
    for row, cells in enumerate(rows, start=2):
        if len(cells) == len(header):
            yield row, [cell.strip() for cell in cells]
        elif cells:
            reader.wrong(row, f"{len(cells)} values", f"Write {len(header)}")


def _read_row(reader: _Reader, row: int, cells: list[str]) -> None:
    at_s = _number(cells[0])
    if at_s is None:
        reader.wrong(row, f"time_s is {cells[0]!r}", "Write a number of seconds")
    if len(cells) == len(_COUNTS):
        if not (cells[1].isascii() and cells[1].isdigit()):
            reader.wrong(row, f"nodes is {cells[1]!r}", "Write a whole number, 0 or more")
        elif at_s is not None:
            reader.counts.append((at_s, int(cells[1])))
        return
    _, node, event = cells
    if not node:
        reader.wrong(row, "node is empty", "Name the node")
    if event not in _BY_NAME:
        reader.wrong(row, f"event is {event!r}", f"Write one of {', '.join(KINDS)}")
    elif at_s is not None and node:
        reader.changes.append((row, Change(at_s=at_s, node=node, kind=_BY_NAME[event])))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _check_lives(reader: _Reader) -> None:
    """Sort the changes; a node has to be up for anything else to happen to it."""
    reader.changes.sort(key=lambda item: (item[1].at_s, item[0]))
    up: set[str] = set()
    for row, change in reader.changes:
        if (change.kind == "up") is (change.node in up):
            state = "up already" if change.kind == "up" else "not up"
            problem = f"{change.kind} of {change.node} at {change.at_s:g} s, which is {state}"
            reader.wrong(row, problem, "Remove the row, or add the one that is missing")
        elif change.kind == "up":
            up.add(change.node)
        elif change.kind in {"down", "frozen"}:
            up.remove(change.node)


def _trace(name: str, changes: list[Change]) -> Trace:
    origin_s, end_s = changes[0].at_s, changes[-1].at_s
    goes_s: dict[str, float] = {}
    moved: list[Change] = []
    for change in reversed(changes):
        if change.kind in {"down", "frozen"}:
            goes_s[change.node] = change.at_s
        elif change.kind == "up":
            goes_s.pop(change.node, None)
        deadline_s = goes_s.get(change.node, change.at_s + NOTICE_S) - origin_s
        moved.append(
            Change(
                at_s=change.at_s - origin_s,
                node=change.node,
                kind=change.kind,
                deadline_s=deadline_s if change.kind == "notice" else None,
            )
        )
    # What happens in the last moment changes nothing any more.
    kept = tuple(change for change in reversed(moved) if change.at_s < end_s - origin_s)
    return Trace(name=name, end_s=end_s - origin_s, changes=kept)
