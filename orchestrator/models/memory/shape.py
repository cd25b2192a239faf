"""How large a model is: what its configuration says, in the same words for every family."""

from dataclasses import dataclass
from math import prod
from typing import Any

from orchestrator.models.family import find_family
from orchestrator.models.processor import read_model_type, unreadable


@dataclass(frozen=True, kw_only=True)
class TextShape:
    """The language model.

    Args:
        width: Of a token.
        layers: How many.
        heads: Of queries.
        key_heads: Of keys and values.
        head_width: Of one head.
        inner: Width inside a layer's perceptron.
        vocabulary: Rows of the embedding and of the head.
        tied: Embedding and head are one matrix.
        normed_heads: Queries and keys are normed, head by head.
        biased: Queries, keys and values have a bias.
    """

    width: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    inner: int
    vocabulary: int
    tied: bool
    normed_heads: bool
    biased: bool

    @property
    def query_width(self) -> int:
        """Of all heads' queries."""
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        """Of all heads' keys, and of their values."""
        return self.key_heads * self.head_width

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of the adapted layers of one block, in the order of use."""
        return (
            (self.width, self.query_width),
            (self.width, self.key_width),
            (self.width, self.key_width),
            (self.query_width, self.width),
            (self.width, self.inner),
            (self.width, self.inner),
            (self.inner, self.width),
        )

    @property
    def layer_weights(self) -> int:
        """Numbers in one block."""
        biases = (self.query_width + 2 * self.key_width) * self.biased
        norms = 2 * self.width + 2 * self.head_width * self.normed_heads
        return sum(map(prod, self.linears)) + biases + norms

    @property
    def weights(self) -> int:
        """Numbers in all of it, its head included."""
        tables = (1 if self.tied else 2) * self.vocabulary * self.width
        return self.layers * self.layer_weights + tables + self.width

    def adapter_weights(self, rank: int) -> int:
        """Numbers in an adapter of all blocks."""
        return self.layers * rank * sum(map(sum, self.linears))


@dataclass(frozen=True, kw_only=True)
class TowerShape:
    """The vision tower with its projectors.

    Args:
        width: Of a patch.
        layers: How many.
        head_width: Of one head.
        inner: Width inside a layer's perceptron.
        gated: The perceptron has a gate, and norms are RMS norms without bias.
        quick: Its activation is made of three operations instead of one.
        windows: Layers that look at a window alone; the others at the whole image.
        window_patches: Most patches of a window.
        pixels: Numbers in a patch, repeated moments included.
        pixel_bytes: Bytes in a patch as it travels.
        patch_bias: Patches are embedded with a bias.
        places: Learned places; 0 where there are none.
        merge: Patches of one token, along one side.
        out: Width of a token.
        projectors: How many; each beyond the first stands behind a layer of its own.
    """

    width: int
    layers: int
    head_width: int
    inner: int
    gated: bool
    quick: bool
    windows: int
    window_patches: int
    pixels: int
    pixel_bytes: int
    patch_bias: bool
    places: int
    merge: int
    out: int
    projectors: int

    @property
    def merged(self) -> int:
        """Width of the patches of a token, side by side."""
        return self.width * self.merge**2

    @property
    def layer_weights(self) -> int:
        """Numbers in one block."""
        attention = 4 * self.width * (self.width + 1)
        wide, inner = self.width, self.inner
        if self.gated:
            return attention + 3 * wide * inner + 2 * inner + wide + 2 * wide
        return attention + 2 * wide * inner + inner + wide + 4 * wide

    @property
    def projector_weights(self) -> int:
        """Numbers in all projectors."""
        each = self.merged * (self.merged + 1) + (self.merged + 1) * self.out
        norm = self.width if self.gated else 2 * self.width
        more = (self.projectors - 1) * (each + 2 * self.merged)
        return each + norm + more

    @property
    def weights(self) -> int:
        """Numbers in all of it."""
        embedding = self.pixels * self.width + self.patch_bias * self.width
        places = self.places * self.width
        return embedding + places + self.layers * self.layer_weights + self.projector_weights


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A whole model.

    Args:
        text: Its language model.
        tower: What sees images.
        context: The longest sequence that it was made for, in tokens.
    """

    text: TextShape
    tower: TowerShape
    context: int

    @property
    def weights(self) -> int:
        """Numbers in all of it."""
        return self.text.weights + self.tower.weights

    @classmethod
    def of(cls, config: Any) -> "ModelShape":  # noqa: ANN401 - transformers ships no types
        """Read a configuration of transformers."""
        text, vision, kind = config.text_config, config.vision_config, config.model_type
        return cls(
            text=_text(config, text, kind),
            tower=_tower(text, vision, kind),
            context=text.max_position_embeddings,
        )


def read_shape(path: str, revision: str | None = None) -> ModelShape:
    """Read a model's ``config.json``, and nothing else.

    Args:
        path: A folder or a hub id.
        revision: Branch, tag or commit of a hub id.

    Raises:
        ModelError: It cannot be read, or is of no family we know.
    """
    # Here: it takes seconds, and most jobs ask for no forecast.
    from transformers import AutoConfig  # noqa: PLC0415

    find_family(read_model_type(path, revision), where=path)
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise unreadable("configuration", path, error) from error
    return ModelShape.of(config)


def _text(config: Any, text: Any, kind: str) -> TextShape:  # noqa: ANN401 - as above
    heads = text.num_attention_heads
    normed = kind == "qwen3_vl"
    return TextShape(
        width=text.hidden_size,
        layers=text.num_hidden_layers,
        heads=heads,
        key_heads=text.num_key_value_heads,
        head_width=getattr(text, "head_dim", None) or text.hidden_size // heads,
        inner=text.intermediate_size,
        vocabulary=text.vocab_size,
        tied=bool(config.tie_word_embeddings),
        normed_heads=normed,
        biased=bool(text.attention_bias) if normed else True,
    )


def _tower(text: Any, vision: Any, kind: str) -> TowerShape:  # noqa: ANN401 - as above
    # Qwen2-VL calls the tower's width embed_dim, and its output's hidden_size.
    old = kind == "qwen2_vl"
    width = vision.embed_dim if old else vision.hidden_size
    window = getattr(vision, "window_size", 0) // vision.patch_size
    whole = len(getattr(vision, "fullatt_block_indexes", ()))
    bytes_ = 3 * vision.patch_size**2
    return TowerShape(
        width=width,
        layers=vision.depth,
        head_width=width // vision.num_heads,
        inner=int(width * vision.mlp_ratio) if old else vision.intermediate_size,
        gated=kind == "qwen2_5_vl",
        quick=vision.hidden_act == "quick_gelu",
        windows=vision.depth - whole if window else 0,
        window_patches=window**2,
        pixels=bytes_ * vision.temporal_patch_size,
        pixel_bytes=bytes_,
        patch_bias=kind == "qwen3_vl",
        places=getattr(vision, "num_position_embeddings", 0),
        merge=vision.spatial_merge_size,
        out=text.hidden_size,
        projectors=1 + len(getattr(vision, "deepstack_visual_indexes", ())),
    )
