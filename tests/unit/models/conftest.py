"""Tiny models of every family, and a micro-batch of three samples with 0, 1 and 3 images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.config.fusion import FusionConfig
from orchestrator.config.images import ImageBudget
from orchestrator.config.lora import LoraConfig
from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.models.family import FAMILIES, ModelInfo
from orchestrator.models.forward import LossSum, encode_images, summed_loss
from orchestrator.models.fusing import add_fusion, fuse_images
from orchestrator.models.layout import Ints, Layout, Words, lay_out
from orchestrator.models.loading import load_base
from orchestrator.models.lora import add_lora, trained_tensors
from orchestrator.models.processor import read_model_info
from orchestrator.models.qwen import Pixels

BUDGET = ImageBudget(min_pixels=3136, max_pixels=28_000)
PICTURES = ((60, 80), (100, 50), (70, 70), (90, 140))


SMALL = FusionConfig(budget=8, narrow=16, grid=2, heads=2, layers=1)


def stirred(model: Any) -> Any:
    """With a fusion as if it had been trained: no gate and no weight is at its start."""
    add_fusion(model, SMALL, seed=0)
    generator = torch.Generator().manual_seed(5)
    for name, parameter in trained_tensors(model).items():
        if ".image_fusion." in name:
            parameter.data += torch.randn(parameter.shape, generator=generator) * 0.3
    return model


@dataclass(frozen=True)
class Rendered:
    """A micro-batch as the data layer renders it, and the pictures it was rendered from."""

    info: ModelInfo
    ids_L: Ints
    labels_L: Any
    lengths_S: Ints
    images_S: Ints
    pictures: tuple[Pixels, ...]

    @property
    def grids_I3(self) -> Ints:
        grids = [self.info.images.grid(*picture.shape[:2]) for picture in self.pictures]
        return np.array(grids, np.int32).reshape(-1, 3)

    @property
    def grids_I2(self) -> Ints:
        return self.grids_I3[:, 1:] // self.info.images.merge

    @property
    def words(self) -> Words:
        return Words(
            ids_L=self.ids_L,
            labels_L=self.labels_L,
            lengths_S=self.lengths_S,
            images_S=self.images_S,
        )

    @property
    def patches_PD(self) -> Pixels:
        coder = self.info.images
        patches = [coder.patches(picture) for picture in self.pictures]
        return np.concatenate([np.empty((0, 3 * coder.patch**2), np.uint8), *patches])

    def sample(self, number: int) -> "Rendered":
        tokens = slice(*np.cumsum([0, *self.lengths_S])[number : number + 2])
        images = slice(*np.cumsum([0, *self.images_S])[number : number + 2])
        one = slice(number, number + 1)
        return Rendered(
            self.info,
            self.ids_L[tokens],
            self.labels_L[tokens],
            self.lengths_S[one],
            self.images_S[one],
            self.pictures[images],
        )

    def lay_out(self, grids_I2: Ints | None = None) -> Layout:
        return lay_out(self.words, self.grids_I2 if grids_I2 is None else grids_I2, self.info)

    def loss(self, model: Any, chunk_patches: int = 8192, cache: Any = None) -> LossSum:
        coder = self.info.images
        images = encode_images(
            model, self.patches_PD, self.grids_I3, coder, chunk_patches, cache
        )
        images, grids_I2 = fuse_images(model, self.words, images, self.grids_I2)
        return summed_loss(model, self.lay_out(grids_I2), images)


def _render(info: ModelInfo) -> Rendered:
    rng = np.random.default_rng(0)
    sizes = [info.images.target_size(*size) for size in PICTURES]
    # A label stands on the first token of the second sample: nothing predicts it.
    ids_L = np.array([11, 12, 13, 14, 15, -1, 16, 17, 18, 19, -1, 20, -1, 21, 22, -1, 23, 24])
    labels_L = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1], np.bool_)
    return Rendered(
        info,
        ids_L.astype(np.int32),
        labels_L,
        np.array([4, 5, 9]),
        np.array([0, 1, 3]),
        tuple(rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes),
    )


@pytest.fixture(scope="session", params=list(FAMILIES))
def model_path(request: pytest.FixtureRequest, tmp_path_factory: Any) -> str:
    folder = tmp_path_factory.mktemp(request.param)
    write_tiny_model(folder, family=request.param, size="test")
    return str(folder)


@pytest.fixture(scope="session")
def batch(model_path: str) -> Rendered:
    return _render(read_model_info(model_path, BUDGET))


@pytest.fixture(scope="session")
def adapt(model_path: str) -> Callable[..., Any]:
    """A fresh adapted model whose B is not 0, so that all of the adapter takes part."""

    def adapt(dropout: float = 0.0, dtype: torch.dtype = torch.float64, seed: int = 0) -> Any:
        base = load_base(model_path, torch.device("cpu"), dtype)
        model = add_lora(base, LoraConfig(rank=4, alpha=8, dropout=dropout), seed)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in trained_tensors(model).items():
            if ".lora_B." in name:
                parameter.data.normal_(std=0.1, generator=generator)
        return model

    return adapt
