"""The quarantine, sorted: which kinds of reason there are, and what follows from them.

Letters: L samples that are too long.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.lint.finding import NUM_EXAMPLES, Draft, Example, Finding
from orchestrator.data.lint.survey import Survey
from orchestrator.data.lint.tables import IndexTables
from orchestrator.data.lint.words import of

_TOO_LONG = re.compile(r"too long: ([\d,]+) tokens.*at most ([\d,]+) allowed")
_NO_LABEL = re.compile(r"no label\b")
_TOO_MANY = re.compile(r"[\d,]+ images?, at most [\d,]+ allowed")
# What differs between rows that fail alike: quoted values, paths, numbers.
_VALUES = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=\s)(?:/|\w+://)\S+|\d[\d,.]*\d|\d"""
)
_MOST_KINDS = 200
_OTHER = "other reasons"


@dataclass(slots=True)
class ReasonKind:
    """Rows that fail alike."""

    count: int = 0
    examples: list[BadRow] = field(default_factory=list)

    def add(self, row: BadRow) -> None:
        """Count one row; keep it if it is among the first."""
        self.count += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(row)


@dataclass(slots=True)
class Ledger:
    """All of the quarantine, in figures and a few examples."""

    num_rows: int = 0
    kinds: dict[str, ReasonKind] = field(default_factory=dict)
    too_long: ReasonKind = field(default_factory=ReasonKind)
    unlabelled: ReasonKind = field(default_factory=ReasonKind)
    too_many: ReasonKind = field(default_factory=ReasonKind)
    """Groups of more images than allowed."""

    over_L: list[int] = field(default_factory=list)
    """Tokens by which each sample is too long."""

    files: Counter[str] = field(default_factory=Counter)
    first_of_file: dict[str, BadRow] = field(default_factory=dict)

    def most_common(self) -> list[tuple[str, ReasonKind]]:
        """Kinds of reason, the commonest first."""
        return sorted(self.kinds.items(), key=lambda item: (-item[1].count, item[0]))


def read_ledger(tables: IndexTables) -> Ledger:
    """Read the quarantine once; a few rows of each kind are kept."""
    ledger = Ledger()
    for row in tables.quarantine():
        ledger.num_rows += 1
        ledger.files[row.source] += 1
        ledger.first_of_file.setdefault(row.source, row)
        kind = kind_of(row.reason)
        if kind not in ledger.kinds and len(ledger.kinds) >= _MOST_KINDS:
            kind = _OTHER
        ledger.kinds.setdefault(kind, ReasonKind()).add(row)
        _sort_in(ledger, row)
    return ledger


def _sort_in(ledger: Ledger, row: BadRow) -> None:
    if too_long := _TOO_LONG.match(row.reason):
        tokens, most = (int(number.replace(",", "")) for number in too_long.groups())
        ledger.over_L.append(tokens - most)
        ledger.too_long.add(row)
    elif _NO_LABEL.match(row.reason):
        ledger.unlabelled.add(row)
    elif _TOO_MANY.match(row.reason):
        ledger.too_many.add(row)


def kind_of(reason: str) -> str:
    """A reason without the values that differ from row to row."""

    def blank(match: re.Match[str]) -> str:
        return "N" if match[0][0].isdigit() else "…"

    return _VALUES.sub(blank, reason[:500])[:200]


def check_ledger(ledger: Ledger, found: Survey, datasets: tuple[str, ...]) -> Iterator[Draft]:
    """Say what the quarantine means for the whole: lengths, labels, files that are gone."""
    num_rows = found.num_samples + ledger.num_rows
    if ledger.over_L:
        yield _draft(_too_long(ledger.over_L), ledger.too_long, num_rows)
    if ledger.unlabelled.count:
        yield _draft(_UNLABELLED, ledger.unlabelled, num_rows)
    if ledger.too_many.count:
        yield _draft(_TOO_MANY_IMAGES, ledger.too_many, num_rows)
    yield from _lost_files(ledger, found)
    yield from _lost_datasets(found, datasets)


_UNLABELLED = Finding(
    name="Rows without an answer to learn from",
    count=0,
    share=0.0,
    examples=(),
    remedy="Add the answers, or leave the rows out",
    severity="warning",
    counted="row",
    detail="Without a token that carries loss there is nothing to learn; they were set aside.",
)
_TOO_MANY_IMAGES = Finding(
    name="Groups of more images than the job allows",
    count=0,
    share=0.0,
    examples=(),
    remedy="Set images.select (even, first or diverse), or raise images.max_images",
    severity="warning",
    counted="row",
    detail="They were set aside whole.",
)
_LOST_FILES = Finding(
    name="Files without one usable row",
    count=0,
    share=0.0,
    examples=(),
    remedy="Mend what the reason says: when a whole file fails, the cause is mostly one",
    severity="warning",
    counted="file",
)
_LOST_DATASETS = Finding(
    name="Data sets without one usable row",
    count=0,
    share=0.0,
    examples=(),
    remedy="Look at their path, media_dir and columns in the job file",
    severity="warning",
    counted="data set",
)


def _too_long(over_L: list[int]) -> Finding:
    return Finding(
        name="Samples too long for a micro-batch",
        count=0,
        share=0.0,
        examples=(),
        remedy="Raise train.micro_tokens, lower images.max_pixels, or shorten the samples",
        severity="warning",
        counted="row",
        detail="Nothing is ever cut, neither answers nor images: these were set aside whole. "
        f"They are too long by {np.median(over_L):,.0f} tokens at the median, by "
        f"{of(max(over_L), 'token')} at most.",
    )


def _draft(finding: Finding, kind: ReasonKind, num_rows: int) -> Draft:
    return Draft(
        replace(
            finding,
            count=kind.count,
            share=kind.count / num_rows,
            examples=tuple(_example(row) for row in kind.examples),
        )
    )


def _lost_files(ledger: Ledger, found: Survey) -> Iterator[Draft]:
    lost = sorted(set(ledger.files) - found.mentions.files)
    if not lost:
        return
    finding = replace(
        _LOST_FILES,
        count=len(lost),
        share=len(lost) / len(found.mentions.files.union(ledger.files)),
        examples=tuple(_example(ledger.first_of_file[name]) for name in lost[:NUM_EXAMPLES]),
    )
    yield Draft(finding)


def _lost_datasets(found: Survey, datasets: tuple[str, ...]) -> Iterator[Draft]:
    lost = [name for number, name in enumerate(datasets) if not found.mentions.datasets[number]]
    if not lost:
        return
    finding = replace(
        _LOST_DATASETS,
        count=len(lost),
        share=len(lost) / len(datasets),
        examples=tuple(
            Example(name, 0, "", "gives no usable row") for name in lost[:NUM_EXAMPLES]
        ),
    )
    yield Draft(finding)


def _example(row: BadRow) -> Example:
    return Example(row.source, row.row, row.id, row.reason)
