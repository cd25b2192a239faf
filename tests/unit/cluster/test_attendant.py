"""What a worker hears, and what becomes of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cluster import attendant as module
from orchestrator.cluster.attendant import Attendant
from orchestrator.cluster.roster import Orders
from orchestrator.storage import Store
from orchestrator.train.background import BackgroundCheckpoints
from orchestrator.train.checkpoint import latest_checkpoint
from orchestrator.train.contracts import Wishes
from orchestrator.train.state import Replica
from tests.unit.train.small import new_tensors

FAR_S = 4e9
"""Seconds since 1970, long after anybody reads this."""


@dataclass
class Ear:
    """An attendant, and what the journal tells it next."""

    attendant: Attendant
    orders: list[Orders | Exception] = field(default_factory=list)
    heard: list[tuple[int, float | None]] = field(default_factory=list)

    def until(self, is_so: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 10
        while not is_so():
            assert time.monotonic() < end_s, "the attendant does nothing"
            time.sleep(0.005)


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ear]:
    monkeypatch.setattr(module, "ATTEND_S", 0.01)
    orders: list[Orders | Exception] = []
    heard: list[tuple[int, float | None]] = []

    def attend(round_: int, waiting_s: float | None) -> Orders:
        heard.append((round_, waiting_s))
        told = orders.pop(0) if orders else Orders()
        if isinstance(told, Exception):
            raise told
        return told

    replica = Replica(new_tensors(), weight_decay=0.0)
    store = Store.open(str(tmp_path))
    checkpoints = BackgroundCheckpoints(store, 2, lambda: None, lambda *_, **__: None)
    listening = Attendant(attend, replica, checkpoints, lambda: None, lambda _: None)
    yield Ear(listening, orders, heard)
    listening.close()
    checkpoints.close()


def test_a_worker_whose_node_goes_asks_to_leave(ear: Ear) -> None:
    assert ear.attendant.wishes() == Wishes()
    ear.orders.append(Orders(leave_by_s=FAR_S))
    ear.until(lambda: ear.attendant.leave is not None)
    assert ear.attendant.wishes() == ear.attendant.wishes() == Wishes(leaving=True)


def test_a_checkpoint_is_asked_for_once(ear: Ear) -> None:
    ear.orders.append(Orders(save=True))
    ear.until(lambda: ear.attendant.wishes() == Wishes(saving=True))
    assert ear.attendant.wishes() == Wishes()


def test_newcomers_are_given_a_share_once_and_not_after_the_round(ear: Ear) -> None:
    ear.orders.append(Orders(regroup=True))
    ear.until(ear.attendant.is_regrouping)
    assert not ear.attendant.is_regrouping()
    ear.orders.append(Orders(regroup=True))
    before = len(ear.heard)
    ear.until(lambda: len(ear.heard) > before + 2)
    ear.attendant.round_done()
    assert not ear.attendant.is_regrouping()


def test_the_last_finished_step_is_saved_at_once_where_nobody_would_be_left(
    ear: Ear, tmp_path: Path
) -> None:
    ear.orders.append(Orders(save_now=True))
    store = Store.open(str(tmp_path))
    ear.until(lambda: latest_checkpoint(store)[0] is not None)


def test_a_journal_that_is_away_is_told_again(ear: Ear) -> None:
    ear.orders += [RuntimeError("away"), TimeoutError(), Orders(leave_by_s=FAR_S)]
    ear.until(lambda: ear.attendant.leave is not None)
    assert ear.heard[0] == (0, None)
