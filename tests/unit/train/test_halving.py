"""Memory that runs out: the same gradient in parts, told to the run, or a clear end."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError
from orchestrator.train.contracts import Score
from orchestrator.train.halving import HalvingLearner, is_shortage, naming_shortage
from tests.unit.train.fakes import Cell, Notes, Training
from tests.unit.train.small import (
    TRAIN_PLAN,
    Cramped,
    PlannedBatches,
    SmallLearner,
    features,
    new_tensors,
)


class Plain(SmallLearner):
    """Without dropout, which halves draw for themselves; in float64."""

    def loss(self, batch: MicroBatch, *, dropout: bool) -> torch.Tensor:
        del dropout
        inputs_S4, targets_S = (each.double() for each in features(batch.samples))
        hidden_S6 = torch.tanh(inputs_S4 @ self.tensors["a"])
        return (hidden_S6 @ self.tensors["b"] - targets_S[:, None]).square().sum()


def large() -> MicroBatch:
    """All of a step's samples in one micro-batch."""
    plan = replace(TRAIN_PLAN, micro_tokens=1000)
    return PlannedBatches(plan=plan).fetch("train", plan.step(0), 0)


def wide_tensors() -> dict[str, Any]:
    tensors = {
        name: torch.nn.Parameter(t.detach().double()) for name, t in new_tensors().items()
    }
    with torch.no_grad():
        tensors["b"] += 0.3
    return tensors


def halving(room: int, error: Exception | None = None) -> tuple[HalvingLearner, Cramped, Notes]:
    tensors, notes = wide_tensors(), Notes()
    cramped = Cramped(Plain(tensors), room, error or MemoryError())
    return HalvingLearner(cramped, tensors, notes), cramped, notes


def gradient_of(learner: HalvingLearner, batch: MicroBatch) -> tuple[float, torch.Tensor]:
    loss = learner.backward(batch)
    found = [parameter.grad for parameter in learner.tensors.values()]
    return loss, torch.cat([grad.reshape(-1) for grad in found if grad is not None])


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_gradient_in_parts_is_the_whole_one_and_nothing_half_made_is_in_it(room: int) -> None:
    batch = large()
    assert len(batch.samples) == 6
    whole, _, quiet = halving(room=99)
    loss, expected = gradient_of(whole, batch)
    learner, cramped, notes = halving(room)
    parts_loss, parts = gradient_of(learner, batch)
    assert abs(loss - parts_loss) < 1e-12
    assert float((parts - expected).abs().max()) < 1e-12
    done = [samples for samples in cramped.tried if len(samples) <= room]
    assert sum(done, ()) == batch.samples
    assert quiet.events == []
    assert notes.of("halved") == [
        {"kind": "halved", "step": 0, "micro": batch.address.micro, "parts": len(done)}
    ]


def test_what_an_attempt_held_is_gone_before_the_next() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    class Holding(Plain):
        def backward(self, batch: MicroBatch) -> float:
            assert all(tensor() is None for tensor in held)
            activations = torch.zeros(3)
            held.append(weakref.ref(activations))
            if len(batch.samples) > 1:
                raise MemoryError
            return super().backward(batch)

    tensors = wide_tensors()
    HalvingLearner(Holding(tensors), tensors, Notes()).backward(large())
    assert len(held) == 11


def test_scores_in_parts_add_up() -> None:
    batch = large()
    whole, _, _ = halving(room=99)
    learner, _, notes = halving(room=2)
    one, other = whole.score(batch), learner.score(batch)
    assert other == Score(pytest.approx(one.loss), one.label_tokens, one.samples, one.correct)
    # No weight depends on it.
    assert notes.events == []


def test_a_sample_that_is_too_large_by_itself_is_named_with_a_remedy() -> None:
    learner, cramped, notes = halving(room=0)
    batch = large()
    with pytest.raises(JobError, match=rf"on sample {batch.ids[0]} alone.*images\.max_pixels"):
        learner.backward(batch)
    assert cramped.tried[-1] == batch.samples[:1]
    assert notes.events == []
    assert all(parameter.grad is None for parameter in learner.tensors.values())


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("memory")])
def test_other_errors_are_not_taken_for_a_shortage(error: Exception) -> None:
    learner, cramped, _ = halving(room=2, error=error)
    with pytest.raises(type(error), match=str(error)):
        learner.backward(large())
    assert len(cramped.tried) == 1
    with pytest.raises(type(error)), naming_shortage(large()):
        raise error


def asked_for_too_much() -> None:
    torch.empty(1 << 60, dtype=torch.uint8)


def ran_out_on_a_gpu() -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def ran_out_in_a_library() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")


@pytest.mark.parametrize(
    "run_out", [asked_for_too_much, ran_out_on_a_gpu, ran_out_in_a_library]
)
def test_a_shortage_is_known_by_what_torch_says(run_out: Callable[[], None]) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_out()
    assert is_shortage(caught.value)
    batch = large()
    # Those who share a base compute in lockstep, and none can stop to do another half.
    with (
        pytest.raises(JobError, match=rf"{batch.ids[0]}.*Lower train\.micro_tokens"),
        naming_shortage(batch),
    ):
        run_out()


def weights_of(cells: list[Cell]) -> list[str]:
    assert [cell.error for cell in cells] == [None] * len(cells)
    return [cell.replica.weights_sha256() for cell in cells]


def test_cells_of_which_one_runs_out_of_memory_stay_together() -> None:
    undisturbed = Training().run(2)
    cells = Training(cramped=(1,)).run(2)
    assert len(set(weights_of(cells))) == 1
    assert weights_of(cells) != weights_of(undisturbed)
    assert cells[0].notes.of("halved") == []
    assert cells[1].notes.of("halved")
    losses = [
        [event["loss"] for event in run[0].notes.of("step")] for run in (cells, undisturbed)
    ]
    # Other dropout, and else the same.
    assert losses[0] == pytest.approx(losses[1], rel=0.5)


def test_a_run_that_ran_out_of_memory_counts_every_sample_once() -> None:
    [cell] = Training(cramped=(0,)).run(1)
    [usual] = Training().run(1)
    assert weights_of([cell])
    for name in ("samples", "label_tokens", "tokens"):
        counts = [[e[name] for e in one.notes.of("step")] for one in (cell, usual)]
        assert counts[0] == counts[1]
