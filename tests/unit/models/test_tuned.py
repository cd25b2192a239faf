"""A tuned model, loaded from its files, and its answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from orchestrator.config.fusion import FusionConfig
from orchestrator.models.export import save_adapter
from orchestrator.models.forward import encode_images
from orchestrator.models.fusing import fuse_images, fusion_of
from orchestrator.models.tuned import answer, load_tuned
from tests.unit.models.conftest import SMALL, Rendered, stirred

Adapt = Callable[..., Any]


@pytest.fixture(params=[None, SMALL], ids=["plain", "fused"])
def tuned(
    request: Any, adapt: Adapt, model_path: str, tmp_path: Path
) -> tuple[Any, FusionConfig | None]:
    model = adapt(dtype=torch.float32)
    if request.param:
        model = stirred(model)
    save_adapter(model, tmp_path)
    cpu = torch.device("cpu")
    return load_tuned(model_path, tmp_path, cpu, torch.float32), request.param


def prompt_of(batch: Rendered, until: int) -> Rendered:
    """A sample up to an answer that is yet to be written."""
    return Rendered(
        batch.info,
        batch.ids_L[:until],
        batch.labels_L[:until],
        np.array([until]),
        np.array([int((batch.ids_L[:until] < 0).sum())]),
        batch.pictures[: int((batch.ids_L[:until] < 0).sum())],
    )


def greedily(model: Any, prompt: Rendered, steps: int) -> list[int]:
    """By the way that training takes, from the beginning for each token."""
    ids: list[int] = []
    for _ in range(steps):
        images = encode_images(model, prompt.patches_PD, prompt.grids_I3, prompt.info.images)
        words = prompt.words
        images, grids_I2 = fuse_images(model, words, images, prompt.grids_I2)
        # The answer so far is a label, as it is in training: fusion does not look at it.
        extended = Rendered(
            prompt.info,
            np.concatenate([prompt.ids_L, ids]).astype(np.int64),
            np.concatenate([prompt.labels_L, [True] * len(ids)]).astype(np.bool_),
            prompt.lengths_S + len(ids),
            prompt.images_S,
            prompt.pictures,
        )
        layout = extended.lay_out(grids_I2)
        with torch.no_grad():
            output = model.get_base_model()(
                input_ids=layout.input_ids,
                position_ids=layout.position_ids,
                mm_encoder_outputs=None if images is None else {"image": images},
                segment_lengths=layout.lengths_S,
            )
        output.logits[0, -1, prompt.info.image_token_id] = -torch.inf
        ids.append(int(output.logits[0, -1].argmax()))
    return ids


@pytest.mark.parametrize(("sample", "until"), [(0, 2), (1, 3), (2, 3), (2, 8)])
def test_it_answers_as_training_would_have_it(
    tuned: Any, batch: Rendered, sample: int, until: int
) -> None:
    model, config = tuned
    assert (fusion_of(model) is not None) == (config is not None)
    prompt = prompt_of(batch.sample(sample), until)
    found = answer(
        model,
        prompt.info,
        prompt.words,
        prompt.patches_PD,
        prompt.grids_I3,
        max_new_tokens=5,
        pad_token_id=0,
    )
    assert 0 < len(found) <= 5
    assert found.tolist() == greedily(model, prompt, len(found))
