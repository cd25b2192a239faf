"""The ``scale`` section: how many machines, of what kind. It may change between resumes."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from orchestrator.config.prices import PriceConfig
from orchestrator.config.section import Section

# One type rather than a bare tuple, so that editors read what the two numbers are.
WorkerRange = Annotated[tuple[PositiveInt, PositiveInt], Field(examples=[[1, 3]])]


class ScaleConfig(Section):
    """How many workers train. It decides how fast, never what is learned."""

    workers: WorkerRange = (1, 1)
    """The least and the most workers: training runs whenever the least are there."""

    workers_per_cell: PositiveInt = 1
    """Workers that share one copy of the frozen base, each holding a part of it: for a base
    that one GPU cannot hold. They live and die together. Weights do not depend on it."""

    gpu: Literal["auto"] | bool = "auto"
    """Whether a worker needs a GPU; auto takes one where the cluster has any."""

    cpus_per_worker: PositiveInt = 1
    """CPU cores, and threads, of a worker. Another number of threads rounds differently."""

    resources: dict[str, PositiveFloat] = Field(
        default={}, examples=[{"accelerator_type:A10G": 0.001}]
    )
    """What else of its node a worker takes, by Ray's names: pins workers to one GPU model."""

    device_memory_gib: PositiveFloat | None = None
    """Memory of the smallest device that may come, in GiB, for train.micro_tokens auto and for
    orchestrator plan; null asks the machines that are there."""

    device_tflops: PositiveFloat | None = None
    """What such a device does in a second of matrix products, in 10^12 operations: a third to a
    half of what its maker says. With it, orchestrator plan tells seconds."""

    allow_mixed_machines: bool = False
    """Admit workers of another kind (device, instruction set, library versions). The run is
    then marked as not exact."""

    prices: PriceConfig | None = None
    """What machines cost an hour: with it, a run says what it cost."""

    @model_validator(mode="after")
    def _least_is_below_most(self) -> Self:
        least, most = self.workers
        if least > most:
            raise ValueError(f"workers: the least ({least}) is above the most ({most})")
        if least % self.workers_per_cell or most % self.workers_per_cell:
            raise ValueError(
                f"workers: {least} and {most} have to be multiples of workers_per_cell "
                f"({self.workers_per_cell})"
            )
        return self

    @property
    def cells(self) -> tuple[int, int]:
        """The least and the most cells."""
        least, most = self.workers
        return least // self.workers_per_cell, most // self.workers_per_cell
