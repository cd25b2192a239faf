"""The ``model`` section: which base model is tuned."""

from typing import Literal

from pydantic import Field

from orchestrator.config.section import Section


class ModelConfig(Section):
    """The base model, which stays frozen."""

    path: str = Field(min_length=1)
    """A folder with a model in it, or a hub id such as Qwen/Qwen2.5-VL-7B-Instruct."""

    revision: str | None = None
    """Branch, tag or commit of a hub id. A commit stays what it is when the hub moves on."""

    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Format of the frozen weights: auto means bfloat16 on a GPU and float32 on a CPU."""
