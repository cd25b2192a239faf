"""What lint says of groups: their size, their count, what they share."""

from typing import Any

from orchestrator.data.lint.finding import LintLimits
from orchestrator.data.lint.groups import check_groups
from orchestrator.data.lint.survey import survey
from tests.unit.data.lint.conftest import WriteTables, only, sample


def checked(write_tables: WriteTables, limits: LintLimits, rows: list[Any]) -> list[Any]:
    return list(check_groups(survey(write_tables(rows)), limits))


def test_groups_within_the_limit_that_say_their_count_are_worth_no_word(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(1, "abcdef"), sample(2, "a", says_count=False), sample(3, "")]
    assert checked(write_tables, limits, rows) == []


def test_more_than_six_images_are_noted_with_the_largest_first(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(1, "abcdef"), sample(2, "abcdefg"), sample(3, "abcdefghi"), sample(4)]
    (draft,) = checked(write_tables, limits, rows)
    assert draft.finding.name == "More than 6 images in a group"
    assert (draft.finding.count, draft.finding.share) == (2, 0.5)
    assert "9 images" in draft.finding.detail
    assert [(pick.sample, pick.what) for pick in draft.picks] == [
        (2, "9 images"),
        (1, "7 images"),
    ]


def test_a_video_is_one_of_a_group_however_many_frames_it_gives(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    frames = {"pictures": [8], "widths": [9] * 8, "heights": [9] * 8}
    targets = {"target_widths": [9] * 8, "target_heights": [9] * 8}
    rows = [sample(1, ["v.mp4"], kinds=["video"], says_count=False, **frames, **targets)]
    assert checked(write_tables, limits, rows) == []


def test_instructions_without_a_count_are_a_share_of_the_groups(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(row, says_count=row > 2) for row in range(1, 5)]
    rows += [sample(row, "a", says_count=False) for row in range(5, 9)]
    (draft,) = checked(write_tables, limits, rows)
    assert draft.finding.name.startswith("Instructions that never say")
    assert (draft.finding.count, draft.finding.share) == (2, 0.5)
    assert [pick.sample for pick in draft.picks] == [0, 1]


def test_an_image_in_very_many_groups_is_counted_once_a_group(
    write_tables: WriteTables,
) -> None:
    limits = LintLimits(micro_tokens=512, reused_in=3)
    logo = {"urls": ["/m/photo.jpg", "/m/logo.png"]}
    rows = [sample(row, **(logo | {"urls": [f"/m/{row}", "/m/logo.png"]})) for row in range(4)]
    rows += [sample(row, urls=["/m/twice.jpg"] * 2) for row in range(4, 6)]
    (draft,) = checked(write_tables, limits, rows)
    finding = only([draft.finding], "The same image")
    assert finding.count == 1
    assert finding.share == 1 / 6
    assert "4 samples (67%)" in finding.detail
    assert [(pick.sample, pick.medium) for pick in draft.picks] == [(0, 1)]


def test_media_without_a_place_of_their_own_are_not_the_same(
    write_tables: WriteTables,
) -> None:
    limits = LintLimits(micro_tokens=512, reused_in=3)
    rows = [sample(row, urls=["", None]) for row in range(9)]
    assert checked(write_tables, limits, rows) == []


def test_members_of_one_file_are_told_apart_by_where_they_begin(
    write_tables: WriteTables,
) -> None:
    limits = LintLimits(micro_tokens=512, reused_in=3)
    rows = [
        sample(row, urls=["/m/x.tar"] * 2, offsets=[row * 1024, row * 1024 + 512])
        for row in range(9)
    ]
    assert checked(write_tables, limits, rows) == []
    assert len(checked_same(rows, write_tables, limits)) == 1


def checked_same(rows: list[Any], write_tables: WriteTables, limits: LintLimits) -> list[Any]:
    same = [row | {"offsets": [0, row["row"] + 1]} for row in rows]
    return list(check_groups(survey(write_tables(same, name="same")), limits))
