"""Write what was learned in the formats that other programs read."""

import shutil
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from transformers import AutoModelForImageTextToText

from orchestrator.fusion.saving import FILE as FUSION
from orchestrator.fusion.saving import save_fusion
from orchestrator.models.fusing import fusion_of
from orchestrator.models.lora import quiet_peft
from orchestrator.models.unfreezing import load_unfrozen, save_unfrozen

_PROCESSOR_FILES = (
    "*token*.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
    "*preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
)


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the adapter as stock PEFT reads it, naming the base model; beside it the rest.

    Args:
        model: The adapted model.
        folder: Gets ``adapter_model.safetensors`` and ``adapter_config.json``, and
            ``fusion.safetensors`` where the model has a fusion, ``unfrozen.safetensors`` where
            its vision tower or projector trains.
    """
    # "auto" would ask the hub whether the vocabulary has grown. It never does here.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    fusion = fusion_of(model)
    if fusion is not None:
        save_fusion(fusion, folder)
    save_unfrozen(model, folder)


def save_merged(path: str, adapter: Path, folder: Path, revision: str | None = None) -> None:
    """Write base, unfrozen weights and adapter as one model, with all needed to use it.

    The base is read again, on the CPU and as it was published: the model in training stays as
    it is, and its GPU needs no room for a second.

    Args:
        path: The base: a folder or a hub id.
        adapter: As ``save_adapter`` wrote it.
        folder: Gets weights, config, tokenizer and processor files; and a fusion's file, which
            is no part of a stock model and stays beside it.
        revision: Branch, tag or commit of a hub id.
    """
    base = AutoModelForImageTextToText.from_pretrained(path, revision=revision, dtype="auto")
    load_unfrozen(base, adapter)
    with torch.no_grad(), quiet_peft():
        merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    merged.save_pretrained(str(folder))
    if (adapter / FUSION).exists():
        shutil.copyfile(adapter / FUSION, folder / FUSION)
    for file in _processor_files(path, revision):
        shutil.copyfile(file, folder / file.name)


def _processor_files(path: str, revision: str | None) -> list[Path]:
    source = Path(path)
    if not source.is_dir():
        source = Path(
            snapshot_download(path, revision=revision, allow_patterns=list(_PROCESSOR_FILES))
        )
    return sorted({file for pattern in _PROCESSOR_FILES for file in source.glob(pattern)})
