"""Pictures, against the stock processor."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoImageProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from orchestrator.models.forward import normalise
from orchestrator.models.qwen import QwenImages

CODER = QwenImages(
    patch=14,
    merge=2,
    temporal=2,
    min_pixels=3_136,
    max_pixels=1_003_520,
    rescale=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)


@given(height=st.integers(1, 9_000), width=st.integers(1, 9_000))
def test_target_sizes_are_the_stock_ones(height: int, width: int) -> None:
    try:
        stock = smart_resize(height, width, 28, 3_136, 1_003_520)
    except ValueError:
        with pytest.raises(ValueError, match="200 times"):
            CODER.target_size(height, width)
    else:
        assert CODER.target_size(height, width) == stock


@pytest.mark.parametrize(("height", "width"), [(0, 10), (10, 0), (1, 201), (402, 2)])
def test_a_picture_without_a_usable_shape_is_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"a picture of {width} x {height} pixels"):
        CODER.target_size(height, width)


def test_patches_and_pixel_values_are_the_stock_ones_to_the_bit(
    batch: Any, model_path: str
) -> None:
    coder = batch.info.images
    processor = AutoImageProcessor.from_pretrained(
        model_path, backend="pil", min_pixels=coder.min_pixels, max_pixels=coder.max_pixels
    )
    for picture in batch.pictures:
        stock = processor(picture, return_tensors="pt", input_data_format="channels_last")
        patches_PD = coder.patches(picture)
        h, w, _ = picture.shape
        assert coder.grid(h, w) == tuple(stock["image_grid_thw"][0].tolist())
        assert coder.num_patches(h, w) == len(patches_PD)
        assert coder.num_tokens(h, w) * coder.merge**2 == len(patches_PD)
        assert torch.equal(
            normalise(torch.from_numpy(patches_PD), coder), stock["pixel_values"]
        )


def test_a_coder_is_small_when_pickled_and_equal_afterwards() -> None:
    pickled = pickle.dumps(CODER)
    assert len(pickled) < 400
    assert pickle.loads(pickled) == CODER


def test_the_arithmetic_of_pictures_loads_no_torch() -> None:
    program = "import sys, orchestrator.models.qwen; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout == b"False\n"


def test_patches_are_bytes_of_one_moment() -> None:
    patches_PD = CODER.patches(np.zeros((56, 84, 3), np.uint8))
    assert (patches_PD.dtype, patches_PD.shape) == (np.uint8, (24, 3 * 14 * 14))
