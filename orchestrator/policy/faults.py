"""Budgets for what goes wrong: a lost machine is nobody's fault, a bug in the job is one."""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, assert_never

from orchestrator.policy.joining import LossReason

FaultKind: TypeAlias = Literal["preemption", "worker", "user"]
"""A machine was taken or died; a process died on a machine that lives; the job has a bug."""

WORKER_FAULTS_IN_A_ROW = 20
"""Memory that runs short now and then is no reason to give up, but a run in which nothing but
faults happens has to end."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The run ends here."""

    reason: str
    fix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may still go wrong. Preemptions are counted and never charged."""

    cells: int
    """Each may fail once more than the others, as each starts once to begin with."""
    preemptions: int = 0
    worker_faults: int = 0
    in_a_row: int = 0
    """Worker faults since the last finished step."""

    @property
    def most_in_a_row(self) -> int:
        """So many worker faults without a step in between are endured."""
        return WORKER_FAULTS_IN_A_ROW + self.cells

    def spend(self, kind: FaultKind) -> "Budget | Exhausted":
        """Take note of a fault: what is left of the budget, or why the run has to end."""
        match kind:
            case "preemption":
                return replace(self, preemptions=self.preemptions + 1)
            case "worker":
                return self._spend_worker()
            case "user":
                return Exhausted("the job itself failed", "See its own error")
            case _:
                assert_never(kind)

    def step_done(self) -> "Budget":
        """A step was finished: workers can work."""
        return replace(self, in_a_row=0) if self.in_a_row else self

    def _spend_worker(self) -> "Budget | Exhausted":
        if self.in_a_row >= self.most_in_a_row:
            return Exhausted(
                f"{self.in_a_row + 1} workers died without a step in between",
                "Look at the workers' logs: memory may be short, or a library broken",
            )
        return replace(self, worker_faults=self.worker_faults + 1, in_a_row=self.in_a_row + 1)


def kind_of(reason: LossReason) -> FaultKind:
    """What a worker's loss is charged to."""
    match reason:
        case "notice" | "node":
            return "preemption"
        case "process":
            return "worker"
        case _:
            assert_never(reason)
