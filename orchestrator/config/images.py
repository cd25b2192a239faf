"""The ``images`` section: what images may cost."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from orchestrator.config.section import Section


class ImageBudget(Section):
    """The most that images may cost in one conversation."""

    max_images: PositiveInt = 8
    """Images per sample; ``select`` says what becomes of a group with more."""

    select: Literal["refuse", "even", "first", "diverse"] = "refuse"
    """Of a group with more than max_images: refuse sets the sample aside; even keeps evenly
    spaced ones, first the first, diverse those that differ most. Text marks go with them."""

    max_pixels: PositiveInt = 1_003_520
    """Area of one image after resizing, in pixels (1280 patches of 28 x 28)."""

    min_pixels: PositiveInt = 3_136
    """Area that a smaller image is enlarged to, in pixels (4 patches of 28 x 28)."""

    max_source_pixels: PositiveInt = 200_000_000
    """Area that a file may claim in its header, in pixels; a larger one is not decoded."""

    background: Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")] = "#ffffff"
    """Colour behind transparent images, as #rrggbb."""

    exact_pixels: bool = False
    """Decode at full size and resize as the model's own processor does. Slower by half to two
    thirds; without it, pixels differ by less than JPEG itself loses."""

    pre_resized: bool = False
    """Write every image once at the job's size, beside the index, and train from those copies
    (JPEG, quality 95): far faster from the second look on, at the price of their disk space."""

    @model_validator(mode="after")
    def _least_is_below_most(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"min_pixels ({self.min_pixels}) is above max_pixels ({self.max_pixels})"
            )
        return self

    @model_validator(mode="after")
    def _copies_are_not_exact(self) -> Self:
        if self.pre_resized and self.exact_pixels:
            raise ValueError(
                "pre_resized copies are JPEG, and exact_pixels wants none of its loss"
            )
        return self
