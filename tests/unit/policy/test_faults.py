"""Budgets of preemptions, worker faults and the job's own errors."""

import pytest

from orchestrator.policy.faults import Budget, Exhausted, FaultKind, kind_of
from orchestrator.policy.joining import LossReason


def after(budget: Budget, *kinds: FaultKind) -> Budget:
    for kind in kinds:
        left = budget.spend(kind)
        assert isinstance(left, Budget)
        budget = left
    return budget


def test_preemptions_have_no_budget() -> None:
    budget = after(Budget(cells=1), *["preemption"] * 1000)
    assert budget.preemptions == 1000
    assert isinstance(budget.spend("worker"), Budget)


@pytest.mark.parametrize("cells", [1, 3, 1000])
def test_worker_faults_end_a_run_in_which_nothing_but_faults_happens(cells: int) -> None:
    budget = after(Budget(cells=cells), *["worker"] * (20 + cells))
    left = budget.spend("worker")
    assert isinstance(left, Exhausted)
    assert f"{21 + cells} workers died without a step" in left.reason


def test_a_finished_step_gives_worker_faults_their_budget_back() -> None:
    budget = Budget(cells=1)
    for _ in range(10):
        budget = after(budget, *["worker"] * 21).step_done()
    assert (budget.worker_faults, budget.in_a_row) == (210, 0)


def test_a_preemption_between_two_worker_faults_does_not_count_as_a_step() -> None:
    budget = after(Budget(cells=1), *["worker"] * 21, "preemption")
    assert isinstance(budget.spend("worker"), Exhausted)


def test_a_users_error_ends_a_run_at_once() -> None:
    assert isinstance(Budget(cells=8).spend("user"), Exhausted)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("notice", "preemption"), ("node", "preemption"), ("process", "worker")],
)
def test_only_a_death_on_a_living_node_is_a_workers_fault(
    reason: LossReason, kind: FaultKind
) -> None:
    assert kind_of(reason) == kind
