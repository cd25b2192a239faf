"""Inputs made to break things: each is trained on rightly, or set aside by name."""

from collections import Counter
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.index import write_index
from orchestrator.data.measure import MeasureSettings
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import Renderer, render
from orchestrator.data.rows import SampleRow, rows_to_table
from orchestrator.errors import DataError
from tests.nasty.cases import FILES, ROWS
from tests.nasty.judging import judge
from tests.nasty.outcomes import Case, Emptied, FileCase, Quarantined, Refused, Trained
from tests.nasty.running import ADDRESS, Workplace


@pytest.fixture
def place(tmp_path: Path, settings: MeasureSettings, renderer: Renderer) -> Workplace:
    return Workplace(tmp_path, replace(settings, max_images=8), renderer)


def rendered(row: SampleRow | BadRow, place: Workplace) -> MicroBatch | None:
    return None if isinstance(row, BadRow) else place.rendered([row])


@pytest.mark.parametrize("case", ROWS, ids=attrgetter("name"))
def test_a_nasty_row_is_what_it_has_to_be_and_so_are_its_neighbours(
    case: Case, place: Workplace, tokenizer: Any
) -> None:
    before, row, after = place.measured(place.write_lines([case]))
    judge(case.expected, row, rendered(row, place), tokenizer)
    assert (before.id, after.id) == ("good0", "good1")
    assert isinstance(before, SampleRow)
    assert isinstance(after, SampleRow)


@pytest.mark.parametrize("case", FILES, ids=attrgetter("name"))
def test_a_nasty_file_is_refused_or_each_of_its_rows_is_what_it_has_to_be(
    case: FileCase, place: Workplace, tokenizer: Any
) -> None:
    data = case.write(place.media_dir)
    if isinstance(case.expected, Refused):
        with pytest.raises(DataError) as caught:
            place.measured(data)
        assert case.expected.problem in caught.value.problem
        assert case.expected.fix in caught.value.fix
        assert caught.value.fix
        assert str(data) in caught.value.where
        return
    rows = place.measured(data)
    assert len(rows) == len(case.expected)
    for row, expected in zip(rows, case.expected, strict=True):
        judge(expected, row, rendered(row, place), tokenizer)


def test_all_nasty_rows_together_are_what_each_is_alone(
    place: Workplace, tokenizer: Any
) -> None:
    rows = place.measured(place.write_lines(list(ROWS)))
    assert len(rows) == 2 * len(ROWS) + 1
    good, nasty = rows[::2], rows[1::2]
    for case, row in zip(ROWS, nasty, strict=True):
        judge(case.expected, row, rendered(row, place), tokenizer)
    samples = [row for row in good if isinstance(row, SampleRow)]
    assert [row.id for row in samples] == [f"good{number}" for number in range(len(good))]
    batch = place.rendered(samples)
    assert not batch.faults
    # All of them are the same row, and nothing of what stands between them shows in any.
    each = len(batch.patches_PD) // len(samples)
    patches = batch.patches_PD.reshape(len(samples), each, -1)
    assert np.array_equal(patches, np.broadcast_to(patches[0], patches.shape))
    assert all(np.array_equal(row.ids_L, samples[0].ids_L) for row in samples)


def test_one_index_of_all_nasty_rows_names_every_bad_one(
    place: Workplace, tmp_path: Path
) -> None:
    rows = place.measured(place.write_lines(list(ROWS)))
    index = write_index(
        tmp_path / "index", [rows_to_table(rows)], source="nasty", fingerprint="nasty"
    )
    kinds = Counter(type(case.expected) for case in ROWS)
    assert index.summary.num_bad == kinds[Quarantined]
    assert index.num_samples == len(rows) - kinds[Quarantined]
    asked = {2 * number + 2: case for number, case in enumerate(ROWS)}
    for bad in index.quarantine:
        expected = asked[bad.row].expected
        assert isinstance(expected, Quarantined)
        assert expected.reason in bad.reason
        assert bad.source.endswith("data.jsonl")
    batch = render(index.rows(range(index.num_samples)), ADDRESS, place.renderer)
    emptied = {case.name for case in ROWS if isinstance(case.expected, Emptied)}
    assert {fault.id for fault in batch.faults} == emptied


def test_lists_of_any_depth_end_no_block(place: Workplace) -> None:
    """Some depth can just be parsed, and not be shown from a little further up the stack."""
    lists = [b"[" * depth + b"]" * depth for depth in range(800, 1000)]
    lines = [b'{"images": %s, "conversations": %s}' % (one, one) for one in lists]
    cases = [Case("deep", lambda _, line=line: line, Quarantined("")) for line in lines]  # type: ignore[misc]
    found = place.measured(place.write_lines(cases))
    assert len(found) == 2 * len(lines) + 1
    assert all(isinstance(row, BadRow) for row in found[1::2])
    assert all(isinstance(row, SampleRow) for row in found[::2])


def test_every_case_has_a_name_of_its_own_and_there_are_enough() -> None:
    names = [case.name for case in (*ROWS, *FILES)]
    assert len(set(names)) == len(names)
    assert len(ROWS) >= 60
    assert {type(case.expected) for case in ROWS} == {Trained, Quarantined, Emptied}
