"""Exports, read back by stock libraries alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from orchestrator.models.export import save_adapter, save_merged
from orchestrator.models.forward import encode_images
from orchestrator.models.lora import quiet_peft

Adapt = Callable[..., Any]


def _ours(model: Any, one: Any) -> torch.Tensor:
    layout = one.lay_out()
    images = encode_images(model, one.patches_PD, one.grids_I3, one.info.images)
    with torch.no_grad():
        output = model.get_base_model()(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            mm_encoder_outputs={"image": images},
            segment_lengths=layout.lengths_S,
        )
    logits: torch.Tensor = output.logits
    return logits


def _stock(model: Any, one: Any, model_path: str) -> torch.Tensor:
    coder = one.info.images
    processor = AutoImageProcessor.from_pretrained(
        model_path, backend="pil", min_pixels=coder.min_pixels, max_pixels=coder.max_pixels
    )
    input_ids = one.lay_out().input_ids
    pictures = list(one.pictures)
    inputs = processor(pictures, return_tensors="pt", input_data_format="channels_last")
    with torch.no_grad():
        output = model.eval()(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            mm_token_type_ids=(input_ids == one.info.image_token_id).int(),
            **inputs,
        )
    logits: torch.Tensor = output.logits
    return logits


def test_stock_peft_gives_the_same_logits_from_the_saved_adapter(
    adapt: Adapt, batch: Any, model_path: str, tmp_path: Path
) -> None:
    model = adapt(dtype=torch.float32)
    save_adapter(model, tmp_path)
    base = AutoModelForImageTextToText.from_pretrained(model_path, dtype=torch.float32)
    with quiet_peft():
        stock = PeftModel.from_pretrained(base, str(tmp_path))
    assert stock.peft_config["default"].base_model_name_or_path == model_path
    one = batch.sample(2)
    expected = _ours(model, one)
    assert float((_stock(stock, one, model_path) - expected).abs().max()) < 1e-6
    with stock.disable_adapter():
        assert float((_stock(stock, one, model_path) - expected).abs().max()) > 1e-2


def test_the_merged_model_gives_the_same_logits_and_can_be_used_by_itself(
    adapt: Adapt, batch: Any, model_path: str, tmp_path: Path
) -> None:
    model = adapt(dtype=torch.float32)
    save_adapter(model, tmp_path / "adapter")
    save_merged(model_path, tmp_path / "adapter", tmp_path / "merged")
    folder = str(tmp_path / "merged")
    stock = AutoModelForImageTextToText.from_pretrained(folder)
    one = batch.sample(2)
    difference = (_stock(stock, one, folder) - _ours(model, one)).abs().max()
    assert float(difference) < 1e-4
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert AutoImageProcessor.from_pretrained(folder, backend="pil").patch_size > 0
