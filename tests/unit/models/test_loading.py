"""What can be loaded, and what is said where it cannot."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from orchestrator.config.images import ImageBudget
from orchestrator.errors import ModelError
from orchestrator.models.loading import load_base, load_tokenizer
from orchestrator.models.processor import image_coder, read_model_info

CPU = torch.device("cpu")


@pytest.fixture
def copied(model_path: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_path, tmp_path / "model"))


def _rewrite(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_a_base_is_frozen_and_quiet(model_path: str) -> None:
    base = load_base(model_path, CPU, torch.float32)
    assert not any(p.requires_grad for p in base.parameters())
    assert not any(module.training for module in base.modules())


def test_an_unknown_family_is_refused_with_the_names_of_the_known_ones(copied: Path) -> None:
    _rewrite(copied / "config.json", model_type="mllama")
    for load in (
        lambda: load_base(str(copied), CPU, torch.float32),
        lambda: read_model_info(str(copied), ImageBudget()),
    ):
        with pytest.raises(ModelError, match=r"'mllama'.*qwen2_vl, qwen2_5_vl, qwen3_vl"):
            load()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    for load in (
        lambda: load_base(str(tmp_path), CPU, torch.float32),
        lambda: load_tokenizer(str(tmp_path)),
        lambda: image_coder(str(tmp_path), ImageBudget()),
    ):
        with pytest.raises(ModelError, match="Set model"):
            load()


def test_a_checkpoint_that_lacks_weights_is_refused(copied: Path) -> None:
    file = copied / "model.safetensors"
    weights = load_file(file)
    dropped = min(name for name in weights if "q_proj" in name)
    del weights[dropped]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="1 weights are missing"):
        load_base(str(copied), CPU, torch.float32)


def test_a_sliding_window_is_refused(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    if config["model_type"] == "qwen3_vl":
        pytest.skip("the family has no such setting")
    _rewrite(
        copied / "config.json",
        text_config=config["text_config"] | {"use_sliding_window": True, "layer_types": None},
    )
    with pytest.raises(ModelError, match="sliding window"):
        load_base(str(copied), CPU, torch.float32)


def test_a_processor_that_does_something_else_is_refused(copied: Path) -> None:
    _rewrite(copied / "preprocessor_config.json", do_normalize=False, resample=2)
    with pytest.raises(ModelError, match="do_normalize, resample"):
        image_coder(str(copied), ImageBudget())


def test_the_pixel_limits_are_the_job_s(model_path: str) -> None:
    coder = image_coder(model_path, ImageBudget(min_pixels=20_000, max_pixels=40_000))
    assert (coder.min_pixels, coder.max_pixels) == (20_000, 40_000)


def test_a_tokenizer_comes_with_its_chat_template(model_path: str) -> None:
    assert load_tokenizer(model_path).chat_template
