"""The tiny models load and run by stock means."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from orchestrator.demo.tiny_model import SPECIAL_TOKENS, write_tiny_model
from orchestrator.errors import ModelError

FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tiny_model_answers_about_two_pictures(tmp_path: Path, family: str) -> None:
    write_tiny_model(tmp_path, family=family, size="test")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path)
    pictures = [Image.new("RGB", (90, 60), "red"), Image.new("RGB", (60, 120), "blue")]
    images = processor(pictures, return_tensors="pt")
    text = tokenizer.apply_chat_template(
        [
            {
                "role": "user",
                "content": [{"type": "image"}] * 2 + [{"type": "text", "text": "?"}],
            }
        ],
        tokenize=False,
        add_generation_prompt=True,
    )
    tokens = [int(grid.prod()) // 4 for grid in images["image_grid_thw"]]
    head, middle, tail = text.split("<|image_pad|>")
    pads = ["<|image_pad|>" * count for count in tokens]
    ids = tokenizer(head + pads[0] + middle + pads[1] + tail, return_tensors="pt")["input_ids"]
    is_image = (ids == model.config.image_token_id).int()
    with torch.no_grad():
        logits = model(input_ids=ids, mm_token_type_ids=is_image, **images).logits
    assert model.config.model_type == family
    assert logits.shape[:2] == ids.shape
    assert np.isfinite(logits.numpy()).all()


def test_any_text_survives_the_tokenizer(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, size="test")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "Which image? \u54ea\u4e00\u5f20 \u56fe\uff1f caf\u00e9 \U0001f600\n\n  2 + 2"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_words_of_the_demo_are_whole_tokens(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, size="test")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    for words in ("What colour is image", "purple", "Image", "none", "nothing", "yellow"):
        assert len(tokenizer(words)["input_ids"]) == len(words.split())


def test_every_special_token_is_one_token(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, size="test")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert all(len(tokenizer(token)["input_ids"]) == 1 for token in SPECIAL_TOKENS)
    assert tokenizer.eos_token == "<|im_end|>"


def test_equal_seeds_write_equal_weights(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        write_tiny_model(tmp_path / name, seed=seed, size="test")
        return hashlib.sha256((tmp_path / name / "model.safetensors").read_bytes()).hexdigest()

    assert digest("a", 1) == digest("b", 1) != digest("c", 2)


def test_an_unknown_family_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gpt2"):
        write_tiny_model(tmp_path, family="gpt2")
