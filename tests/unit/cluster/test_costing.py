"""What a plan says of memory and time, from an index made by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.costing import Costing, cost
from orchestrator.cluster.handout import Course
from orchestrator.cluster.prepare import _plan
from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.data.index import write_index
from orchestrator.data.rows import rows_to_table
from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.tables import cost_tables
from tests.unit.data.samples import sample_row

IMAGES = (1, 3, 3, 0, 6)
Cost = Callable[..., Costing]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder, size="test")
    return folder


@pytest.fixture
def costed(tmp_path: Path, model: Path) -> Cost:
    """Groups of these numbers of images, 20 tokens and 80 patches each."""
    rows = [
        replace(
            sample_row(row, num_images=images),
            tokens=30 + 20 * images,
            patches=80 * images,
            label_tokens=10,
        )
        for row, images in enumerate(IMAGES, 1)
    ]
    index = write_index(tmp_path / "index", [rows_to_table(rows)], source="d", fingerprint="f")

    def make(**scale: Any) -> Costing:
        fields = {
            "name": "demo",
            "model": {"path": str(model)},
            "data": {"train": {"path": "d"}},
            "train": {"global_batch": 4, "micro_tokens": 200},
            "scale": {"gpu": False, "device_memory_gib": 1.0, **scale},
        }
        job = Job.model_validate_json(json.dumps(fields))
        # Nothing is rendered, so there is nothing to say how.
        spec: Any = None
        course = Course(index.folder, _plan(job, "train", index, 200), spec)
        return cost(Prepared(job, {"train": index}, {"train": course}))

    return make


def test_groups_are_told_by_their_number_of_images(costed: Cost) -> None:
    groups = costed().groups
    assert [(group.images, group.groups) for group in groups] == [
        (0, 1),
        (1, 1),
        (3, 2),
        (6, 1),
    ]
    assert [group.tokens for group in groups] == [30, 50, 90, 150]
    assert [group.patches for group in groups] == [0, 80, 240, 480]


def test_more_images_cost_more(costed: Cost) -> None:
    groups = costed().groups
    for figure in ("saved_mb", "peak_mb", "tflop"):
        costs = [getattr(group, figure) for group in groups]
        assert costs == sorted(costs)


def test_seconds_are_told_where_the_devices_speed_is(costed: Cost) -> None:
    assert {group.seconds for group in costed().groups} == {None}
    slow, fast = costed(device_tflops=0.001), costed(device_tflops=0.002)
    for one, other in zip(slow.groups, fast.groups, strict=True):
        assert one.seconds is not None
        assert one.seconds == pytest.approx(2 * (other.seconds or 0), rel=0.02)


@pytest.mark.parametrize(("gib", "fits"), [(4.0, True), (0.01, False)])
def test_it_says_whether_the_largest_micro_batch_fits(
    costed: Cost, gib: float, *, fits: bool
) -> None:
    found = costed(device_memory_gib=gib)
    assert found.fits is fits
    verdict = "it fits" if fits else "it does NOT fit"
    assert verdict in str([*cost_tables(found)])
