"""A tokenizer, an image coder of the simplest kind, and pictures on disk."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from orchestrator.config.images import ImageBudget
from orchestrator.config.videos import VideoBudget
from orchestrator.data.chat import ChatEncoder
from orchestrator.data.measure import MeasureSettings
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.places.places import Places
from orchestrator.data.render import Renderer
from orchestrator.data.sources.record import Record
from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.storage import Store

Pixels = npt.NDArray[np.uint8]
WriteImage = Callable[..., str]
MakeRecord = Callable[..., Record]


@dataclass(frozen=True)
class SquareCoder:
    """Squares of 8 pixels, four to a token; pictures are reduced to ``longest`` pixels."""

    longest: int = 64

    def target_size(self, height: int, width: int, /) -> tuple[int, int]:
        if max(height, width) > 100 * min(height, width):
            raise ValueError(f"a picture of {width} x {height} pixels is too long")
        scale = min(1.0, self.longest / max(height, width))
        h, w = (max(1, round(side * scale / 16)) * 16 for side in (height, width))
        return h, w

    def grid(self, h: int, w: int, /) -> tuple[int, int, int]:
        return 1, h // 8, w // 8

    def num_patches(self, h: int, w: int, /) -> int:
        return h // 8 * (w // 8)

    def num_tokens(self, h: int, w: int, /) -> int:
        return self.num_patches(h, w) // 4

    def patches(self, pixels_HWC: Pixels, /) -> Pixels:
        h, w, _ = pixels_HWC.shape
        cells = pixels_HWC.reshape(h // 8, 8, w // 8, 8, 3).swapaxes(1, 2)
        return np.ascontiguousarray(cells).reshape(-1, 192)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415 - 3 s that other tests need not spend

    folder = tmp_path_factory.mktemp("model")
    write_tiny_model(folder, size="test")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="session")
def chat(tokenizer: Any) -> ChatEncoder:
    return ChatEncoder(tokenizer)


@pytest.fixture
def coder() -> SquareCoder:
    return SquareCoder()


@pytest.fixture
def settings(tmp_path: Path, coder: SquareCoder, chat: ChatEncoder) -> MeasureSettings:
    """Limits for pictures in ``tmp_path``."""
    return MeasureSettings(
        places=Places(str(tmp_path)),
        kinds=media_kinds(ImageBudget(), VideoBudget()),
        coder=coder,
        chat=chat,
        max_images=4,
        select="refuse",
        max_source_pixels=ImageBudget().max_source_pixels,
        micro_tokens=512,
        blobs=Store.open(str(tmp_path / "blobs")),
    )


@pytest.fixture
def renderer(coder: SquareCoder) -> Renderer:
    return Renderer(coder, media_kinds(ImageBudget(), VideoBudget()))


@pytest.fixture
def write_image(tmp_path: Path) -> WriteImage:
    """Write a smooth picture of some colour and size into ``tmp_path``; give its name."""

    def write(name: str, width: int = 40, height: int = 30, **save: Any) -> str:
        ramp_HW = np.add.outer(np.arange(height), np.arange(width)) * 255 // (height + width)
        hue = sum(name.encode()) % 256
        pixels_HWC = np.stack([ramp_HW, 255 - ramp_HW, np.full_like(ramp_HW, hue)], axis=-1)
        Image.fromarray(pixels_HWC.astype(np.uint8)).save(tmp_path / name, **save)
        return name

    return write


@pytest.fixture
def record() -> MakeRecord:
    """Make a row of a question over some images, and its answer."""

    def make(
        images: Iterable[str] = (), ask: str = "Which?", row: int = 1, **more: Any
    ) -> Record:
        turns = [{"from": "human", "value": ask}, {"from": "gpt", "value": "The first."}]
        return Record(row, {"images": list(images), "conversations": turns, **more})

    return make
