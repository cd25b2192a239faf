"""How large a fusion is, and which of its parts it has."""

from dataclasses import dataclass

from orchestrator.config.fusion import FusionConfig

AT_ONCE = 2048
"""Tokens of a block's images that go through a part of a fusion together, if one image has no
more."""


@dataclass(frozen=True, kw_only=True)
class FusionShape:
    """All that a fusion's parameters follow from, but for their values.

    Args:
        width: Width of the language model.
        budget: Tokens that the images of one block get together; None leaves all images whole.
        narrow: Width inside. A multiple of 8 and of ``heads``.
        grid: An image's latents stand on a ``grid`` x ``grid`` grid.
        heads: Heads of each attention.
        layers: How often latents look around.
        floor: Tokens that every image keeps.
        spatial: All latents attend to each other.
        positions: A place of one image attends to the same place of the others.
        text: Latents attend to the prompt.
        weights: Images, and the tokens in them, are weighted by what they hold and what is
            asked.
        latents: Without them the images are pooled, and there are no parameters at all.
    """

    width: int
    budget: int | None
    narrow: int = 128
    grid: int = 4
    heads: int = 4
    layers: int = 2
    floor: int = 1
    spatial: bool = True
    positions: bool = True
    text: bool = True
    weights: bool = True
    latents: bool = True

    @classmethod
    def from_config(cls, config: FusionConfig, width: int) -> "FusionShape":
        """The shape that a job asks for, beside a language model of ``width``."""
        return cls(width=width, **config.model_dump())
