"""The run's record, as workers fill it."""

import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster.journal import FINAL_WRITER_TIMEOUT_S, Journal
from orchestrator.cluster.ledger import found_empty
from orchestrator.cluster.outcome import Failure, Outcome
from orchestrator.cluster.roster import Process
from orchestrator.errors import ConfigError
from orchestrator.storage import LocalPlace, Store
from orchestrator.tracking.events import Event, EventValue, decode_log, make_event
from orchestrator.tracking.run_log import EVENTS
from orchestrator.tracking.summary import summarise
from orchestrator.train.manifest import read_manifest
from tests.unit.cluster.conftest import CLASS, TERMS, Open, come, told


def step_event(round_: int, cell: int = 0) -> Event:
    return make_event(
        "step",
        step=round_,
        round=round_,
        epoch=0,
        loss=1.0,
        samples=8,
        round_s=0.1,
        world_size=2,
        cell=cell,
    )


def do_rounds(journal: Journal, *rounds: int, cell: int = 0) -> None:
    for round_ in rounds:
        journal.record([step_event(round_, cell)])


def rounds_in(journal: Journal) -> list[EventValue]:
    return [event["round"] for event in journal.read(0)[0] if event["kind"] == "step"]


def test_a_round_that_several_workers_report_is_written_once(journal: Journal) -> None:
    for cell in (2, 0, 1):
        do_rounds(journal, 1, 2, cell=cell)
    assert rounds_in(journal) == [1, 2]
    assert journal.read(0)[0][0]["cell"] == 2


def test_reports_that_overtake_each_other_are_all_written(journal: Journal) -> None:
    do_rounds(journal, 3, 1, 3, 2, 1)
    assert rounds_in(journal) == [3, 1, 2]


def test_events_of_no_round_are_all_written(journal: Journal) -> None:
    for _ in range(2):
        journal.record([make_event("checkpoint_failed", step=4, reason="full")])
    assert told(journal, "checkpoint_failed") == [("checkpoint_failed", 4)] * 2


def test_what_is_read_is_what_is_in_the_log(journal: Journal, store: Store) -> None:
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    do_rounds(journal, 1, 2)
    journal.empty_slots([])
    events, outcome = journal.read(0)
    assert decode_log(store.read_lines(EVENTS)) == events
    assert (journal.read(4)[0], outcome) == (events[4:], None)


def test_what_a_journal_took_outlives_it_at_once(tmp_path: Path) -> None:
    class Disk(LocalPlace):
        def append(self, name: str, data: bytes, /) -> None:
            time.sleep(0.05)
            super().append(name, data)

    store = Store(str(tmp_path), Disk(tmp_path))
    journal = Journal(store, TERMS)
    journal.lighthouse_is_at("http://here")
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    do_rounds(journal, 1)
    assert decode_log(store.read_lines(EVENTS)) == journal.read(0)[0]


def test_what_a_full_store_does_not_take_is_written_when_it_does(tmp_path: Path) -> None:
    class Disk(LocalPlace):
        def append(self, name: str, data: bytes, /) -> None:
            if (self.root / "full").exists():
                raise OSError(errno.ENOSPC, "No space left on device")
            super().append(name, data)

    store = Store(str(tmp_path), Disk(tmp_path))
    journal = Journal(store, TERMS)
    (tmp_path / "full").touch()
    do_rounds(journal, 1)
    do_rounds(journal, 2, cell=1)
    assert rounds_in(journal) == [1, 2]
    (tmp_path / "full").unlink()
    journal.empty_slots([])
    assert [event["round"] for event in decode_log(store.read_lines(EVENTS))] == [1, 2]


def test_who_joins_and_who_is_lost_follows_from_two_memberships(journal: Journal) -> None:
    come(journal, 0, 1, 2, 3)
    journal.quorum(1, (0, 1), 0, 0)
    journal.quorum(4, (0, 2, 3), 7, 7)
    assert told(journal, "started", "resumed", "joined", "lost", "quorum") == [
        ("started", None),
        ("joined", 0),
        ("joined", 1),
        ("quorum", 0),
        ("lost", 1),
        ("joined", 2),
        ("joined", 3),
        ("quorum", 7),
    ]
    newest = journal.read(0)[0][-1]
    assert (newest["world_size"], newest["quorum"]) == (3, 4)


def test_a_membership_is_written_once_and_an_old_one_not_at_all(journal: Journal) -> None:
    come(journal, 0, 1)
    for quorum_id in (3, 3, 2):
        journal.quorum(quorum_id, (0, 1), 0, 0)
    assert told(journal, "quorum") == [("quorum", 0)]


