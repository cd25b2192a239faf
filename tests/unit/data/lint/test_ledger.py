"""The quarantine, sorted by reason, and what it means for the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.lint.finding import Draft
from orchestrator.data.lint.ledger import check_ledger, kind_of, read_ledger
from orchestrator.data.lint.survey import survey
from orchestrator.data.lint.tables import IndexTables
from tests.unit.data.lint.conftest import WriteTables, only, sample


def bad(row: int, reason: str, source: str = "train.jsonl") -> BadRow:
    return BadRow(source, row, f"id-{row}", reason, "Mend it")


def drafts(tables: IndexTables) -> list[Draft]:
    return list(check_ledger(read_ledger(tables), survey(tables), tables.datasets))


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("image 'a b.jpg' not found", "image … not found"),
        ("too long: 5,000 tokens (12 of images)", "too long: N tokens (N of images)"),
        ("image 'x' leads out of media_dir to /data/a/b.jpg", "image … leads out of media_dir"),
        ('turn 3 says "it\'s"', "turn N says …"),
    ],
)
def test_reasons_of_one_kind_differ_in_values_only(reason: str, kind: str) -> None:
    assert kind_of(reason).startswith(kind)


@given(st.text(max_size=2000))
def test_every_reason_has_a_short_kind(reason: str) -> None:
    assert len(kind_of(reason)) <= 200


def test_kinds_are_counted_with_a_few_examples_the_commonest_first(
    write_tables: WriteTables,
) -> None:
    rows = [bad(row, f"image '{row}.jpg' not found") for row in range(9)] + [bad(9, "no label")]
    ledger = read_ledger(write_tables([sample(1)], rows))
    assert ledger.num_rows == 10
    (first, kind), (second, _) = ledger.most_common()
    assert (first, kind.count, second) == ("image … not found", 9, "no label")
    assert [row.row for row in kind.examples] == [0, 1, 2, 3, 4]


def test_reasons_without_end_are_kept_within_bounds(write_tables: WriteTables) -> None:
    signs = [chr(0x4E00 + place) for place in range(500)]
    ledger = read_ledger(write_tables([], [bad(n, sign) for n, sign in enumerate(signs)]))
    assert len(ledger.kinds) == 201
    assert ledger.kinds["other reasons"].count == 300


def test_too_long_samples_say_by_how_much_and_that_nothing_was_cut(
    write_tables: WriteTables,
) -> None:
    reason = "too long: {} tokens (9 of images), at most 512 allowed"
    rows = [bad(row, reason.format(512 + over)) for row, over in enumerate((10, 20, 900))]
    finding = only(
        (draft.finding for draft in drafts(write_tables([sample(9)], rows))), "Samples too"
    )
    assert (finding.count, finding.share, finding.severity) == (3, 0.75, "warning")
    assert "too long by 20 tokens at the median, by 900 tokens at most" in finding.detail
    assert "Nothing is ever cut" in finding.detail
    assert finding.examples[0].what == reason.format(522)


@pytest.mark.parametrize(
    ("reason", "start"),
    [
        ("no label: no assistant turn with text", "Rows without an answer"),
        ("no label token", "Rows without an answer"),
        ("9 images, at most 8 allowed", "Groups of more images than"),
    ],
)
def test_a_reason_with_a_remedy_of_its_own_is_a_finding(
    write_tables: WriteTables, reason: str, start: str
) -> None:
    (draft,) = drafts(write_tables([sample(1)], [bad(2, reason)]))
    assert draft.finding.name.startswith(start)
    assert (draft.finding.count, draft.finding.share) == (1, 0.5)


def test_a_file_that_gives_nothing_is_named(write_tables: WriteTables) -> None:
    rows = [bad(3, "x"), bad(1, "row is no object", "b.jsonl"), bad(2, "y", "b.jsonl")]
    (draft,) = drafts(write_tables([sample(1)], rows))
    assert draft.finding.name == "Files without one usable row"
    assert (draft.finding.count, draft.finding.share) == (1, 0.5)
    (example,) = draft.finding.examples
    assert (example.file, example.row, example.what) == ("b.jsonl", 1, "row is no object")


def test_a_data_set_that_gives_nothing_is_named(write_tables: WriteTables) -> None:
    rows = [sample(1, source=0), sample(2, source=2)]
    (draft,) = drafts(write_tables(rows, datasets=("one", "two", "three")))
    assert draft.finding.name == "Data sets without one usable row"
    assert [example.file for example in draft.finding.examples] == ["two"]


def test_an_empty_quarantine_is_worth_no_word(write_tables: WriteTables) -> None:
    assert drafts(write_tables([sample(1)])) == []
