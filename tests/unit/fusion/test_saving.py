"""A fusion in a file."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from orchestrator.config.fusion import FusionConfig
from orchestrator.errors import ModelError
from orchestrator.fusion.saving import FILE, load_fusion, save_fusion
from orchestrator.fusion.shape import FusionShape
from tests.unit.fusion.conftest import SHAPE, TIGHT, make_sample, opened, same_bits


def write(folder: Path, tensors: dict[str, Any], **metadata: str) -> None:
    save_file(tensors, folder / FILE, metadata=metadata or None)


def said(**changes: Any) -> dict[str, str]:
    """What a file says of its shape, with something else in places."""
    return {"shape": json.dumps(asdict(SHAPE) | changes)}


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_fusion(folder)
    assert caught.value.where == str(folder / FILE)
    assert "\n" not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize(
    "shape", [SHAPE, TIGHT, replace(TIGHT, text=False), replace(TIGHT, latents=False)]
)
def test_a_fusion_that_was_saved_comes_back_to_the_bit(
    tmp_path: Path, shape: FusionShape
) -> None:
    fusion, sample = opened(shape), make_sample()
    save_fusion(fusion, tmp_path)
    loaded = load_fusion(tmp_path)
    assert loaded.shape == shape
    assert same_bits(loaded(sample).features, fusion(sample).features)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_a_shape_is_what_the_job_says_beside_its_model() -> None:
    config = FusionConfig(budget=7, text=False)
    shape = FusionShape.from_config(config, width=24)
    assert asdict(shape) == {"width": 24, **config.model_dump()}
    assert FusionShape(width=24, budget=None) == FusionShape.from_config(FusionConfig(), 24)


def test_a_missing_and_a_torn_file_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "no such file"
    save_fusion(opened(SHAPE), tmp_path)
    data = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(data[:-9])
    assert refusal(tmp_path).startswith("cannot be read (")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({}, "does not say the shape"),
        ({"shape": "[]"}, "does not say the shape"),
        (said(heads="2"), "its shape: heads: Input should be a valid integer"),
        (said(text=1), "its shape: text: Input should be a valid boolean"),
        (said(grid=0), "its shape: grid: Input should be greater than 0"),
        (said(heads=3), "has to be a multiple of heads (3)"),
        (said(grid=2**31), "its shape is beyond any memory"),
        ({"shape": "[" * 10**5}, "does not say the shape"),
        (said(more=3), "its shape: more: Extra inputs"),
        (said(width=0), "its shape: width 0"),
        (said(width="24"), "its shape: width '24'"),
        (said(layers=10**9), "1000000000 layers and "),
        (said(width=10**9), "not float32 (1000000000,"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(
    tmp_path: Path, metadata: dict[str, str], problem: str
) -> None:
    write(tmp_path, opened(SHAPE).state_dict(), **metadata)
    assert problem in refusal(tmp_path)


def test_tensors_that_do_not_fit_the_shape_are_named(tmp_path: Path) -> None:
    tensors = opened(SHAPE).state_dict()
    gate = "across.gate_D"
    write(tmp_path, {name: t for name, t in tensors.items() if name != gate}, **said())
    assert refusal(tmp_path) == f"tensor {gate} is missing"
    write(tmp_path, {**tensors, "more": torch.zeros(1)}, **said())
    assert refusal(tmp_path) == "tensor more is no part of its shape"
    write(tmp_path, {**tensors, gate: torch.zeros(9)}, **said())
    assert refusal(tmp_path) == f"tensor {gate} is float32 (9,), not float32 (24,)"
