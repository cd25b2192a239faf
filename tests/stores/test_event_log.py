"""A log whose store fails: nothing lost, nothing twice, nothing out of order."""

import time
from pathlib import Path

import pytest

from orchestrator.errors import LeaseError
from orchestrator.storage import Store
from orchestrator.tracking.event_log import EventLog, Pace
from tests.stores.conftest import Bucket
from tests.stores.disks import SmallDisk

QUICK = Pace(gather_s=0.01, first_pause_s=0.02, most_pause_s=0.1, sure_s=60.0)
SOON_S = 30.0


def wait_for_a_problem(log: EventLog) -> str:
    deadline_s = time.monotonic() + SOON_S
    while log.problem is None:
        assert time.monotonic() < deadline_s, "the log has not noticed"
        time.sleep(0.01)
    return log.problem


def lines(first: int, end: int) -> list[str]:
    return [f'{{"n": {n}}}' for n in range(first, end)]


def test_what_is_told_is_there_once_it_is_flushed(store: Store) -> None:
    log = EventLog(store, "events.jsonl", pace=QUICK)
    for n in range(50):
        log.append(lines(n, n + 1))
    assert log.flush(SOON_S)
    assert store.read_lines("events.jsonl") == lines(0, 50)
    log.append(["with its own end\n"])
    assert log.close(SOON_S)
    assert store.read_lines("events.jsonl")[-1] == "with its own end"
    assert log.problem is None


@pytest.mark.timeout(120)
def test_an_outage_of_the_store_loses_and_doubles_nothing(bucket: Bucket) -> None:
    log = EventLog(bucket.store, "events.jsonl", pace=QUICK)
    log.append(lines(0, 10))
    assert log.flush(SOON_S)
    bucket.road.set("closed")
    begun_s = time.monotonic()
    for n in range(10, 30):
        log.append(lines(n, n + 1))
    assert time.monotonic() - begun_s < 0.5
    assert not log.flush(0.2)
    assert "connect" in wait_for_a_problem(log).lower()
    bucket.road.set("open")
    assert log.flush(SOON_S)
    assert log.problem is None
    assert bucket.store.read_lines("events.jsonl") == lines(0, 30)


@pytest.mark.timeout(120)
def test_lines_whose_acknowledgement_was_lost_are_there_once(bucket: Bucket) -> None:
    log = EventLog(bucket.store, "events.jsonl", pace=QUICK)
    log.append(lines(0, 3))
    assert log.flush(SOON_S)
    bucket.road.set("answers lost")
    log.append(lines(3, 5))
    wait_for_a_problem(log)
    log.append(lines(5, 7))
    assert bucket.road.num_lost
    # The server has them already, and its word is all that is missing.
    assert bucket.behind_the_road().read_lines("events.jsonl") == lines(0, 5)
    bucket.road.set("open")
    assert log.flush(SOON_S)
    assert bucket.store.read_lines("events.jsonl") == lines(0, 7)


@pytest.mark.timeout(120)
def test_a_server_that_froze_in_the_middle_gets_each_line_once(bucket: Bucket) -> None:
    log = EventLog(bucket.store, "events.jsonl", pace=QUICK)
    log.append(lines(0, 3))
    assert log.flush(SOON_S)
    bucket.server.freeze()
    try:
        for n in range(3, 20):
            log.append(lines(n, n + 1))
        assert not log.flush(1.0)
        wait_for_a_problem(log)
    finally:
        bucket.server.thaw()
    assert log.flush(SOON_S)
    assert bucket.store.read_lines("events.jsonl") == lines(0, 20)


def test_a_disk_that_is_full_for_a_while_loses_and_doubles_nothing(disk: SmallDisk) -> None:
    store = Store.open(str(disk.root))
    log = EventLog(store, "events.jsonl", pace=QUICK)
    log.append(lines(0, 10))
    assert log.flush(SOON_S)
    disk.fill()
    # More than the rest of the page that the log lies in: a part of it fits.
    for n in range(10, 3000):
        log.append(lines(n, n + 1))
    assert "No space left" in wait_for_a_problem(log)
    assert store.read_lines("events.jsonl") == lines(0, 10)
    disk.make_room()
    assert log.flush(SOON_S)
    assert store.read_lines("events.jsonl") == lines(0, 3000)


def test_a_disk_that_cannot_be_written_for_a_while_is_waited_for(disk: SmallDisk) -> None:
    store = Store.open(str(disk.root))
    log = EventLog(store, "events.jsonl", pace=QUICK)
    log.append(lines(0, 1))
    assert log.flush(SOON_S)
    disk.make_readonly(readonly=True)
    log.append(lines(1, 2))
    assert "Read-only" in wait_for_a_problem(log)
    disk.make_readonly(readonly=False)
    assert log.close(SOON_S)
    assert store.read_lines("events.jsonl") == lines(0, 2)


def test_a_log_says_at_its_end_what_it_could_not_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_bytes(b"a file where a folder is to be")
    log = EventLog(Store.open(str(tmp_path)), "a/log", pace=QUICK)
    log.append(lines(0, 3))
    assert not log.close(0.1)
    assert "3 lines of a/log are lost" in caplog.text


def test_a_process_that_was_replaced_writes_no_line_more(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    asked: list[None] = []

    def guard() -> None:
        asked.append(None)
        if len(asked) > 1:
            raise LeaseError("the run is held by another", "run", "Stop")

    always_in_doubt = Pace(gather_s=0.01, sure_s=0.0)
    log = EventLog(store, "log", guard, always_in_doubt)
    log.append(lines(0, 1))
    assert log.flush(SOON_S)
    log.append(lines(1, 2))
    begun_s = time.monotonic()
    assert not log.flush(SOON_S)
    assert time.monotonic() - begun_s < SOON_S / 2
    assert log.lost_lease is not None
    assert "held by another" in str(log.problem)
    assert store.read_lines("log") == lines(0, 1)


def test_pauses_double_up_to_their_bound() -> None:
    pace = Pace(first_pause_s=0.5, most_pause_s=10.0)
    assert [pace.pause_s(n) for n in (1, 2, 3, 5, 6, 10_000)] == [0.5, 1, 2, 8, 10, 10]
