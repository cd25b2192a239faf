"""Pack a step's samples into micro-batches. Who computes them is settled later.

Letters: S samples of one step.
"""

import numpy as np

from orchestrator.errors import PlanError
from orchestrator.plan.order import Integers


def pack_samples(tokens_S: Integers, *, max_tokens: int) -> list[list[int]]:
    """Share a step's samples out among as few micro-batches as a budget allows.

    Args:
        tokens_S: Length of each sample in the language model, in tokens.
        max_tokens: The most tokens that one micro-batch may hold.

    Returns:
        One list of places in ``tokens_S`` a micro-batch, ascending inside each.

    Raises:
        PlanError: A sample alone is over the budget.

    Source: first fit decreasing, Johnson 1973: at most 11/9 of the fewest, and two thirds.
    """
    if tokens_S.size and tokens_S.max() > max_tokens:
        raise PlanError(
            f"a sample of {tokens_S.max()} tokens in a micro-batch of {max_tokens}",
            "train.micro_tokens",
            f"Set it to at least {tokens_S.max()}",
        )
    bins: list[list[int]] = []
    room: list[int] = []
    # Stable, so that equal lengths are packed alike on every machine.
    for place in np.argsort(-tokens_S, kind="stable"):
        size = int(tokens_S[place])
        home = next((number for number, left in enumerate(room) if left >= size), len(bins))
        if home == len(bins):
            bins.append([])
            room.append(max_tokens)
        bins[home].append(int(place))
        room[home] -= size
    return [sorted(places) for places in bins]
