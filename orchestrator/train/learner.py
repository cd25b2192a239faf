"""The model as the loop sees it: gradients and scores of one micro-batch."""

from dataclasses import dataclass

import torch
from peft import PeftModel
from torch.distributed.device_mesh import DeviceMesh
from transformers.utils import ModelOutput

from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.models.determinism import naming_nondeterminism
from orchestrator.models.device import make_deterministic, resolve_dtype, seed_micro_batch
from orchestrator.models.family import ModelInfo
from orchestrator.models.features import GIB, FeatureCache
from orchestrator.models.forward import predict_correct, summed_loss
from orchestrator.models.fusing import add_fusion
from orchestrator.models.layout import Layout, Words
from orchestrator.models.loading import load_base, outline_base
from orchestrator.models.lora import add_lora, recompute_activations, set_training
from orchestrator.models.processor import read_model_info
from orchestrator.models.row import make_row
from orchestrator.models.sharding import LOADER, shard_base
from orchestrator.models.unfreezing import unfreeze
from orchestrator.train.contracts import Score


@dataclass(frozen=True)
class VisionLanguageLearner:
    """An adapted vision-language model: ``train.contracts.Learner``."""

    model: PeftModel
    info: ModelInfo
    device: torch.device
    seed: int
    cache: FeatureCache | None = None

    @classmethod
    def load(
        cls, job: Job, device: torch.device, mesh: DeviceMesh | None = None
    ) -> "VisionLanguageLearner":
        """Load the job's base model and put the job's adapter on it.

        Args:
            job: What to load.
            device: Where it shall live.
            mesh: The crew over which the base is sharded, of which one member alone reads it;
                None where this process holds all of it.

        Raises:
            ModelError: The model cannot be read, or is of no family we know.
        """
        make_deterministic(job.scale.cpus_per_worker)
        info = read_model_info(job.model.path, job.images, job.model.revision)
        dtype = resolve_dtype(job.model.dtype, device)
        path, revision = job.model.path, job.model.revision
        if mesh is None:
            base = load_base(path, device, dtype, revision)
        elif mesh.get_local_rank() == LOADER:
            # On the CPU: a GPU that can hold all of it needs no crew.
            base = load_base(path, torch.device("cpu"), dtype, revision)
        else:
            base = outline_base(path, dtype, revision)
        model = add_lora(base, job.lora, job.train.seed)
        unfreeze(model, job.train.unfreeze)
        if job.fusion is not None:
            add_fusion(model, job.fusion, job.train.seed)
        if mesh is not None:
            shard_base(model, mesh)
        if job.train.recompute:
            recompute_activations(model, offload=job.train.offload)
        room_bytes = int(job.train.cache_features_gib * GIB)
        cache = FeatureCache(room_bytes, device) if room_bytes else None
        return cls(model, info, device, job.train.seed, cache)

    @naming_nondeterminism()
    def backward(self, batch: MicroBatch) -> float:
        """Leave the gradient of the summed loss in ``.grad``.

        A pure function of the trained tensors, the micro-batch and its address, from which
        dropout is drawn.

        Raises:
            JobError: The model uses an operation that has no deterministic kernel here.
        """
        seed_micro_batch(self.seed, *batch.address, fraction=batch.fraction)
        set_training(self.model, active=True)
        summed = summed_loss(self.model, *self._row(batch))
        summed.loss.backward()  # type: ignore[no-untyped-call]
        return float(summed.loss.detach())

    @naming_nondeterminism()
    def score(self, batch: MicroBatch) -> Score:
        """Score a micro-batch of held-out samples, without dropout."""
        with torch.no_grad():
            row = self._row(batch)
        found = predict_correct(self.model, *row)
        return Score(
            loss=float(found.loss),
            label_tokens=found.label_tokens,
            samples=len(found.correct_S),
            correct=int(found.correct_S.sum()),
        )

    def _row(self, batch: MicroBatch) -> tuple[Layout, ModelOutput | None]:
        """The row that the language model reads, and what stands in it for its images."""
        words = Words(
            ids_L=batch.ids_L,
            labels_L=batch.labels_L,
            lengths_S=batch.lengths_S,
            images_S=batch.images_S,
        )
        patches_PD, grids_I3 = batch.patches_PD, batch.grids_I3
        return make_row(self.model, self.info, words, patches_PD, grids_I3, self.cache)
