"""The model as the loop sees it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import Parameter

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.steps import Address
from orchestrator.train.crew import take_gradients
from orchestrator.train.exact import Grid
from orchestrator.train.halving import HalvingLearner
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.state import Replica
from tests.made_crew import PLAN, MadeBatches
from tests.unit.train.fakes import Notes


@pytest.fixture
def load(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., VisionLanguageLearner]]:
    """Loads a learner of a job with these sections."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    threads = torch.get_num_threads()

    def load(**sections: Any) -> VisionLanguageLearner:
        return VisionLanguageLearner.load(make_job("learner", **sections), torch.device("cpu"))

    yield load
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture
def learner(load: Callable[..., VisionLanguageLearner]) -> VisionLanguageLearner:
    return load()


def words(num_tokens: int = 6) -> MicroBatch:
    """A sample without images, each token a label but the first."""
    return MicroBatch(
        address=Address(0, 0, 0),
        samples=(0,),
        ids=("a",),
        faults=(),
        ids_L=np.arange(1, num_tokens + 1, dtype=np.int32),
        labels_L=np.arange(num_tokens) > 0,
        lengths_S=np.array([num_tokens], dtype=np.int32),
        images_S=np.zeros(1, dtype=np.int32),
        grids_I3=np.zeros((0, 3), dtype=np.int32),
        patches_PD=np.zeros((0, 0), dtype=np.uint8),
    )


def test_an_operation_that_torch_refuses_in_training_is_named_with_a_remedy(
    learner: VisionLanguageLearner,
) -> None:
    assert learner.backward(words()) > 0

    def refused(gradient: torch.Tensor) -> torch.Tensor:
        return gradient.flatten().put_(torch.tensor([0]), torch.ones(1)).view_as(gradient)

    next(iter(trained_tensors(learner.model).values())).register_hook(refused)
    with pytest.raises(JobError, match=r"put_ gives other bits.*Set scale\.gpu to false"):
        learner.backward(words())


def gradients(trained: dict[str, Parameter]) -> torch.Tensor:
    """All of ``.grad`` in one row; it is taken away."""
    found = []
    for parameter in trained.values():
        assert parameter.grad is not None
        found.append(parameter.grad.reshape(-1))
        parameter.grad = None
    return torch.cat(found)


def test_memory_that_runs_out_on_the_way_back_leaves_nothing_in_the_gradient(
    load: Callable[..., VisionLanguageLearner],
) -> None:
    learner = load(lora={"dropout": 0.0})
    trained = trained_tensors(learner.model)
    for parameter in trained.values():
        parameter.data += 0.05
    plan = replace(PLAN, micro_tokens=1000).step(0)
    batch = MadeBatches(learner.info).fetch("train", plan, 0)
    assert (len(batch.samples), len(batch.grids_I3)) == (5, 4)
    whole_loss, whole = learner.backward(batch), gradients(trained)
    attempts = []

    def run_out(gradient: torch.Tensor) -> torch.Tensor:
        # The last layers' gradients are there by now.
        attempts.append(sum(parameter.grad is not None for parameter in trained.values()))
        if len(attempts) in (1, 3):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return gradient

    next(iter(trained.values())).register_hook(run_out)
    notes = Notes()
    loss = HalvingLearner(learner, trained, notes).backward(batch)
    assert len(attempts) == 5
    assert min(attempts) > 0
    assert [event["parts"] for event in notes.of("halved")] == [3]
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    assert float((gradients(trained) - whole).abs().max()) < 1e-5 * float(whole.abs().max())


@pytest.mark.parametrize("gate", ["projector", "tower"])
def test_what_a_gate_lets_through_is_trained_and_kept_like_all_else(
    load: Callable[..., VisionLanguageLearner], gate: str
) -> None:
    learner, other = (load(train={"unfreeze": gate}) for _ in range(2))
    replica, restored = (
        Replica(trained_tensors(one.model), weight_decay=0.0) for one in (learner, other)
    )
    before = {name: tensor.detach().clone() for name, tensor in replica.tensors.items()}
    batch = MadeBatches(learner.info).fetch("train", PLAN.step(0), 0)
    assert len(batch.grids_I3) > 0
    loss = learner.backward(batch)
    grid = Grid(tuple(20 for _ in replica.tensors))
    replica.apply(take_gradients(replica), learning_rate=1e-2, grid=grid)
    moved = {n for n, tensor in replica.tensors.items() if not torch.equal(tensor, before[n])}
    assert any(".visual." in name for name in moved)
    assert learner.backward(batch) != loss
    restored.load_bytes(replica.to_bytes())
    assert restored.weights_sha256() == replica.weights_sha256()
    assert other.backward(batch) == learner.backward(batch)
