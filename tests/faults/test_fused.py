"""A job with fusion under a budget: what it learns is a trained tensor like all others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.training import TrainResult
from orchestrator.fusion.saving import FILE, load_fusion
from tests.faults.conftest import EPOCHS, assert_every_sample_once, scale
from tests.faults.disasters import Disturbance, kill_worker

Run = Callable[..., TrainResult]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(800)]

FUSION = {"budget": 9, "narrow": 16, "grid": 2, "heads": 2, "layers": 1}
"""Groups of three pictures are over it, those of two hardly fit, one alone does."""


def test_a_fused_job_learns_the_same_with_a_worker_killed(
    make_job: Callable[..., Any], run_on: Run
) -> None:
    alone = run_on(
        make_job("fused-alone", train={"epochs": EPOCHS}, scale=scale(1), fusion=FUSION)
    )
    kill = Disturbance(step=2, world_size=3, act=kill_worker)
    job = make_job("fused-killed", train={"epochs": EPOCHS}, scale=scale(3), fusion=FUSION)
    result = run_on(job, kill)
    assert result.figures.losses == 1
    assert_every_sample_once(result)
    assert result.weights_sha256 == alone.weights_sha256
    fusion = load_fusion(Path(result.run_dir) / "adapter")
    assert (Path(result.run_dir) / "adapter" / FILE).exists()
    assert fusion.shape.budget == 9
    # It was trained: the gate, which opens it, began at zero.
    assert float(dict(fusion.named_parameters())["across.gate_D"].detach().abs().max()) > 0
