"""The ``videos`` section: what is taken from a video."""

from typing import Literal

from pydantic import PositiveInt

from orchestrator.config.section import Section


class VideoBudget(Section):
    """A video is a few of its frames, in order, each an image to the model."""

    frames: PositiveInt = 8
    """Frames of one video; a shorter one gives what it has."""

    select: Literal["even", "key"] = "even"
    """Which frames: evenly spaced in time, or key frames (quicker to decode), evenly chosen."""

    max_pixels: PositiveInt = 200_704
    """Area of one frame after resizing, in pixels (256 patches of 28 x 28)."""
