"""The learning rate as a pure function of the step."""

import math
from typing import Literal


def learning_rate(
    step: int,
    *,
    num_steps: int,
    peak: float,
    warmup_fraction: float,
    schedule: Literal["cosine", "constant"],
) -> float:
    """Say the learning rate of one step.

    Args:
        step: The step about to be applied, from 0.
        num_steps: Steps in the whole training.
        peak: The rate that the warm-up reaches.
        warmup_fraction: Share of the steps over which the rate grows linearly.
        schedule: What follows the warm-up: a half cosine down to a tenth of the peak, or the
            peak itself.

    Returns:
        The rate; never zero, so that no step is without effect.
    """
    warmup_steps = round(num_steps * warmup_fraction)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if schedule == "constant":
        return peak
    progress = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))
