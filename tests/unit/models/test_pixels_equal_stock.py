"""From a file to ``pixel_values``, the whole way, against the stock processors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from transformers import AutoImageProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from orchestrator.config.images import ImageBudget
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.models.forward import normalise
from orchestrator.models.processor import image_coder
from orchestrator.models.qwen import QwenImages

EXACT = ImageMedium(max_source_pixels=10**8, background="#ffffff", exact_pixels=True)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def processor(model_path: str) -> Any:
    return AutoImageProcessor.from_pretrained(model_path, backend="pil")


@pytest.fixture(scope="module")
def coder(processor: Any, model_path: str) -> QwenImages:
    limits = ImageBudget(
        min_pixels=processor.size["shortest_edge"], max_pixels=processor.size["longest_edge"]
    )
    return image_coder(model_path, limits)


def picture(mode: str, width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


def pixel_values(path: Path, coder: QwenImages) -> tuple[torch.Tensor, tuple[int, int, int]]:
    content = Content(path.name, Location(str(path)))
    targets = EXACT.cost(EXACT.probe(content), coder)
    (pixels_HWC,) = EXACT.load(content, targets)
    return normalise(torch.from_numpy(coder.patches(pixels_HWC)), coder), coder.grid(
        *targets[0]
    )


@pytest.mark.parametrize(
    "file",
    [
        ("a.jpg", "RGB", (301, 203)),
        ("a.jpg", "RGB", (1201, 1003)),
        ("a.jpg", "L", (640, 41)),
        ("a.jpg", "CMYK", (97, 203)),
        ("a.png", "RGB", (60, 300)),
        ("a.png", "P", (150, 90)),
        ("a.png", "1", (33, 77)),
        ("a.webp", "RGB", (203, 97)),
        ("a.gif", "P", (64, 48)),
        ("a.tif", "RGB", (51, 49)),
        ("a.png", "RGB", (1, 1)),
        ("a.png", "RGB", (3, 600)),
    ],
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_file_gives_the_stock_pixel_values_of_what_it_decodes_to(
    tmp_path: Path,
    processor: Any,
    coder: QwenImages,
    file: tuple[str, str, tuple[int, int]],
    orientation: int,
) -> None:
    name, mode, size = file
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    picture(mode, *size).save(path, exif=exif)
    with Image.open(path) as image:
        # What a processor is to be handed: it would not turn a picture itself.
        decoded = ImageOps.exif_transpose(image).convert("RGB")
    stock = processor(decoded, return_tensors="pt")
    values, grid = pixel_values(path, coder)
    assert grid == tuple(stock["image_grid_thw"][0].tolist())
    assert torch.allclose(values, stock["pixel_values"], rtol=0, atol=TOLERANCE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 12_000),
    width=st.integers(1, 12_000),
    max_tokens=st.integers(4, 16_384),
    min_tokens=st.integers(1, 4),
)
def test_target_sizes_are_the_stock_ones_under_any_limit(
    coder: QwenImages, height: int, width: int, max_tokens: int, min_tokens: int
) -> None:
    limits = {
        "min_pixels": min_tokens * coder.factor**2,
        # Limits need not be whole numbers of tokens.
        "max_pixels": max_tokens * coder.factor**2 + max_tokens % 7,
    }
    limited = QwenImages(**{**settings_of(coder), **limits})
    try:
        stock = smart_resize(height, width, coder.factor, **limits)
    except ValueError:
        with pytest.raises(ValueError, match="200 times"):
            limited.target_size(height, width)
    else:
        assert limited.target_size(height, width) == stock


@settings(max_examples=25)
@given(
    height=st.integers(1, 400), width=st.integers(1, 400), max_pixels=st.integers(4_000, 90_000)
)
def test_grids_are_those_of_a_stock_processor_under_the_same_limit(
    processor: Any, coder: QwenImages, height: int, width: int, max_pixels: int
) -> None:
    limits = {"min_pixels": 3_136, "max_pixels": max_pixels}
    stock = type(processor)(
        patch_size=coder.patch,
        merge_size=coder.merge,
        temporal_patch_size=coder.temporal,
        **limits,
    )
    limited = QwenImages(**{**settings_of(coder), **limits})
    if max(height, width) / min(height, width) > 200:
        return
    given_pixels = np.zeros((height, width, 3), np.uint8)
    grid = stock(given_pixels, return_tensors="pt", input_data_format="channels_last")
    expected = tuple(grid["image_grid_thw"][0].tolist())
    assert limited.grid(*limited.target_size(height, width)) == expected


def settings_of(coder: QwenImages) -> dict[str, Any]:
    return {name: getattr(coder, name) for name in coder.__dataclass_fields__}
