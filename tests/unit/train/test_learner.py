"""The model as the loop sees it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.errors import JobError
from orchestrator.models.lora import trained_tensors
from orchestrator.plan.steps import Address
from orchestrator.train.learner import VisionLanguageLearner


@pytest.fixture
def learner(make_job: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[VisionLanguageLearner]:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    threads = torch.get_num_threads()
    yield VisionLanguageLearner.load(make_job("learner"), torch.device("cpu"))
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(mode=False)


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
