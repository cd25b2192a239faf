"""The model families that can be trained, and the little that differs between them.

Letters: L tokens of a row before images take their places, P after; S samples.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.errors import ModelError
from orchestrator.models.qwen import QwenImages

Integers = npt.NDArray[np.int64]
Positions = Callable[[Integers, Integers], Integers]


@dataclass(frozen=True, kw_only=True)
class Family:
    """What the code of one family cannot be asked for.

    Args:
        adapted: Pattern of the linear layers that get an adapter: those of the language model,
            by full name, as names alone (``gate_proj``) occur in a vision tower too.
        language_model: Dotted path from the model to its language model.
        vision_tower: Dotted path from the model to all that sees images.
        projectors: Pattern of the modules, by full name, that turn patches into tokens.
        positions: From the grid of every token, [L, 3] (text is 1 x 1 x 1), and the sample it
            belongs to, [L], to rotary positions [3, P] that restart with each sample. The
            caller puts the text positions before them; no ``mm_token_type_ids`` are needed,
            as those only serve to compute the same positions inside the model.
    """

    adapted: str
    language_model: str
    vision_tower: str
    projectors: str
    positions: Positions


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """What laying out a sequence needs to know of a model. Small when pickled, no torch."""

    model_type: str
    image_token_id: int
    images: QwenImages

    @property
    def family(self) -> Family:
        """The family that ``model_type`` names."""
        return find_family(self.model_type, where=f"model type {self.model_type}")


def rope_positions(grid_L3: Integers, sample_L: Integers) -> Integers:
    """Positions in time, down and across for every token, [3, P].

    Text moves all three on by one. A picture's tokens spread out from where it begins, and what
    follows goes on after its longer side.

    Source: ``get_rope_index`` of qwen2_vl, qwen2_5_vl and qwen3_vl in transformers 5.23, which
    agree for pictures and differ for video (grids of more than one moment).
    """
    num_tokens_L = grid_L3.prod(axis=1)
    advance_L = grid_L3[:, 1:].max(axis=1)
    start_L = advance_L.cumsum() - advance_L
    first_L = np.searchsorted(sample_L, sample_L)
    start_L = start_L - start_L[first_L]
    own_P = np.repeat(np.arange(len(grid_L3)), num_tokens_L)
    before_L = num_tokens_L.cumsum() - num_tokens_L
    inside_P = np.arange(len(own_P)) - before_L[own_P]
    _, h_P, w_P = grid_L3[own_P].T
    spread_3P = np.stack([inside_P // (h_P * w_P), inside_P // w_P % h_P, inside_P % w_P])
    positions_3P: Integers = spread_3P + start_L[own_P]
    return positions_3P


QWEN = Family(
    adapted=r".*\blanguage_model\.layers\.\d+\.(self_attn|mlp)\.[a-z]+_proj",
    language_model="model.language_model",
    vision_tower="model.visual",
    projectors=r"model\.visual\.(merger|deepstack_merger_list\.\d+)",
    positions=rope_positions,
)

FAMILIES = {"qwen2_vl": QWEN, "qwen2_5_vl": QWEN, "qwen3_vl": QWEN}


def find_family(model_type: str, *, where: str) -> Family:
    """The family of a model.

    Args:
        model_type: As ``config.json`` spells it.
        where: The model's folder or hub id, for the error.

    Raises:
        ModelError: We do not know the family.
    """
    if model_type not in FAMILIES:
        raise ModelError(
            f"model type {model_type!r} is of no family we can train",
            where,
            f"Use a model of one of the families {', '.join(FAMILIES)}",
        )
    return FAMILIES[model_type]
