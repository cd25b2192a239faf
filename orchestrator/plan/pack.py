"""Pack a step's samples into micro-batches. Who computes them is settled later.

Letters: S samples of one step, K micro-batches of it, open or yet to be opened.
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
    # Stable, so that equal lengths are packed alike on every machine.
    order_S = np.argsort(-tokens_S, kind="stable")
    sizes_S = tokens_S[order_S]
    # No two of these fit together: each opens a micro-batch.
    num_large = int(np.count_nonzero(2 * sizes_S > max_tokens))
    bins = [[place] for place in order_S[:num_large].tolist()]
    # There is always one that is not open yet, and has room.
    room_K = np.full(len(sizes_S), max_tokens, dtype=np.int64)
    room_K[:num_large] -= sizes_S[:num_large]
    rest = zip(order_S[num_large:].tolist(), sizes_S[num_large:].tolist(), strict=True)
    for place, size in rest:
        home = int((room_K[: len(bins) + 1] >= size).argmax())
        if home == len(bins):
            bins.append([])
        bins[home].append(place)
        room_K[home] -= size
    return [sorted(places) for places in bins]
