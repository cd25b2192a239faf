"""Load the base model, frozen, and its tokenizer."""

from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from orchestrator.errors import ModelError
from orchestrator.models.attention import attend_within_samples
from orchestrator.models.family import find_family
from orchestrator.models.processor import read_model_type, unreadable


def load_base(
    path: str, device: torch.device, dtype: torch.dtype, revision: str | None = None
) -> PreTrainedModel:
    """The base model: every weight frozen, dropout off, attention inside packed samples.

    Args:
        path: A folder or a hub id.
        device: Where it shall live.
        dtype: Number format of its weights.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be read, lacks weights, or is of no family we know.
    """
    find_family(read_model_type(path, revision), where=path)
    model, report = _load(path, dtype, revision)
    if missing := sorted(report["missing_keys"]):
        # Left alone, they would be drawn at random: another model on every machine.
        raise ModelError(
            f"{len(missing)} weights are missing, {missing[0]} first",
            path,
            "Fetch the model's files again",
        )
    return _freeze(model, path).to(device)


def outline_base(path: str, dtype: torch.dtype, revision: str | None = None) -> PreTrainedModel:
    """As ``load_base``, but with no weights and no memory for them: all on the device "meta".

    Args:
        path: A folder or a hub id.
        dtype: Number format of its weights.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be read, or is of no family we know.
    """
    find_family(read_model_type(path, revision), where=path)
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(
                config, dtype=dtype, attn_implementation="sdpa", trust_remote_code=False
            )
    except (OSError, ValueError) as error:
        raise unreadable("configuration", path, error) from error
    return _freeze(model, path)


def _freeze(model: PreTrainedModel, path: str) -> PreTrainedModel:
    if getattr(model.config.text_config, "use_sliding_window", False):
        raise ModelError(
            "its language model attends through a sliding window, which packing does not know",
            f"{path}/config.json",
            "Set use_sliding_window to false, as the published Qwen models have it",
        )
    attend_within_samples(model)
    model.requires_grad_(requires_grad=False)
    return model.eval()


def load_tokenizer(path: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The model's own tokenizer, with its chat template.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise unreadable("tokenizer", path, error) from error


def _load(
    path: str, dtype: torch.dtype, revision: str | None
) -> tuple[PreTrainedModel, dict[str, Any]]:
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            path,
            revision=revision,
            dtype=dtype,
            attn_implementation="sdpa",
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError) as error:
        raise unreadable("weights", path, error) from error
    return model, report
