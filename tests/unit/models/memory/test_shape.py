"""The size of a model, from its configuration."""

from itertools import product
from pathlib import Path

import pytest
import torch

from orchestrator.config.lora import LoraConfig
from orchestrator.errors import ModelError
from orchestrator.fusion.module import Fusion
from orchestrator.fusion.shape import FusionShape
from orchestrator.models.loading import outline_base
from orchestrator.models.lora import add_lora, trained_tensors
from orchestrator.models.memory.across import fusion_weights
from orchestrator.models.memory.recipe import Recipe
from orchestrator.models.memory.resident import trained_weights
from orchestrator.models.memory.shape import read_shape
from orchestrator.models.unfreezing import unfreeze


def test_every_number_of_a_model_is_counted(model_path: str) -> None:
    model = outline_base(model_path, torch.float32)
    shape = read_shape(model_path)
    assert shape.weights == sum(p.numel() for p in model.parameters())
    assert shape.tower.weights == sum(p.numel() for p in model.model.visual.parameters())


@pytest.mark.parametrize("gate", ["none", "projector", "tower"])
def test_what_trains_is_counted(model_path: str, gate: str) -> None:
    model = add_lora(outline_base(model_path, torch.float32), LoraConfig(rank=4), 0)
    unfreeze(model, gate)  # type: ignore[arg-type]
    recipe = Recipe(rank=4, unfreeze=gate)  # type: ignore[arg-type]
    found = sum(p.numel() for p in trained_tensors(model).values())
    assert trained_weights(read_shape(model_path), recipe) == found


@pytest.mark.parametrize(
    ("spatial", "positions", "text", "weights"), [*product([False, True], repeat=4)]
)
def test_every_number_of_a_fusion_is_counted(
    *, spatial: bool, positions: bool, text: bool, weights: bool
) -> None:
    shape = FusionShape(
        width=24, budget=8, narrow=16, grid=3, heads=2,
        spatial=spatial, positions=positions, text=text, weights=weights,
    )  # fmt: skip
    assert fusion_weights(shape) == sum(p.numel() for p in Fusion(shape, 0).parameters())


def test_a_fusion_without_latents_learns_nothing() -> None:
    assert fusion_weights(FusionShape(width=24, budget=8, latents=False)) == 0


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="config"):
        read_shape(str(tmp_path))
