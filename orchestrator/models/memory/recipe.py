"""How a model is trained, as far as memory and time depend on it."""

from dataclasses import dataclass

from orchestrator.config.job import Job
from orchestrator.config.train import Gate
from orchestrator.fusion.shape import FusionShape

WIDE = 4
"""Bytes of a float32, in which all that trains is computed."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A way to train.

    Args:
        itemsize: Bytes of a number of the frozen base: 4, or 2 for bfloat16.
        on_gpu: The device is a GPU.
        rank: Width of an adapter.
        drops: The adapter has dropout.
        recompute: Layers of the language model are computed twice.
        offload: What they keep waits in host memory.
        unfreeze: What trains beside the adapter.
        fusion: Its shape; None without.
        caches: Features are kept between epochs, so that images pass one at a time.
        members: Workers that share the base.
    """

    itemsize: int = WIDE
    on_gpu: bool = False
    rank: int = 16
    drops: bool = True
    recompute: bool = True
    offload: bool = False
    unfreeze: Gate = "none"
    fusion: FusionShape | None = None
    caches: bool = False
    members: int = 1

    @classmethod
    def of(cls, job: Job, *, width: int, on_gpu: bool) -> "Recipe":
        """What a job asks for.

        Args:
            job: Any job.
            width: Of its language model.
            on_gpu: Whether it trains on GPUs.
        """
        auto = 2 if on_gpu else WIDE
        itemsize = {"auto": auto, "bfloat16": 2, "float32": WIDE}[job.model.dtype]
        return cls(
            itemsize=itemsize,
            on_gpu=on_gpu,
            rank=job.lora.rank,
            drops=job.lora.dropout > 0.0,
            recompute=job.train.recompute,
            # Without a GPU they are in host memory already.
            offload=job.train.offload and on_gpu,
            unfreeze=job.train.unfreeze,
            fusion=FusionShape.from_config(job.fusion, width) if job.fusion else None,
            caches=job.train.cache_features_gib > 0,
            members=job.scale.workers_per_cell,
        )

    @property
    def is_narrow(self) -> bool:
        """The base computes in a narrower format than what trains."""
        return self.itemsize < WIDE

    @property
    def learns_images(self) -> bool:
        """A graph leads into the tower."""
        return self.unfreeze != "none"

    @property
    def noise(self) -> int:
        """Bytes that dropout keeps of a number: its factor, or on a GPU one bit in a byte."""
        if not self.drops:
            return 0
        return 1 if self.on_gpu else WIDE
