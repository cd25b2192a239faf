"""Hours and money of a training, from an index made by hand and prices of a file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.handout import Course
from orchestrator.cluster.prepare import Prepared, _plan
from orchestrator.cluster.pricing import MOST_SIZES, Priced, price, world_sizes
from orchestrator.config.job import Job
from orchestrator.data.index import write_index
from orchestrator.data.rows import rows_to_table
from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.errors import ConfigError
from orchestrator.tables import price_tables
from orchestrator.tracking.events import Event, make_event
from tests.unit.data.samples import sample_row

CLUSTER = Path(__file__).parents[3] / "cluster.yaml"
Ask = Callable[..., Priced]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """16 groups of 3 images, 8 a step and one a micro-batch, on one to four workers."""
    folder = tmp_path_factory.mktemp("priced")
    write_tiny_model(folder / "model", size="test")
    rows = [
        replace(
            sample_row(row, num_images=3), tokens=90, patches=240, label_tokens=10, cost=1.0
        )
        for row in range(1, 17)
    ]
    index = write_index(folder / "index", [rows_to_table(rows)], source="d", fingerprint="f")
    fields = {
        "name": "demo",
        "model": {"path": str(folder / "model")},
        "data": {"train": {"path": "d"}},
        "train": {"global_batch": 8, "micro_tokens": 100},
        "scale": {"workers": [1, 4], "gpu": False},
    }
    job = Job.model_validate_json(json.dumps(fields))
    # Nothing is rendered, so there is nothing to say how.
    spec: Any = None
    course = Course(index.folder, _plan(job, "train", index, 100), spec)
    return Prepared(job, {"train": index}, {"train": course})


@pytest.fixture
def ask(prepared: Prepared) -> Ask:
    def make(
        step_s: float | None = None, log: list[Event] | None = None, **scale: Any
    ) -> Priced:
        job = prepared.job
        changed = job.model_copy(update={"scale": job.scale.model_copy(update=scale)})
        [found] = price(replace(prepared, job=changed), CLUSTER, step_s, log)
        return found

    return make


def test_a_steps_time_is_shared_out_among_workers_as_in_training(ask: Ask) -> None:
    found = ask(step_s=3600.0)
    steps = 2 * found.bills[0].hours / 2
    hours = {bill.world_size: bill.hours for bill in found.bills}
    # Eight micro-batches alike: three workers take as long as the one who has three of them.
    assert hours[1] == pytest.approx(steps)
    assert hours[2] == pytest.approx(hours[1] / 2)
    assert hours[3] == pytest.approx(hours[1] * 3 / 8, rel=1e-3)
    assert hours[4] == pytest.approx(hours[1] / 4)


def test_money_is_that_of_the_file(ask: Ask) -> None:
    bill = ask(step_s=3600.0).bills[3]
    assert bill.spot == pytest.approx(bill.hours * (4 * 0.42 + 0.192), abs=0.01)
    assert bill.on_demand == pytest.approx(bill.hours * (4 * 0.978 + 0.192), abs=0.01)


def test_the_devices_speed_tells_where_the_job_names_it(ask: Ask) -> None:
    slow, fast = ask(device_tflops=0.001), ask(device_tflops=0.002)
    assert slow.told_by == "scale.device_tflops"
    for one, other in zip(slow.bills, fast.bills, strict=True):
        assert one.hours == pytest.approx(2 * other.hours, abs=0.002)


def test_a_runs_own_steps_count_first(ask: Ask) -> None:
    log = [make_event("started", wall_s=0.0)]
    log += [
        make_event(
            "step",
            wall_s=20.0 * (step + 1),
            step=step,
            epoch=0,
            loss=1.0,
            samples=8,
            round_s=20.0,
            world_size=2,
            num_micro=8,
        )
        for step in range(5)
    ]
    found = ask(step_s=1.0, log=log, device_tflops=0.001)
    assert found.told_by == "the run's own steps"
    hours = {bill.world_size: bill.hours for bill in found.bills}
    assert hours[1] == pytest.approx(2 * hours[2], rel=0.05)


def test_where_nothing_tells_it_is_said_what_would(ask: Ask) -> None:
    with pytest.raises(ConfigError, match="--step-s"):
        ask()


@pytest.mark.parametrize(("least", "most"), [(1, 1), (1, 12), (3, 100), (1, 1000), (7, 13)])
def test_many_world_sizes_are_shown_by_some(least: int, most: int) -> None:
    sizes = world_sizes(least, most)
    assert sizes[0] == least
    assert sizes[-1] == most
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= MOST_SIZES


def test_the_table_sets_spot_beside_on_demand(ask: Ask) -> None:
    [(title, rows)] = price_tables([ask(step_s=60.0)])
    assert title.startswith("money on aws, prices of 20")
    assert rows[0][0] == "1 worker"
    assert "on spot or" in rows[0][1]
    assert rows[-1] == ("a step's time is from", "--step-s, shared out as planned")
