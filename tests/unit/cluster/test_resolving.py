"""Which token budget a run begins with, and that it stays."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.devices import GIB, Device
from orchestrator.cluster.resolving import longest_allowed, pick, settle
from orchestrator.config.job import Job
from orchestrator.data.index import Index, write_index
from orchestrator.data.rows import rows_to_table
from orchestrator.errors import ConfigError
from orchestrator.models.memory.shape import ModelShape
from orchestrator.storage import Store
from orchestrator.train.manifest import freeze
from tests.bench.memory.models import facts_8
from tests.unit.data.samples import sample_row

SHAPE = ModelShape.of(facts_8())
GPU = Device(8 * GIB, on_gpu=True, told_by="a test")


def make_job(folder: Path, **sections: Any) -> Job:
    fields = {
        "name": "demo",
        "model": {"path": "m"},
        "data": {"train": {"path": "d"}},
        "storage": {"path": str(folder)},
        **sections,
        "train": {"micro_tokens": "auto", **sections.get("train", {})},
    }
    return Job.model_validate_json(json.dumps(fields))


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Samples of 500 and 900 tokens in turn, four images each."""
    rows = [
        replace(sample_row(row, num_images=4), tokens=tokens, label_tokens=40, patches=1600)
        for row, tokens in enumerate([500, 900] * 8, 1)
    ]
    return write_index(tmp_path / "index", [rows_to_table(rows)], source="d", fingerprint="f")


Pick = Callable[..., int]


@pytest.fixture
def picked(tmp_path: Path, index: Index) -> Pick:
    def make(device: Device = GPU, **sections: Any) -> int:
        return pick(make_job(tmp_path, **sections), SHAPE, [index], device)

    return make


def test_it_is_as_much_as_fits(picked: Pick) -> None:
    sizes = [picked(replace(GPU, memory_bytes=int(gib * GIB))) for gib in (0.6, 0.8, 1)]
    assert sizes == sorted(set(sizes))
    assert all(size % 256 == 0 for size in sizes)


def test_it_leaves_every_worker_a_micro_batch(picked: Pick) -> None:
    huge = replace(GPU, memory_bytes=1000 * GIB)
    # A step of 16 samples has 11,200 tokens on average.
    assert picked(huge) == 11_200 // 256 * 256
    assert picked(huge, scale={"workers": [1, 4]}) == 11_200 // 4 // 256 * 256


def test_it_is_never_less_than_the_longest_sample(picked: Pick) -> None:
    assert picked(scale={"workers": [1, 16]}) == 900


def test_a_sample_that_does_not_fit_is_refused_with_what_would_help(picked: Pick) -> None:
    # Enough for the samples as they are, and not for all of their activations.
    small = replace(GPU, memory_bytes=int(0.67 * GIB))
    assert picked(small) >= 900
    with pytest.raises(ConfigError) as refused:
        picked(small, train={"recompute": False})
    assert "900 tokens" in refused.value.problem
    assert "GiB" in refused.value.problem
    assert "train.recompute to true" in refused.value.fix


def test_a_device_that_nothing_helps_is_said_to_be_too_small(picked: Pick) -> None:
    with pytest.raises(ConfigError, match="Use devices of"):
        picked(replace(GPU, memory_bytes=GIB // 10))


def test_a_number_stays_what_it_is(tmp_path: Path, index: Index) -> None:
    job = make_job(tmp_path, train={"micro_tokens": 777})
    assert settle(job, [index]) == 777
    assert longest_allowed(job) == 777


def test_a_run_that_was_begun_keeps_its_budget(tmp_path: Path, index: Index) -> None:
    job = make_job(tmp_path)
    store = Store.open(str(tmp_path)).child("demo")
    freeze(store, job.model_dump(mode="json"), "f", 1234, {"device": "cpu"})
    # Neither the model nor a device is asked: there are none here.
    assert settle(job, [index]) == 1234
