"""The picture arithmetic that an index was measured with, kept beside it.

To read it from the model takes the libraries of models: seconds, which every driver that takes
the place of another one would spend again.
"""

import json
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from orchestrator.cluster.tasks import IndexSpec
from orchestrator.errors import StorageError
from orchestrator.models.qwen import QwenImages
from orchestrator.storage import Store

CODER: Final = "coder.json"


def coder_of(spec: IndexSpec, folder: Path) -> QwenImages:
    """An index's arithmetic: as it was found when the index was first used.

    Held against the model's own processor again when that one is of another release.

    Args:
        spec: What the index was made with.
        folder: The index's.

    Raises:
        ModelError: The model's tokenizer or processor cannot be used.
    """
    kept, release = folder / CODER, version("transformers")
    if kept.exists():
        found = json.loads(kept.read_bytes())
        if found["transformers"] == release:
            lists = {name: tuple(found["coder"][name]) for name in ("mean", "std")}
            return QwenImages(**{**found["coder"], **lists})
    coder = spec.settings().coder
    assert isinstance(coder, QwenImages), f"{type(coder).__name__} is not kept"
    told = {"transformers": release, "coder": asdict(coder)}
    with suppress(StorageError):
        # Where it cannot be kept, it is read again.
        Store.open(str(folder)).write(CODER, (json.dumps(told, indent=1) + "\n").encode())
    return coder
