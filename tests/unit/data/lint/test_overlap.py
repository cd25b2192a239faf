"""Samples to learn from that are held out as well."""

import pytest

from orchestrator.data.lint.compare import Comparer
from orchestrator.data.lint.finding import Draft
from orchestrator.data.lint.overlap import Part, check_overlap
from orchestrator.data.lint.survey import survey
from tests.unit.data.lint.conftest import Row, WriteTables, sample

# Row 7 of both parts: other folders, so other places.
ELSEWHERE = {"urls": ["/held/a", "/held/b"]}


def by_name(url: str, _offset: int, _length: int | None) -> str:
    return url.rpartition("/")[2]


def checked(
    write_tables: WriteTables, train: list[Row], held_out: list[Row], most: int = 100
) -> list[Draft]:
    parts = [
        Part(tables, survey(tables))
        for tables in (write_tables(train), write_tables(held_out, name="held-out"))
    ]
    return list(check_overlap(parts[0], parts[1], Comparer(by_name, most)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"text_hash": "another question"},
        ELSEWHERE | {"media_keys": ["1:1", "2:2"]},
        ELSEWHERE | {"text_hash": "another question"},
        ELSEWHERE | {"text_hash": "another question", "uris": ["x", "y"]},
    ],
    ids=["all", "same files", "same names and words", "copies", "copies by other names"],
)
def test_the_same_media_or_the_same_names_and_words_are_an_overlap(
    write_tables: WriteTables, changes: Row
) -> None:
    train = [sample(row, "ab") for row in (6, 7, 8, 9)]
    held_out = [sample(100, "ab"), sample(7, "ab") | changes]
    (draft,) = checked(write_tables, train, held_out)
    assert draft.finding.severity == "warning"
    assert (draft.finding.count, draft.finding.share) == (1, 0.25)
    (pick,) = draft.picks
    assert (pick.sample, pick.twin, pick.twin_held_out) == (1, 1, True)


@pytest.mark.parametrize(
    "changes",
    [
        {"text_hash": "text-7"},
        {"uris": ["x", "y"], "text_hash": "text-7"},
        {"media_keys": ["7000:17", "7001:17"], "urls": ["/held/c", "/held/d"]},
    ],
    ids=["same words by chance of names", "identical question", "same sizes by chance"],
)
def test_a_question_or_sizes_that_occur_in_both_are_no_overlap(
    write_tables: WriteTables, changes: Row
) -> None:
    held_out = [sample(100, "pq") | changes]
    assert checked(write_tables, [sample(7, "ab")], held_out) == []


def test_a_text_without_images_that_is_in_both_is_an_overlap(
    write_tables: WriteTables,
) -> None:
    train = [sample(1, "", text_hash="t"), sample(2, "")]
    (draft,) = checked(write_tables, train, [sample(9, "", text_hash="t")])
    assert [pick.sample for pick in draft.picks] == [0]


def test_one_image_of_several_in_both_is_noted_and_no_warning(
    write_tables: WriteTables,
) -> None:
    train = [sample(1, "ab"), sample(2, "ab"), sample(3, "abc")]
    held_out = [sample(50, "ab", urls=["/media/3/c", "/held/b"])]
    (draft,) = checked(write_tables, train, held_out)
    assert draft.finding.name.startswith("Training samples that share an image")
    assert (draft.finding.severity, draft.finding.count) == ("note", 1)
    assert [(pick.sample, pick.medium) for pick in draft.picks] == [(2, 2)]


def test_what_was_not_compared_is_named(write_tables: WriteTables) -> None:
    train = [sample(1, "", text_hash="t")]
    train += [sample(row, "ab", media_keys=["5:1", "6:1"]) for row in (6, 7)]
    held_out = [sample(3, "", text_hash="t")]
    held_out += [sample(8, "ab", media_keys=["5:1", "6:1"])]
    (draft,) = checked(write_tables, train, held_out, most=2)
    assert draft.finding.count == 2
    assert "1 more sample may be" in draft.finding.detail


def test_an_empty_held_out_part_overlaps_with_nothing(write_tables: WriteTables) -> None:
    assert checked(write_tables, [sample(1)], []) == []
