"""Lay a micro-batch out as one row that the language model reads.

Samples stand one after another without padding; every image slot becomes as many tokens as the
image has. Positions restart with each sample, and attention never looks past its sample's edge.

Letters: L tokens of the micro-batch as rendered, one slot an image; P positions of the row;
S samples; I images; T label tokens.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from orchestrator.models.family import Integers, ModelInfo

IMAGE_SLOT = -1
"""Stands for one whole image in rendered ids."""

Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Words:
    """The text of a rendered micro-batch.

    Args:
        ids_L: Token ids, ``IMAGE_SLOT`` where an image stands.
        labels_L: True on the tokens to be learned; never on an image.
        lengths_S: Tokens of each sample in ``ids_L``. May be empty.
        images_S: Images of each sample.
    """

    ids_L: Ints
    labels_L: Bools
    lengths_S: Ints
    images_S: Ints


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One row of packed samples, ready for the model.

    Args:
        input_ids: int64 [1, P].
        position_ids: int64 [4, 1, P]: position in the sample's text, then time, down, across.
        predicting_T: Position in the row whose output predicts each label token.
        targets_T: The label tokens.
        sample_T: Number of the sample, 0 to S - 1, that each label token belongs to.
        lengths_S: Positions of each sample in the row.
        grids_I2: Tokens of each image down and across.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predicting_T: torch.Tensor
    targets_T: torch.Tensor
    sample_T: torch.Tensor
    lengths_S: tuple[int, ...]
    grids_I2: Ints

    @property
    def label_tokens(self) -> int:
        """Tokens that carry loss."""
        return len(self.targets_T)

    def to(self, device: torch.device) -> "Layout":
        """The same row on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            position_ids=self.position_ids.to(device),
            predicting_T=self.predicting_T.to(device),
            targets_T=self.targets_T.to(device),
            sample_T=self.sample_T.to(device),
        )


def count_label_tokens(labels_L: Bools, lengths_S: Ints) -> int:
    """Tokens that carry loss: each label but a sample's first token, which nothing predicts."""
    firsts = np.cumsum(lengths_S) - lengths_S
    return int(labels_L.sum() - labels_L[firsts].sum())


def lay_out(words: Words, grids_I2: Ints, info: ModelInfo) -> Layout:
    """Lay out a rendered micro-batch; without any sample, the row is empty.

    Args:
        words: Its text, and where its images stand.
        grids_I2: Tokens of each image down and across.
        info: The model's token for images, and its positions.

    Returns:
        The row, on the CPU.
    """
    ids_L, lengths_S = words.ids_L, words.lengths_S
    sample_L = np.repeat(np.arange(len(lengths_S)), lengths_S)
    is_slot_L = ids_L == IMAGE_SLOT
    _check(words, sample_L, info)
    grid_L3 = np.ones((len(ids_L), 3), np.int64)
    grid_L3[is_slot_L, 1:] = grids_I2
    num_tokens_L = grid_L3.prod(axis=1)
    ids_P = np.repeat(np.where(is_slot_L, info.image_token_id, ids_L), num_tokens_L)
    labels_P = np.repeat(words.labels_L, num_tokens_L)
    sample_P = np.repeat(sample_L, num_tokens_L)
    length_S = np.bincount(sample_P, minlength=len(lengths_S))
    first_S = length_S.cumsum() - length_S
    labels_P[first_S] = False
    label_T = np.flatnonzero(labels_P)
    text_P = np.arange(len(ids_P)) - first_S[sample_P]
    positions_4P = np.vstack([text_P, info.family.positions(grid_L3, sample_L)])
    return Layout(
        input_ids=_tensor(ids_P)[None],
        position_ids=_tensor(positions_4P)[:, None],
        predicting_T=_tensor(label_T - 1),
        targets_T=_tensor(ids_P[label_T]),
        sample_T=_tensor(sample_P[label_T]),
        lengths_S=tuple(length_S.tolist()),
        grids_I2=grids_I2,
    )


def _check(words: Words, sample_L: Integers, info: ModelInfo) -> None:
    """A mistake here would train on the wrong image without a word."""
    ids_L, images_S = words.ids_L, words.images_S
    slots_S = np.bincount(sample_L[ids_L == IMAGE_SLOT], minlength=len(images_S))
    assert slots_S.tolist() == images_S.tolist(), f"slots {slots_S}, images {images_S}"
    assert not words.labels_L[ids_L == IMAGE_SLOT].any(), "an image carries a label"
    assert not (ids_L == info.image_token_id).any(), "the image token stands in the text"


def _tensor(array: Ints) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.int64))
