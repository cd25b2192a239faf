"""The ``fusion`` section: what many images become before the language model reads them."""

from typing import Self

from pydantic import PositiveInt, model_validator

from orchestrator.config.section import Section


class FusionConfig(Section):
    """Images of a conversation share a token budget and look at each other and the question."""

    budget: PositiveInt | None = None
    """Language-model tokens that the images before an answer get together, however many they
    are; null leaves every image whole."""

    floor: PositiveInt = 1
    """Tokens that every image keeps, whatever the others need."""

    latents: bool = True
    """Let images look at each other and at the question, and learn what is added to their
    tokens; false only pools them to the budget, and learns nothing."""

    spatial: bool = True
    """All latents of all images attend to each other."""

    positions: bool = True
    """Each place of an image attends to the same place of the others: finds differences."""

    text: bool = True
    """Latents attend to the question, never to an answer."""

    weights: bool = True
    """Learn what counts: tokens pooled from an image are made of more of it, and an image that
    counts more gets more of the budget, and more is added to it."""

    narrow: PositiveInt = 128
    """Width inside, in channels: more can learn more, and costs memory and time."""

    grid: PositiveInt = 4
    """Latents of an image down, and across."""

    heads: PositiveInt = 4
    """Heads of each attention; they share out the width."""

    layers: PositiveInt = 2
    """How often latents look around."""

    @model_validator(mode="after")
    def _width_can_be_shared_out(self) -> Self:
        if self.narrow % self.heads:
            raise ValueError(
                f"narrow ({self.narrow}) has to be a multiple of heads ({self.heads})"
            )
        # Places are sines and cosines of down, across, and twice as many of the order.
        if self.narrow % 8:
            raise ValueError(f"narrow ({self.narrow}) has to be a multiple of 8")
        return self

    def refuse_many(self, max_images: int) -> None:
        """Check that the budget has room for so many images.

        Raises:
            ValueError: Their floors alone are above it.
        """
        if self.budget is not None and self.budget < max_images * self.floor:
            raise ValueError(
                f"budget ({self.budget}) has no room for images.max_images ({max_images}) "
                f"with floor ({self.floor}) tokens each"
            )
