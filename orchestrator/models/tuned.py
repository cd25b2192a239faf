"""Use what was learned: load it, and let it answer.

Letters: L tokens and image slots of a prompt; P positions of its row; A tokens of the answer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from orchestrator.fusion.saving import FILE, load_fusion
from orchestrator.models.attention import attend_within_samples
from orchestrator.models.family import ModelInfo
from orchestrator.models.fusing import attach_fusion
from orchestrator.models.layout import IMAGE_SLOT, Ints, Words
from orchestrator.models.loading import load_base
from orchestrator.models.lora import ADAPTER, quiet_peft, set_training
from orchestrator.models.qwen import Pixels
from orchestrator.models.row import make_row
from orchestrator.models.unfreezing import load_unfrozen


def load_tuned(
    path: str,
    adapter: Path,
    device: torch.device,
    dtype: torch.dtype,
    revision: str | None = None,
) -> PeftModel:
    """Load a base model with the adapter, and what lies beside it, that a training wrote.

    Args:
        path: The base: a folder or a hub id.
        adapter: As ``save_adapter`` wrote it.
        device: Where the model shall live.
        dtype: Number format of the base.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: The base, the fusion or the unfrozen weights cannot be read.
    """
    base = load_base(path, device, dtype, revision)
    load_unfrozen(base, adapter)
    with quiet_peft():
        model = PeftModel.from_pretrained(base, str(adapter), adapter_name=ADAPTER)
    if (adapter / FILE).exists():
        attach_fusion(model, load_fusion(adapter))
    set_training(model, active=False)
    return model


@torch.no_grad()
def answer(
    model: PeftModel,
    info: ModelInfo,
    words: Words,
    patches_PD: Pixels,
    grids_I3: Ints,
    **options: Any,  # noqa: ANN401 - transformers' own
) -> Ints:
    """Let a model write the next answer of one conversation.

    It sees the images as they were seen in training: through the same fusion, under the same
    budget.

    Args:
        model: From ``load_tuned``.
        info: How its images are cut, and where they stand.
        words: The prompt, one sample; it ends with text. Earlier answers are its labels.
        patches_PD: Patches of its images.
        grids_I3: Patches of each image in time, down and across.
        options: For ``generate`` of transformers; greedy decoding without any.

    Returns:
        Token ids [A] of the answer.
    """
    # transformers takes what follows an image at the very end for images.
    assert words.ids_L[-1] != IMAGE_SLOT, "the prompt ends with an image"
    row, images = make_row(model, info, words, patches_PD, grids_I3)
    seen: dict[str, Any] = {}
    if images is not None:
        # As if the vision tower had given as much: places in the row follow from the grids.
        sides_I2 = row.grids_I2 * info.images.merge
        thw = torch.tensor([(1, *sides) for sides in sides_I2.tolist()])
        seen = {
            "mm_encoder_outputs": {"image": images},
            "image_grid_thw": thw.to(model.device),
            "mm_token_type_ids": (row.input_ids == info.image_token_id).int(),
        }
    with _attending_to_all(model):
        ids_AP = model.get_base_model().generate(
            input_ids=row.input_ids,
            attention_mask=torch.ones_like(row.input_ids),
            **seen,
            # No answer holds an image, and its token could not be laid out again.
            **{"do_sample": False, "suppress_tokens": [info.image_token_id], **options},
        )
    found: Ints = ids_AP[0, row.input_ids.shape[1] :].cpu().numpy()
    return found


@contextmanager
def _attending_to_all(model: PeftModel) -> Iterator[None]:
    """Stock attention: one conversation is not packed, and keeps what it has computed."""
    base = model.get_base_model()
    base.set_attn_implementation({"text_config": "sdpa"})
    try:
        yield
    finally:
        attend_within_samples(base)
