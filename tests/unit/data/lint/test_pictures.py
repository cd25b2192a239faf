"""What lint says of single images."""

import numpy as np
import pytest

from orchestrator.data.lint.finding import LintLimits
from orchestrator.data.lint.pictures import check_pictures
from orchestrator.data.lint.survey import survey
from tests.unit.data.lint.conftest import WriteTables, sample


def test_far_larger_images_suggest_pre_resized_with_what_it_brings(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(1, widths=[4000, 1000], heights=[3000, 1000]), sample(2)]
    (draft,) = check_pictures(survey(write_tables(rows)), limits)
    assert draft.finding.name == "Images far larger than the job's size"
    assert (draft.finding.count, draft.finding.share) == (1, 0.25)
    assert "images.pre_resized" in draft.finding.remedy
    assert "12.0 megapixels" in draft.finding.detail
    assert "about 4.3 times as many images" in draft.finding.detail
    assert (draft.picks[0].sample, draft.picks[0].medium) == (0, 0)
    assert draft.picks[0].what == "12 megapixels, resized to 0.49"


def test_where_images_are_resized_before_their_size_is_worth_no_word(
    write_tables: WriteTables,
) -> None:
    rows = [sample(1, widths=[4000, 1000], heights=[3000, 1000])]
    limits = LintLimits(micro_tokens=512, pre_resized=True)
    assert list(check_pictures(survey(write_tables(rows)), limits)) == []


@pytest.mark.parametrize(("side", "is_said"), [(349, True), (351, False)])
def test_images_enlarged_beyond_four_times_are_noted(
    write_tables: WriteTables, limits: LintLimits, *, side: int, is_said: bool
) -> None:
    rows = [sample(1, "a", widths=[side], heights=[side])]
    names = [draft.finding.name for draft in check_pictures(survey(write_tables(rows)), limits)]
    assert names == ["Images far smaller than the job's size"] * is_said


def test_frames_of_a_video_are_not_asked_for_their_size(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    video = {"kinds": ["video"], "pictures": [2], "widths": [8000] * 2, "heights": [8000] * 2}
    rows = [sample(1, "v", **video, target_widths=[28] * 2, target_heights=[28] * 2)]
    assert list(check_pictures(survey(write_tables(rows)), limits)) == []


def test_a_note_is_said_once_whatever_its_figures(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [
        sample(row, "a", notes=[f"{row} frames, only the first is used"] if row % 2 else [])
        for row in range(8)
    ]
    (draft,) = check_pictures(survey(write_tables(rows)), limits)
    assert draft.finding.name == "Noted while reading: N frames, only the first is used"
    assert (draft.finding.count, draft.finding.share) == (4, 0.5)
    assert [pick.sample for pick in draft.picks] == [1, 3, 5, 7]


def test_an_index_without_images_has_no_sizes_to_speak_of(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    found = survey(write_tables([sample(1, "")]))
    assert found.medium_P.dtype == np.int64
    assert list(check_pictures(found, limits)) == []
