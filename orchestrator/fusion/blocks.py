"""Which images and words an answer may be told of: a conversation cut at its answers.

Letters: L text tokens and image slots of a sample; N images of it; T text tokens that are read.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orchestrator.plan.order import Integers


@dataclass(frozen=True)
class Blocks:
    """A conversation's images and text, by the answer that they come before.

    Args:
        image_N: Block of each image, ascending from 0, the images before the first answer.
        is_read_L: Text that fusion may look at: no images and no answers.
        text_T: The block of each such token.
    """

    image_N: Integers
    is_read_L: npt.NDArray[np.bool_]
    text_T: Integers


def cut_at_answers(
    is_image_L: npt.NDArray[np.bool_], is_label_L: npt.NDArray[np.bool_]
) -> Blocks:
    """Cut one sample.

    Args:
        is_image_L: Places of images.
        is_label_L: Tokens of answers.
    """
    begins_L = is_label_L & ~np.concatenate([[False], is_label_L[:-1]])
    block_L = np.cumsum(begins_L)
    is_read_L = ~is_image_L & ~is_label_L
    return Blocks(block_L[is_image_L], is_read_L, block_L[is_read_L])
