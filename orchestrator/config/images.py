"""The ``images`` section: what images may cost."""

from typing import Self

from pydantic import PositiveInt, model_validator

from orchestrator.config.section import Section


class ImageBudget(Section):
    """The most that images may cost in one conversation."""

    max_images: PositiveInt = 8
    """Images per sample. A group with more is quarantined, never cut in silence."""

    max_pixels: PositiveInt = 1_003_520
    """Area of one image after resizing, in pixels (1280 patches of 28 x 28)."""

    min_pixels: PositiveInt = 3_136
    """Area that a smaller image is enlarged to, in pixels (4 patches of 28 x 28)."""

    @model_validator(mode="after")
    def _least_is_below_most(self) -> Self:
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"min_pixels ({self.min_pixels}) is above max_pixels ({self.max_pixels})"
            )
        return self
