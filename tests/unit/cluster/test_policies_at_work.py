"""What the journal tells workers to do, and what it charges to whom."""

from orchestrator.cluster.journal import Journal
from orchestrator.cluster.roster import NodeView, Orders, Process
from orchestrator.policy.faults import WORKER_FAULTS_IN_A_ROW
from orchestrator.policy.joining import Admit, Refuse, Start, Wait
from orchestrator.storage import Store
from orchestrator.tracking.events import make_event
from tests.unit.cluster.conftest import CLASS, TERMS, come, told


def test_a_run_in_which_workers_only_die_ends(journal: Journal) -> None:
    for life in range(WORKER_FAULTS_IN_A_ROW + 2):
        come(journal, 0, pid=life)
        assert journal.outcome() is None
    come(journal, 0, pid=99)
    outcome = journal.outcome()
    assert outcome is not None
    assert outcome.failure is not None
    assert "without a step" in outcome.failure.problem


def test_a_step_shows_that_workers_do_more_than_die(journal: Journal) -> None:
    for life in range(3 * WORKER_FAULTS_IN_A_ROW):
        come(journal, 0, pid=life)
        step = {"step": life, "epoch": 0, "loss": 1.0, "samples": 1, "round_s": 1.0}
        journal.record([make_event("step", wall_s=0.0, world_size=1, round=life + 1, **step)])
    assert journal.outcome() is None


def test_machines_that_go_are_not_charged_to_the_job(journal: Journal) -> None:
    journal._roster.nodes = NodeView(dead=frozenset({"node0"}))
    for life in range(3 * WORKER_FAULTS_IN_A_ROW):
        come(journal, 0, pid=life)
    assert journal.outcome() is None


def test_who_leaves_is_told_from_who_is_lost(journal: Journal) -> None:
    come(journal, 0, 1, 2)
    journal.quorum(1, (0, 1, 2), 0, 0)
    journal.leaving(1, 101, "its node is drained")
    journal.quorum(2, (0,), 3, 3)
    assert told(journal, "drain", "left", "lost") == [("drain", 1), ("left", 1), ("lost", 2)]


def test_a_node_that_comes_and_goes_waits_before_it_joins_again(journal: Journal) -> None:
    come(journal, 0, 1)
    assert journal.may_join(1) == Admit()
    journal.quorum(1, (0, 1), 0, 0)
    journal.quorum(2, (0,), 1, 1)
    come(journal, 1, pid=200)
    assert isinstance(journal.may_join(1), Wait)
    journal.may_join(1)
    assert told(journal, "held") == [("held", 1)]


def test_a_worker_that_is_back_has_waited_while_it_loaded(store: Store) -> None:
    now = [0.0]
    journal = Journal(store, TERMS, clock=lambda: now[0])
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    now[0] = 31.0
    # Started 30 s ago; those who train notice only now that the one before is gone.
    journal.admit(1, Process("node1", 201, load_s=30.0), CLASS)
    journal.quorum(2, (0,), 1, 1)
    assert journal.may_join(1) == Admit()


def test_when_all_were_lost_at_once_nobody_waits_for_being_the_second_one_back(
    store: Store,
) -> None:
    now = [0.0]
    journal = Journal(store, TERMS, clock=lambda: now[0])
    come(journal, 0, 1, 2)
    journal.quorum(1, (0, 1, 2), 0, 0)
    now[0] = 31.0
    journal.admit(0, Process("node0", 200, load_s=30.0), CLASS)
    journal.quorum(2, (0,), 0, 0)
    now[0] = 32.0
    for cell in (1, 2):
        journal.admit(cell, Process(f"node{cell}", 200 + cell, load_s=31.0), CLASS)
    assert [journal.may_join(cell) for cell in (1, 2)] == [Admit()] * 2


def test_a_worker_on_a_drained_node_is_told_to_leave_and_may_not_come_back(
    journal: Journal,
) -> None:
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    journal._roster.nodes = NodeView(draining={"node1": 1234.0})
    assert journal.attend(1, 101, 3, None).leave_by_s == 1234.0
    assert journal.attend(0, 100, 3, None).leave_by_s is None
    journal.attend(1, 101, 4, None)
    assert told(journal, "notice") == [("notice", 1)]
    assert isinstance(journal.may_join(1), Refuse)
    # Of another life of this cell, which is over.
    assert journal.attend(1, 77, 3, None) == Orders()


def test_where_all_are_about_to_go_one_saves_at_once(journal: Journal) -> None:
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    journal._roster.nodes = NodeView(draining={"node0": 1.0, "node1": 1.0})
    assert [journal.attend(cell, 100 + cell, 3, None).save_now for cell in (0, 1)] == [
        True,
        False,
    ]


def test_advice_is_passed_on_once(journal: Journal) -> None:
    come(journal, 0)
    journal.quorum(1, (0,), 0, 0)
    journal._roster.nodes = NodeView(advised={"node0": "r1"})
    assert [journal.attend(0, 100, 3, None).save for _ in range(3)] == [True, False, False]


def test_a_cell_that_holds_up_the_others_is_named_and_then_released(store: Store) -> None:
    now = [0.0]
    journal = Journal(store, TERMS, clock=lambda: now[0])
    come(journal, 0, 1, 2)
    journal.quorum(1, (0, 1, 2), 0, 0)
    for second in range(40):
        now[0] = float(second)
        orders = [
            journal.attend(cell, 100 + cell, 5, None if cell == 1 else float(second))
            for cell in range(3)
        ]
        journal._tell_pace()
    assert told(journal, "slow", "released")[:2] == [("slow", 1), ("released", 1)]
    assert [order.end for order in orders] == [False, True, False]


def test_a_newcomer_that_waits_for_a_long_step_has_it_shared_out_anew(store: Store) -> None:
    now = [0.0]
    journal = Journal(store, TERMS, clock=lambda: now[0])
    come(journal, 0)
    journal.quorum(1, (0,), 0, 0)
    come(journal, 1)
    assert journal.may_join(1) == Admit()
    assert not journal.attend(0, 100, 0, None).regroup
    now[0] = 11.0
    assert [journal.attend(0, 100, 0, None).regroup for _ in range(2)] == [True, False]
    journal.quorum(2, (0, 1), 0, 0)
    now[0] = 30.0
    assert not journal.attend(0, 100, 1, None).regroup


def test_workers_of_one_node_take_turns_in_loading(journal: Journal) -> None:
    processes = [Process("node", pid) for pid in range(6)]
    found = [journal.may_load(cell, process) for cell, process in enumerate(processes)]
    assert [isinstance(one, Start) for one in found] == [True] * 4 + [False] * 2
    # Asked again, a worker that may is not in its own way; one that has loaded makes room.
    assert isinstance(journal.may_load(0, processes[0]), Start)
    journal.admit(0, processes[0], CLASS)
    journal.may_join(0)
    assert isinstance(journal.may_load(4, processes[4]), Start)
    assert isinstance(journal.may_load(5, Process("another", 9)), Start)
