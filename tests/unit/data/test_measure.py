"""What a sample costs, and why a bad one is none."""

import base64
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.measure import MeasureSettings, cost_of, measure_records
from orchestrator.data.places.location import Location
from orchestrator.data.render import Renderer, render
from orchestrator.data.rows import (
    IMAGE_SLOT,
    RenderMedium,
    RenderRow,
    SampleRow,
    rows_to_table,
    table_to_rows,
)
from orchestrator.data.sources.record import Record
from orchestrator.data.templates.reading import load_template
from orchestrator.plan.steps import Address

WriteImage = Callable[..., str]
MakeRecord = Callable[..., Record]


def measured(record: Record, settings: MeasureSettings) -> SampleRow | BadRow:
    (row,) = measure_records([record], "data.jsonl", settings)
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
    assert row.kinds == ("image", "image")
    assert row.pictures == (1, 1)
    assert [Path(url).name for url in row.urls] == ["a.jpg", "b.png"]
    assert row.question == "Which?"


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
        (record(["text.jpg"]), "'text.jpg' is no picture"),
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
    rows = measure_records(numbered, "data.jsonl", settings)
    assert [row.row for row in rows] == list(range(1, len(asked) + 1))
    for row, (_, reason) in zip(rows, asked, strict=True):
        if reason is None:
            assert isinstance(row, SampleRow)
        else:
            assert isinstance(row, BadRow)
            assert reason in row.reason
            assert row.remedy
            assert row.source == "data.jsonl"
            assert row.id == str(row.row)


def test_rows_good_and_bad_travel_through_a_table_unchanged(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    records = [record([write_image("a.jpg")]), record(["no"])]
    rows = measure_records(records, "data.jsonl", settings)
    back = table_to_rows(rows_to_table(rows))
    assert back[1] == rows[1]
    for field in dataclasses.fields(SampleRow):
        ours, theirs = getattr(back[0], field.name), getattr(rows[0], field.name)
        np.testing.assert_array_equal(ours, theirs)
        assert type(ours) is type(theirs)


def test_settings_travel_to_other_processes(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    there = pickle.loads(pickle.dumps(settings))
    row = measured(record([write_image("a.jpg")]), there)
    assert isinstance(row, SampleRow)


def test_bytes_in_a_row_become_a_range_of_a_file_and_render_like_the_file(
    settings: MeasureSettings,
    renderer: Renderer,
    write_image: WriteImage,
    record: MakeRecord,
    tmp_path: Path,
) -> None:
    content = (tmp_path / write_image("a.jpg", 128, 64)).read_bytes()
    url = "data:image/jpeg;base64," + base64.b64encode(content).decode()
    rows = measure_records([record(["a.jpg"]), record([content, url])], "f", settings)
    named, inline = rows
    assert isinstance(named, SampleRow)
    assert isinstance(inline, SampleRow)
    assert inline.urls[0] == inline.urls[1]
    assert inline.lengths == (len(content),) * 2
    media = [
        RenderMedium("image", Location(row.urls[0], row.offsets[0], length), ((32, 64),))
        for row, length in ((named, None), (inline, inline.lengths[0]))
    ]
    one, other = (
        render(
            [RenderRow(0, "x", named.ids_L, named.labels_L, (medium,))],
            Address(0, 0, 0),
            renderer,
        )
        for medium in media
    )
    np.testing.assert_array_equal(one.patches_PD, other.patches_PD)


def test_bytes_in_a_row_are_refused_where_there_is_nowhere_to_keep_them(
    settings: MeasureSettings, record: MakeRecord
) -> None:
    row = measured(record([b"content"]), dataclasses.replace(settings, blobs=None))
    assert isinstance(row, BadRow)
    assert "bytes" in row.reason


def test_a_group_that_is_too_large_is_thinned_if_the_job_says_so(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    names = [write_image(f"{number}.png") for number in range(7)]
    even = dataclasses.replace(settings, select="even")
    row = measured(record(names, "<image>" * 7 + " which?"), even)
    assert isinstance(row, SampleRow)
    assert row.uris == ("0.png", "2.png", "4.png", "6.png")
    assert np.count_nonzero(row.ids_L == IMAGE_SLOT) == 4


def test_likeness_is_asked_within_the_jobs_limit_of_pixels(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    names = [write_image(f"{number}.png") for number in range(7)]
    diverse = dataclasses.replace(settings, select="diverse")
    kept = measured(record(names), diverse)
    assert isinstance(kept, SampleRow)
    assert len(kept.uris) == 4
    refused = measured(record(names), dataclasses.replace(diverse, max_source_pixels=100))
    assert isinstance(refused, BadRow)
    assert "40 x 30" in refused.reason


def test_a_template_says_how_many_images_are_left_after_thinning(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    names = [write_image(f"{number}.png") for number in range(6)]
    put = dataclasses.replace(settings, select="first", template=load_template("comparison"))
    row = measured(record(names), put)
    assert isinstance(row, SampleRow)
    assert row.says_count
    plain = measured(record(names), dataclasses.replace(settings, select="first"))
    assert isinstance(plain, SampleRow)
    assert not plain.says_count
    assert row.text_hash != plain.text_hash


def test_only_the_first_image_is_measured_where_evaluation_asks_for_it(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    names = [write_image("a.png"), write_image("b.png")]
    row = measured(record(names), dataclasses.replace(settings, images="first"))
    assert isinstance(row, SampleRow)
    assert row.uris == ("a.png",)


def test_a_bad_row_remembers_the_files_that_could_mend_it(
    settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    row = measured(record([write_image("a.png"), "missing.png"]), settings)
    assert isinstance(row, BadRow)
    assert [Path(url).name for url in row.urls] == ["a.png", "missing.png"]
    assert row.media_keys[0]
    assert row.media_keys[1] == ""