def test_a_cell_that_was_started_anew_was_lost_and_joined(journal: Journal) -> None:
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    come(journal, 1, pid=200)
    journal.quorum(2, (0, 1), 5, 5)
    assert told(journal, "lost", "joined")[2:] == [("lost", 1), ("joined", 1)]
    lost, joined, _ = journal.read(0)[0][-3:]
    assert (lost["pid"], joined["pid"]) == (101, 201)
    assert (joined["node"], joined["step"], joined["world_size"]) == ("node1", 5, 2)


def test_as_long_as_one_survives_nothing_is_resumed(journal: Journal) -> None:
    come(journal, 0, 1, 2)
    journal.quorum(1, (0, 1), 0, 0)
    do_rounds(journal, 1, 2)
    journal.quorum(2, (1, 2), 2, 2)
    do_rounds(journal, 2, 3)
    assert told(journal, "started", "resumed") == [("started", None)]
    assert rounds_in(journal) == [1, 2, 3]


@pytest.mark.parametrize("from_round", [0, 2, 3])
def test_when_all_are_lost_the_rounds_after_the_checkpoint_are_told_again(
    journal: Journal, from_round: int
) -> None:
    come(journal, 0, 1)
    journal.quorum(1, (0, 1), 0, 0)
    do_rounds(journal, 1, 2, 3)
    come(journal, 0, pid=200)
    journal.quorum(2, (0,), from_round, from_round)
    do_rounds(journal, *range(from_round + 1, 5))
    assert rounds_in(journal) == [1, 2, 3, *range(from_round + 1, 5)]
    assert told(journal, "resumed", "lost")[:1] == [("resumed", from_round)]
    figures = summarise(journal.read(0)[0])
    assert (figures.restarts, figures.steps, figures.losses) == (1, 4, 2)
    assert figures.steps_replayed == 3 - from_round


def test_another_driver_resumes_the_run(journal: Journal, open_journal: Open) -> None:
    come(journal, 0)
    journal.quorum(7, (0,), 0, 0)
    do_rounds(journal, 1, 2, 3)
    later = open_journal(generation=2)
    come(later, 0, pid=200)
    # Its lighthouse counts quorums from the beginning.
    later.quorum(1, (0,), 2, 2)
    do_rounds(later, 3)
    assert told(later, "resumed", "joined")[1:] == [("resumed", 2), ("joined", 0)]
    assert rounds_in(later) == [1, 2, 3, 3]


def test_restarting_the_journal_itself_changes_nothing(
    journal: Journal, open_journal: Open
) -> None:
    come(journal, 0, 1)
    journal.quorum(3, (0, 1), 0, 0)
    do_rounds(journal, 1, 2)
    again = open_journal()
    assert again.read(0) == journal.read(0)
    again.quorum(3, (0, 1), 0, 0)
    do_rounds(again, 1, 2, cell=1)
    assert again.read(0) == journal.read(0)
    # The next membership is compared with the one from before.
    again.quorum(4, (1,), 2, 2)
    assert told(again, "started", "resumed", "joined", "lost") == [
        ("started", None),
        ("joined", 0),
        ("joined", 1),
        ("lost", 0),
    ]


def test_a_restarted_journal_knows_which_rounds_are_done_again(
    journal: Journal, open_journal: Open
) -> None:
    come(journal, 0)
    journal.quorum(1, (0,), 0, 0)
    do_rounds(journal, 1, 2, 3)
    come(journal, 0, pid=200)
    journal.quorum(2, (0,), 1, 1)
    do_rounds(journal, 2)
    again = open_journal()
    do_rounds(again, 2, 3)
    assert rounds_in(again) == [1, 2, 3, 2, 3]


def test_the_first_machine_sets_the_numeric_class(journal: Journal) -> None:
    assert journal.admit(0, Process("a", 1), CLASS).numeric_class == CLASS
    assert journal.admit(1, Process("b", 2), CLASS).exact
    with pytest.raises(ConfigError, match="round differently"):
        journal.admit(2, Process("c", 3), CLASS | {"device": "H200"})


def failure(problem: str, *, detailed: bool) -> Failure:
    return Failure("NonFiniteError", problem, "train", "Look", "Traceback …", detailed)


HEARSAY = failure("NaN on another worker", detailed=False)
FIRST = failure("NaN in b, from id3", detailed=True)
SECOND = failure("NaN in a, from id9", detailed=True)


@pytest.mark.parametrize(
    ("reports", "kept", "num_written"),
    [
        ([FIRST], FIRST, 1),
        ([HEARSAY], HEARSAY, 1),
        ([HEARSAY, FIRST], FIRST, 2),
        ([FIRST, HEARSAY], FIRST, 1),
        ([FIRST, SECOND], FIRST, 1),
        ([HEARSAY, HEARSAY, SECOND, FIRST], SECOND, 2),
    ],
)
def test_the_first_reason_that_says_which_is_the_runs(
    journal: Journal, reports: list[Failure], kept: Failure, num_written: int
) -> None:
    for report in reports:
        journal.fail(report)
    assert journal.outcome() == Outcome("failed", failure=kept)
    assert len(told(journal, "failed")) == num_written


