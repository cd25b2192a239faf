"""What a training would do, from an index made by hand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.forecast import SAMPLED_STEPS, Forecast, forecast
from orchestrator.cluster.handout import Course
from orchestrator.cluster.prepare import _plan
from orchestrator.cluster.prepared import Prepared
from orchestrator.config.job import Job
from orchestrator.data.bad_sample import BadRow
from orchestrator.data.index import Index, write_index
from orchestrator.data.rows import SampleRow, rows_to_table
from tests.unit.data.samples import sample_row

Predict = Callable[..., Forecast]


def sample(row: int, tokens: int) -> SampleRow:
    """A sample without pictures; costs are tokens."""
    return replace(
        sample_row(row, num_images=0), text_tokens=tokens, tokens=tokens, cost=float(tokens)
    )


def index_of(folder: Path, tokens: list[int], num_bad: int = 0) -> Index:
    rows: list[SampleRow | BadRow] = [sample(row, size) for row, size in enumerate(tokens, 1)]
    first = len(tokens) + 1
    rows += [BadRow("d", row, "?", "gone", "Mend it") for row in range(first, first + num_bad)]
    return write_index(folder, [rows_to_table(rows)], source="d", fingerprint="f")


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    """Forecast a training over samples of these lengths."""

    def make(
        tokens: list[int],
        *,
        held_out: int = 0,
        num_bad: int = 0,
        workers: tuple[int, int] = (1, 1),
        weight: float = 1.0,
        **recipe: Any,
    ) -> Forecast:
        fields = {
            "name": "demo",
            "model": {"path": "m"},
            "data": {"train": {"path": "d", "weight": weight}, "eval": {"path": "e"}},
            "train": {"global_batch": 4, "micro_tokens": 100, **recipe},
            "scale": {"workers": workers},
        }
        job = Job.model_validate_json(json.dumps(fields))
        indexes: dict[Any, Index] = {"train": index_of(tmp_path / "train", tokens, num_bad)}
        if held_out:
            indexes["eval"] = index_of(tmp_path / "eval", [10] * held_out)
        # Nothing is rendered, so there is nothing to say how.
        spec: Any = None
        courses = {
            p: Course(index.folder, _plan(job, p, index, job.train.micro_tokens), spec)
            for p, index in indexes.items()
        }
        return forecast(Prepared(job, indexes, courses))

    return make


def test_samples_steps_and_epochs_are_counted(predict: Predict) -> None:
    found = predict([50] * 10, held_out=7, num_bad=2, epochs=3)
    assert (found.samples, found.quarantined, found.eval_samples) == (10, 2, 7)
    assert (found.steps_per_epoch, found.epochs, found.steps) == (3, 3, 9)


def test_a_weight_lengthens_or_shortens_an_epoch(predict: Predict) -> None:
    found = predict([50] * 10, weight=2.5)
    assert (found.samples, found.samples_per_epoch, found.steps_per_epoch) == (10, 25, 7)


def test_accumulation_follows_from_the_lengths(predict: Predict) -> None:
    # Steps of 4, 4 and 2 samples, two of them to a micro-batch.
    found = predict([40] * 10)
    assert found.micro_batches_per_step == pytest.approx(5 / 3, abs=0.01)
    assert found.tokens_per_step == pytest.approx(400 / 3, abs=0.1)
    assert found.fill == 0.8


def test_workers_are_busy_as_far_as_micro_batches_go_round(predict: Predict) -> None:
    found = predict([100] * 8, workers=(1, 5))
    assert found.balance == {1: 1.0, 2: 1.0, 3: 0.667, 4: 1.0, 5: 0.8}


def test_unequal_micro_batches_leave_workers_waiting(predict: Predict) -> None:
    found = predict([100, 50], global_batch=2, workers=(2, 2))
    assert found.balance == {2: 0.75}


def test_a_long_training_is_sampled_evenly(predict: Predict) -> None:
    found = predict([100, 60] * 16, epochs=100, global_batch=2)
    assert found.steps == 1600
    assert found.steps > SAMPLED_STEPS
    assert found.tokens_per_step == pytest.approx(160, abs=5)
