"""Measured blocks that are kept, and when they are measured again."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.config.data import DataSource
from orchestrator.data.bad_sample import BadRow
from orchestrator.data.conversation import MediaRef
from orchestrator.data.measure import MeasureSettings, measure_records
from orchestrator.data.parts import Parts, digest, fingerprint_of, part_key, settings_key
from orchestrator.data.places.places import Places
from orchestrator.data.rows import SampleRow, rows_to_table
from orchestrator.data.sources.chunks import cut
from orchestrator.data.sources.record import Record
from tests.unit.data.samples import sample_row

WriteImage = Callable[..., str]
MakeRecord = Callable[..., Record]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "parts")


def measured(parts: Parts, settings: MeasureSettings, *records: Record) -> Parts:
    parts.write("key", rows_to_table(measure_records(records, "data.jsonl", settings)))
    return parts


def test_a_part_comes_back_as_it_was_written(parts: Parts) -> None:
    table = rows_to_table([sample_row(1, 2), BadRow("f", 2, "x", "broken", "mend")])
    parts.write("key", table)
    assert parts.read("key").equals(table)
    moved = rows_to_table([dataclasses.replace(sample_row(1, 2), urls=("/x", "/y"))])
    parts.write("moved", moved)
    parts.write("there", rows_to_table([sample_row(1, 2)]))
    (one, there), (other, elsewhere) = parts.told("there"), parts.told("moved")
    assert one == other
    assert there != elsewhere
    assert not parts.is_current("another")


def test_a_part_is_current_until_one_of_its_files_changes(
    parts: Parts,
    settings: MeasureSettings,
    write_image: WriteImage,
    record: MakeRecord,
    tmp_path: Path,
) -> None:
    measured(parts, settings, record([write_image("a.png"), write_image("b.png")]))
    assert parts.is_current("key")
    write_image("b.png", width=80)
    assert not parts.is_current("key")
    measured(parts, settings, record(["a.png", "b.png"]))
    assert parts.is_current("key")
    (tmp_path / "a.png").unlink()
    assert not parts.is_current("key")


def test_a_missing_file_that_comes_back_is_noticed(
    parts: Parts, settings: MeasureSettings, write_image: WriteImage, record: MakeRecord
) -> None:
    measured(parts, settings, record(["later.png"]))
    assert parts.is_current("key")
    write_image("later.png")
    assert not parts.is_current("key")


def test_a_folder_that_was_missing_is_noticed_when_it_comes(
    parts: Parts, settings: MeasureSettings, record: MakeRecord, tmp_path: Path
) -> None:
    measured(parts, settings, record(["later/a.png"]))
    assert parts.is_current("key")
    (tmp_path / "later").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "later/a.png")
    assert not parts.is_current("key")


def test_the_digest_follows_what_is_learned_and_not_where_it_lies() -> None:
    row = sample_row(1, 2)
    before = digest(rows_to_table([row, sample_row(2, 0)]))
    moved = dataclasses.replace(row, urls=("/x", "/y"), file="other")
    assert digest(rows_to_table([moved, sample_row(2, 0)])) == before
    bad = [BadRow(file, 3, "x", f"{file} is broken", "mend") for file in ("/a", "/b")]
    assert digest(rows_to_table(bad[:1])) == digest(rows_to_table(bad[1:]))
    replaced = dataclasses.replace(row, media_keys=("7:1", "8:1"))
    touched = dataclasses.replace(row, media_keys=("7:2", "8:3"))
    grown = dataclasses.replace(row, media_keys=("7:1", "9:1"))
    one, other, larger = (digest(rows_to_table([each])) for each in (replaced, touched, grown))
    assert one == other != larger
    for change in (
        {"ids_L": row.ids_L + 1},
        {"labels_L": ~row.labels_L},
        {"target_heights": (16, 48)},
        {"uris": ("1/0.jpg", "1/2.jpg")},
        {"cost": 0.25},
    ):
        changed = dataclasses.replace(row, **change)
        assert digest(rows_to_table([changed, sample_row(2, 0)])) != before, change
    assert digest(rows_to_table([row])) != before


def test_the_digest_of_lists_knows_where_one_row_ends() -> None:
    one = [sample_row(1, 2), sample_row(2, 1)]
    shifted = [
        dataclasses.replace(one[0], pictures=(1,)),
        dataclasses.replace(one[1], pictures=(1, 1)),
    ]
    assert digest(rows_to_table(one)) != digest(rows_to_table(shifted))


def test_rows_added_to_a_file_leave_the_parts_before_them(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    lines = [json.dumps({"messages": [], "images": [f"{row}.jpg"]}) for row in range(5)]
    path.write_text("\n".join(lines[:4]) + "\n")
    source = DataSource(path=str(path))
    before = [part_key("settings", 0, chunk) for chunk in cut(source, 2)]
    path.write_text("\n".join(lines) + "\n")
    after = [part_key("settings", 0, chunk) for chunk in cut(source, 2)]
    assert (len(before), len(after)) == (2, 3)
    assert after[:2] == before
    path.write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    changed = [part_key("settings", 0, chunk) for chunk in cut(source, 2)]
    assert changed[0] != after[0]
    assert changed[1:] == after[1:]
    assert part_key("other", 0, next(cut(source, 2))) != changed[0]


@pytest.mark.parametrize(
    "change",
    [
        {"max_images": 5},
        {"micro_tokens": 513},
        {"select": "even"},
        {"images": "first"},
        {"coder": "SquareCoder(longest=32)"},
        {"places": Places("/")},
        {"kinds": {}},
    ],
)
def test_settings_that_rows_depend_on_make_another_key(
    settings: MeasureSettings, change: dict[str, Any]
) -> None:
    before = settings_key(settings)
    assert settings_key(settings) == before
    assert settings_key(dataclasses.replace(settings, **change)) != before


def test_an_index_is_told_by_its_rows_and_by_what_pixels_become(
    settings: MeasureSettings,
) -> None:
    before = fingerprint_of(settings, ["a", "b"])
    assert (
        fingerprint_of(dataclasses.replace(settings, places=Places("/")), ["a", "b"]) == before
    )
    assert fingerprint_of(settings, ["b", "a"]) != before
    assert fingerprint_of(dataclasses.replace(settings, kinds={}), ["a", "b"]) != before


def test_a_rows_media_are_of_the_kinds_that_are_registered(settings: MeasureSettings) -> None:
    given = Record(1, {"images": [MediaRef("a")], "conversations": []})
    (row,) = measure_records([given], "f", settings)
    assert not isinstance(row, SampleRow)