def test_what_is_finished_cannot_fail_nor_what_failed_be_finished(
    journal: Journal, open_journal: Open
) -> None:
    journal.finish("abc")
    journal.fail(FIRST)
    journal.finish("abc")
    assert journal.outcome() == Outcome("finished", weights_sha256="abc")
    assert told(journal, "failed", "finished") == [("finished", None)]
    later = open_journal(generation=2)
    later.fail(FIRST)
    later.finish("abc")
    assert later.outcome() == Outcome("failed", failure=FIRST)


@pytest.mark.parametrize(
    "end",
    [lambda j: j.finish("abc"), lambda j: j.pause("abc", 4), lambda j: j.fail(FIRST)],
)
def test_the_outcome_outlives_the_journal_but_not_its_driver(
    journal: Journal, open_journal: Open, end: Callable[[Journal], None]
) -> None:
    end(journal)
    assert open_journal().outcome() == journal.outcome()
    assert open_journal(generation=2).outcome() is None


def test_one_cell_writes_the_result_until_it_is_silent(store: Store) -> None:
    now_s = [0.0]
    journal = Journal(store, TERMS, clock=lambda: now_s[0])
    assert journal.is_writer(1)
    assert not journal.is_writer(0)
    now_s[0] += FINAL_WRITER_TIMEOUT_S - 1
    assert not journal.is_writer(0)
    # A word from the writer, and the time begins anew.
    assert journal.is_writer(1)
    now_s[0] += FINAL_WRITER_TIMEOUT_S - 1
    assert not journal.is_writer(0)
    now_s[0] += 1
    assert journal.is_writer(0)
    assert not journal.is_writer(1)
    journal.finish("abc")
    assert not journal.is_writer(0)


def empty_slot(sample: int, part: str = "train", epoch: int = 0) -> Event:
    return make_event(
        "empty_slot",
        part=part,
        epoch=epoch,
        step=3,
        sample=sample,
        id=f"id{sample}",
        reason="cut",
    )


def test_an_empty_slot_is_in_the_ledger_once(journal: Journal, store: Store) -> None:
    slots = [empty_slot(5), empty_slot(6)]
    journal.empty_slots(slots[:1])
    journal.empty_slots(slots)
    Journal(store, TERMS).empty_slots([*slots, empty_slot(5, epoch=1)])
    events = decode_log(store.read_lines(EVENTS))
    assert [(event["sample"], event["epoch"]) for event in events] == [(5, 0), (6, 0), (5, 1)]


def test_a_slot_found_empty_in_training_is_left_out_when_its_step_is_done_again(
    journal: Journal, store: Store
) -> None:
    assert found_empty(store) == frozenset()
    journal.empty_slots([empty_slot(5), empty_slot(5, epoch=1), empty_slot(7, part="eval")])
    assert found_empty(store) == {(0, 3, 5), (1, 3, 5)}


def test_a_halved_micro_batch_makes_the_run_inexact_for_good(
    journal: Journal, open_journal: Open, store: Store
) -> None:
    come(journal, 0)
    before = read_manifest(store)
    for micro in (3, 5):
        journal.halved(make_event("halved", step=2, micro=micro, parts=2, cell=0))
        # A machine that dies now has left this behind.
        assert read_manifest(store) == replace(before, exact=False)
    assert told(journal, "halved") == [("halved", 0)] * 2
    assert not open_journal(generation=2).admit(0, Process("a", 1), CLASS).exact


def test_a_refused_machine_is_told_once_and_ends_nothing_while_others_may_train(
    journal: Journal,
) -> None:
    come(journal, 0)
    for _ in range(2):
        with pytest.raises(ConfigError, match="round differently"):
            journal.admit(1, Process("other", 7), {"device": "gpu", "threads": "1"})
    events, outcome = journal.read(0)
    assert [event["kind"] for event in events] == ["refused"]
    assert outcome is None


def test_a_run_whose_every_machine_is_refused_ends_with_the_reason(open_journal: Open) -> None:
    come(open_journal(), 0)
    journal = open_journal(generation=2)
    with pytest.raises(ConfigError):
        journal.admit(0, Process("other", 7), {"device": "gpu", "threads": "1"})
    _, outcome = journal.read(0)
    assert outcome is not None
    assert outcome.failure is not None
    assert "round differently" in outcome.failure.problem
