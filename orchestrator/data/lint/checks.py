"""All of lint in order: read an index once, look for what is worth a word, show examples."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from orchestrator.data.lint.compare import Comparer
from orchestrator.data.lint.costs import check_costs
from orchestrator.data.lint.duplicates import check_duplicates
from orchestrator.data.lint.finding import (
    Draft,
    Example,
    ExampleMedium,
    Finding,
    LintLimits,
    Pick,
    SameContent,
)
from orchestrator.data.lint.groups import check_groups
from orchestrator.data.lint.ledger import check_ledger, read_ledger
from orchestrator.data.lint.overlap import Part, check_overlap
from orchestrator.data.lint.pictures import check_pictures
from orchestrator.data.lint.survey import survey
from orchestrator.data.lint.tables import IndexTables

EXAMPLE_COLUMNS = ("file", "row", "id", "kinds", "uris", "urls", "offsets", "lengths")
"""What has to be read of a sample to show it."""


def lint(
    train: IndexTables,
    held_out: IndexTables | None,
    limits: LintLimits,
    same_content: SameContent,
) -> list[Finding]:
    """Look through an index for what a person should know before training.

    The tables are read once, by column and in pieces; of images, only those are opened that
    look like copies of each other, at most ``limits.most_compared`` a comparison.

    Args:
        train: What is learned from.
        held_out: What is measured on, if anything.
        limits: From where on something is worth a word.
        same_content: Digest of what lies at (url, offset, length).

    Returns:
        Warnings first, then notes; each by share, the largest first.
    """
    drafts = list(
        _drafts(train, held_out, limits, Comparer(same_content, limits.most_compared))
    )
    findings = _with_examples(drafts, train, held_out)
    return sorted(findings, key=lambda each: (each.severity != "warning", -each.share))


def _drafts(
    train: IndexTables, held_out: IndexTables | None, limits: LintLimits, comparer: Comparer
) -> Iterator[Draft]:
    found = survey(train)
    yield from check_ledger(read_ledger(train), found, train.datasets)
    yield from check_groups(found, limits)
    yield from check_pictures(found, limits)
    yield from check_costs(found, limits)
    yield from check_duplicates(found, train, comparer)
    if held_out is not None:
        yield from check_overlap(Part(train, found), Part(held_out, survey(held_out)), comparer)


def _with_examples(
    drafts: list[Draft], train: IndexTables, held_out: IndexTables | None
) -> Iterator[Finding]:
    """Read all samples that were picked, in one go, and write them into the findings."""
    picks = [pick for draft in drafts for pick in draft.picks]
    ours = [pick.sample for pick in picks]
    ours += [pick.twin for pick in picks if pick.twin is not None and not pick.twin_held_out]
    theirs = [pick.twin for pick in picks if pick.twin is not None and pick.twin_held_out]
    rows = train.rows(ours, EXAMPLE_COLUMNS)
    twins = held_out.rows(theirs, ("file", "row")) if held_out else {}
    for draft in drafts:
        examples = (_example(p, rows, twins if p.twin_held_out else rows) for p in draft.picks)
        yield replace(draft.finding, examples=(*draft.finding.examples, *examples))


def _example(
    pick: Pick, rows: dict[int, dict[str, Any]], twins: dict[int, dict[str, Any]]
) -> Example:
    row = rows[pick.sample]
    what = pick.what
    if pick.twin is not None:
        twin = twins[pick.twin]
        what = f"{what} row {twin['row']} of {twin['file']}"
    media = example_media(row)
    shown = media if pick.medium is None else media[pick.medium : pick.medium + 1]
    if pick.medium is not None:
        what = f"{shown[0].uri}: {what}"
    return Example(row["file"], row["row"], row["id"], what, shown)


def example_media(row: dict[str, Any]) -> tuple[ExampleMedium, ...]:
    """The media of a row that was read with ``EXAMPLE_COLUMNS``."""
    columns: Iterable[list[Any]] = (row[name] for name in EXAMPLE_COLUMNS[3:])
    return tuple(
        ExampleMedium(kind, uri, url or "", max(offset or 0, 0), _length(length))
        for kind, uri, url, offset, length in zip(*columns, strict=True)
    )


def _length(length: int | None) -> int | None:
    return None if length is None or length < 0 else length
