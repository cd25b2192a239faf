"""What a sample costs, and why a bad one is none."""

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.fingerprint import fingerprint
from orchestrator.data.measure import MeasureSettings, cost_of, measure_records, measure_table
from orchestrator.data.rows import IMAGE_SLOT, SampleRow, rows_to_table, table_to_rows
from orchestrator.data.sources import Record, records_to_table

WriteImage = Callable[..., str]
MakeRecord = Callable[..., Record]


def measured(record: Record, settings: MeasureSettings) -> SampleRow | BadRow:
    (row,) = measure_records([record], settings)
    return row


def test_a_good_row_knows_its_tokens_sizes_and_cost(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    images = [write_image("a.jpg", 128, 64), write_image("b.png", 32, 32)]
    row = measured(record(images, row=5, id="five"), settings)
    assert isinstance(row, SampleRow)
    assert (row.id, row.row, row.uris) == ("five", 5, ("a.jpg", "b.png"))
    assert (row.widths, row.heights) == ((128, 32), (64, 32))
    assert (row.target_widths, row.target_heights) == ((64, 32), (32, 32))
    assert row.patches == 8 * 4 + 4 * 4
    assert row.image_tokens == row.patches // 4
    assert np.count_nonzero(row.ids_L == IMAGE_SLOT) == 2
    assert row.text_tokens == len(row.ids_L) - 2
    assert row.tokens == row.text_tokens + row.image_tokens
    assert row.label_tokens == np.count_nonzero(row.labels_L) > 0
    assert row.cost == cost_of(row.tokens, row.patches)
    assert all(key.startswith(uri) for key, uri in zip(row.media_keys, row.uris, strict=True))


def test_a_turned_picture_is_measured_as_it_is_seen(
    settings: MeasureSettings, tmp_path: Path, record: MakeRecord
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (96, 32)).save(tmp_path / "a.jpg", exif=exif)
    row = measured(record(["a.jpg"]), settings)
    assert isinstance(row, SampleRow)
    assert (row.widths, row.heights) == ((32,), (96,))
    assert row.target_heights[0] > row.target_widths[0]


def test_every_bad_row_is_named_with_its_reason_in_one_pass(
    settings: MeasureSettings, tmp_path: Path, write_image: WriteImage, record: MakeRecord
) -> None:
    good = write_image("good.jpg")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    write_image("thin.png", 1000, 4)
    asked = [
        (record([good], id="fine"), None),
        (record(["none.jpg"]), "'none.jpg' not found"),
        (record(["empty.jpg"]), "'empty.jpg' is empty (0 bytes)"),
        (record(["text.jpg"]), "text.jpg is no picture"),
        (record(["../good.jpg"]), "leads out of media_dir"),
        (record([good, good], "<image> which?"), "1 image mark, 2 images listed"),
        (record([good], "<image><image>"), "2 image marks, 1 image listed"),
        (record([good] * 5), "5 images, at most 4"),
        (record([good], "long " * 600), "at most 512 allowed"),
        (record(["thin.png"]), "too long)"),
        (Record(1, None, "is not JSON"), "row is not JSON"),
        (record([good], "<|image_pad|> <|im_end|>"), None),
    ]
    numbered = [
        dataclasses.replace(one, row=row) for row, (one, _) in enumerate(asked, start=1)
    ]
    rows = list(measure_records(numbered, settings))
    assert [row.row for row in rows] == list(range(1, len(asked) + 1))
    for row, (_, reason) in zip(rows, asked, strict=True):
        if reason is None:
            assert isinstance(row, SampleRow)
        else:
            assert isinstance(row, BadRow)
            assert reason in row.reason
            assert row.remedy
            assert row.source == settings.source
            assert row.id == str(row.row)


def test_rows_good_and_bad_travel_through_a_table_unchanged(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    rows = list(measure_records([record([write_image("a.jpg")]), record(["no"])], settings))
    back = list(table_to_rows(rows_to_table(rows)))
    assert back[1] == rows[1]
    for field in dataclasses.fields(SampleRow):
        ours, theirs = getattr(back[0], field.name), getattr(rows[0], field.name)
        np.testing.assert_array_equal(ours, theirs)
        assert type(ours) is type(theirs)


def test_a_block_of_records_gives_a_block_of_rows(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    block = records_to_table([record([write_image("a.jpg")], row=1), record(["no"], row=2)])
    rows = list(table_to_rows(measure_table(block, pickle.loads(pickle.dumps(settings)))))
    assert [type(row) for row in rows] == [SampleRow, BadRow]
    assert [row.row for row in rows] == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"max_images": 5},
        {"micro_tokens": 513},
        {"coder": "SquareCoder(longest=32)"},
        {"media_dir": Path("/")},
    ],
)
def test_the_fingerprint_follows_everything_that_rows_depend_on(
    settings: MeasureSettings, change: dict[str, Any]
) -> None:
    Path(settings.source).write_text("{}")
    before = fingerprint(settings)
    assert fingerprint(settings) == before
    assert fingerprint(dataclasses.replace(settings, **change)) != before
    assert fingerprint(settings, "swapped") != before
    Path(settings.source).write_text("{} ")
    assert fingerprint(settings) != before
