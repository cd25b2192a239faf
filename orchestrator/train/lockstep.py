"""A learner whose base is sharded: it runs every block exactly as often as its fellows do.

Gathering a block is a deed of all members. They compute different micro-batches, with more
pictures or fewer, or have none left: whoever has less to do runs the model on next to nothing
meanwhile, and forgets the result.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.models.forward import (
    count_chunks,
    encode_images,
    predict_correct,
    summed_loss,
)
from orchestrator.models.fusing import embed_nothing
from orchestrator.models.layout import Layout, Words, count_label_tokens, lay_out
from orchestrator.models.lora import set_training, trained_tensors
from orchestrator.train.contracts import Score
from orchestrator.train.halving import naming_shortage
from orchestrator.train.learner import VisionLanguageLearner


@dataclass(frozen=True)
class LockstepLearner:
    """``train.crew.CrewLearner`` over a model that ``models.sharding`` has sharded."""

    learner: VisionLanguageLearner

    def image_passes(self, batch: MicroBatch | None) -> int:
        """How often this micro-batch runs the vision tower."""
        return 0 if batch is None or not _predicts(batch) else count_chunks(batch.grids_I3)

    def backward(self, batch: MicroBatch | None, *, image_passes: int) -> float:
        """As ``train.contracts.Learner.backward``; no ``.grad`` where nothing is predicted.

        Args:
            batch: None to take part with nothing.
            image_passes: What all members of the crew run the vision tower, at least what
                ``image_passes`` said of this micro-batch.
        """
        self._pad_images(image_passes - self.image_passes(batch))
        if batch is not None and _predicts(batch):
            with naming_shortage(batch):
                return self.learner.backward(batch)
        set_training(self.learner.model, active=True)
        embed_nothing(self.learner.model)
        summed_loss(self.learner.model, self._nothing(), None).loss.backward()  # type: ignore[no-untyped-call]
        for parameter in trained_tensors(self.learner.model).values():
            parameter.grad = None
        return 0.0

    def score(self, batch: MicroBatch | None, *, image_passes: int) -> Score:
        """As ``train.contracts.Learner.score``; arguments as in ``backward``."""
        self._pad_images(image_passes - self.image_passes(batch))
        if batch is not None and _predicts(batch):
            with naming_shortage(batch):
                return self.learner.score(batch)
        embed_nothing(self.learner.model)
        predict_correct(self.learner.model, self._nothing(), None)
        return Score(0.0, 0, 0 if batch is None else len(batch.samples), 0)

    def _pad_images(self, passes: int) -> None:
        coder = self.learner.info.images
        grids_I3 = np.array([[1, coder.merge, coder.merge]])
        patches_PD = np.zeros((coder.merge**2, 3 * coder.patch**2), np.uint8)
        for _ in range(passes):
            encode_images(self.learner.model, patches_PD, grids_I3, coder)

    def _nothing(self) -> Layout:
        """The shortest row that goes through the whole model, forwards and backwards."""
        words = Words(
            ids_L=np.zeros(2, np.int32),
            labels_L=np.array([False, True]),
            lengths_S=np.array([2]),
            images_S=np.array([0]),
        )
        row = lay_out(words, np.zeros((0, 2), np.int32), self.learner.info)
        return row.to(self.learner.device)


def _predicts(batch: MicroBatch) -> bool:
    """Whether the model is run at all: without a label it is not."""
    return bool(batch.samples) and count_label_tokens(batch.labels_L, batch.lengths_S) > 0
