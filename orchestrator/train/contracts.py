"""What the loop asks of others: peers, data, a model, and somebody to tell.

Each is a Protocol, so that a whole training runs in a test with threads for workers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from orchestrator.data.micro_batch import MicroBatch
from orchestrator.plan.steps import Part, StepPlan
from orchestrator.train.exact import GradientSum, Grid
from orchestrator.train.mean import MeanGradients
from orchestrator.train.state import Replica

Deal = Callable[[StepPlan], Sequence[int]]
"""Which micro-batches of a step fall to this rank."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Who takes part in a round, as this rank sees it."""

    rank: int
    cells: tuple[int, ...]
    """Numbers of the cells that take part, by rank."""

    @property
    def world_size(self) -> int:
        """How many take part."""
        return len(self.cells)

    def without(self, rank: int) -> "Membership":
        """The membership once another rank has left."""
        assert rank != self.rank, f"rank {rank} asks what is left without it"
        cells = self.cells[:rank] + self.cells[rank + 1 :]
        return Membership(self.rank - (rank < self.rank), cells)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a rank asks of the others; it rides along in the sum, so that all know of it."""

    leaving: bool = False
    """To be let go at the end of this round."""
    saving: bool = False
    """That a checkpoint be written at the end of this step."""

    def numbers(self, rank: int) -> tuple[int, int, int]:
        """As numbers that may be added over ranks: if one alone leaves, its rank is told."""
        return int(self.leaving), rank * self.leaving, int(self.saving)


@dataclass(frozen=True, slots=True)
class Departures:
    """What the sum of a round says about the wishes of all."""

    num_leaving: int = 0
    leaver: int | None = None
    """Rank of the one that leaves; None where none or several do."""
    num_saving: int = 0

    @classmethod
    def of(cls, sums: Sequence[int]) -> "Departures":
        """From the sums of what ``Wishes.numbers`` gave."""
        leaving, ranks, saving = sums
        return cls(leaving, ranks if leaving == 1 else None, saving)


class Peers(Protocol):
    """The other replicas. Must not raise because one of them died: it says False instead."""

    def agree(self) -> Membership | None:
        """Wait until all who are alive have computed their share of the round.

        Brings this replica up to the others' state if it is behind. None where the agreement
        failed and has to be sought again.
        """
        ...

    def add(self, payload: Tensor) -> bool:
        """Sum an int64 tensor over all ranks, in place; after a failure its content is void."""
        ...

    def commit(self) -> bool:
        """End the round: whether its result may be applied."""
        ...


class Batches(Protocol):
    """Micro-batches by address. Must not depend on who asks, nor on the order of asking."""

    def step_plan(self, part: Part, step: int) -> StepPlan: ...

    def fetch(self, part: Part, plan: StepPlan, micro: int) -> MicroBatch: ...

    def expect(self, part: Part, step: int, deal: Deal) -> None:
        """A hint, from which fetching ahead may follow: this rank will want these next."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """What a micro-batch of held-out data says."""

    loss: float
    label_tokens: int
    samples: int
    correct: int


class Learner(Protocol):
    """The model. A gradient is a pure function of weights, micro-batch and its address."""

    def backward(self, batch: MicroBatch) -> float:
        """Leave the gradient of the summed loss in ``.grad``; return the loss, in nats."""
        ...

    def score(self, batch: MicroBatch) -> Score: ...


class Crew(Protocol):
    """Whoever computes a cell's micro-batches. The loop calls it, and knows not how many it is.

    Must not change what comes out by how many it is, nor by what it was asked before.
    """

    @property
    def portion(self) -> int:
        """How many micro-batches it is asked for at once."""
        ...

    def compute(self, plan: StepPlan, micros: Sequence[int], total: GradientSum) -> None:
        """Add the gradients of these micro-batches, each once.

        Asked for all that it has to do at once, a crew can share it out; one by one it cannot.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...

    def score(self, plan: StepPlan, micros: Sequence[int]) -> Tensor:
        """Score held-out micro-batches, int64 of shape [M, 4], as ``train.crew.score_units``.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...

    def apply(self, gradients_T: MeanGradients, *, learning_rate: float, grid: Grid) -> None:
        """Take the optimizer step, as ``Replica.apply``, wherever the trained state is held.

        Raises:
            FaultError: A worker of the cell was lost.
        """
        ...


class Observer(Protocol):
    """Receives what happens, and passes on what this rank is asked to do meanwhile."""

    def record(self, kind: str, **fields: Any) -> None: ...  # noqa: ANN401 - flat JSON values

    def empty_slots(self, part: Part, batch: MicroBatch) -> None:
        """Make durable that these samples are left out. Returns once it is."""
        ...

    def halved(self, batch: MicroBatch, *, parts: int) -> None:
        """Make durable that the run is not exact any more. Returns once it is.

        Memory ran out, and this micro-batch's gradient was added up from so many parts.
        """
        ...

    def wishes(self) -> Wishes:
        """What this rank wants of the round whose sum is about to be made."""
        ...

    def is_regrouping(self) -> bool:
        """Whether to stop computing and agree at once: newcomers wait to be given a share."""
        ...

    def round_done(
        self, replica: Replica, membership: Membership, departures: Departures
    ) -> None:
        """A round was committed: a chance to write a checkpoint, before anybody leaves."""
        ...
