import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from orchestrator.errors import LeaseError, StorageError
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.lease import Lease, Owner, is_running, this_process

HERE = Owner(host="one", pid=10, boot_id="boot-a", pid_namespace="pid:[1]", started=5)
THERE = Owner(host="two", pid=10, boot_id="boot-b", pid_namespace="pid:[1]", started=5)
NEIGHBOUR = replace(HERE, pid=11)
STALE_S = 30.0


def claim(store: Store, owner: Owner, now_s: float, *, running: bool = True) -> Lease:
    return Lease.claim(
        store, owner, now_s=now_s, stale_s=STALE_S, is_running=lambda _owner: running
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def test_a_new_run_is_held_in_its_first_generation(store: Store) -> None:
    lease = claim(store, HERE, 100.0)
    lease.check()
    lease.renew(110.0)
    assert lease.generation == 1
    assert store.list("lease") == ["lease/00000001.beat", "lease/00000001.json"]


def test_a_claim_is_a_heartbeat(store: Store) -> None:
    claim(store, HERE, 100.0)
    with pytest.raises(LeaseError, match="process 10 on one"):
        claim(store, THERE, 129.0)


def test_a_holder_elsewhere_lives_as_long_as_its_heart_beats(store: Store) -> None:
    lease = claim(store, HERE, 100.0)
    lease.renew(150.0)
    with pytest.raises(LeaseError, match="process 10 on one"):
        claim(store, THERE, 179.9)
    assert claim(store, THERE, 180.0).generation == 2


def test_a_holder_whose_clock_is_ahead_is_alive(store: Store) -> None:
    claim(store, HERE, 1000.0)
    with pytest.raises(LeaseError):
        claim(store, THERE, 100.0)


def test_a_dead_holder_of_this_machine_is_succeeded_at_once(store: Store) -> None:
    claim(store, HERE, 100.0)
    assert claim(store, NEIGHBOUR, 100.0, running=False).generation == 2


def test_a_living_holder_of_this_machine_keeps_the_run_though_it_be_frozen(
    store: Store,
) -> None:
    claim(store, HERE, 100.0)
    with pytest.raises(LeaseError, match="process 10 on one"):
        claim(store, NEIGHBOUR, 100_000.0, running=True)


@pytest.mark.parametrize(
    "other",
    [
        replace(NEIGHBOUR, boot_id="boot-z"),
        replace(NEIGHBOUR, pid_namespace="pid:[2]"),
        replace(NEIGHBOUR, host="three"),
    ],
    ids=["rebooted", "another container", "another machine"],
)
def test_processes_that_cannot_be_seen_are_judged_by_their_heartbeat(
    store: Store, other: Owner
) -> None:
    claim(store, HERE, 100.0)
    with pytest.raises(LeaseError):
        claim(store, other, 120.0, running=False)
    assert claim(store, other, 130.0, running=True).generation == 2


def test_a_machine_without_a_boot_identity_is_judged_by_heartbeats(store: Store) -> None:
    claim(store, replace(HERE, boot_id=""), 100.0)
    with pytest.raises(LeaseError):
        claim(store, replace(NEIGHBOUR, boot_id=""), 120.0, running=False)


class OutrunPlace(LocalPlace):
    """A disk on which somebody else is always a little faster."""

    def create(self, name: str, data: bytes, /) -> bool:
        rival = {"owner": asdict(THERE), "claimed_s": 100.0}
        super().create(name, json.dumps(rival).encode())
        return super().create(name, data)


def test_a_claimant_that_is_outrun_names_the_winner(tmp_path: Path) -> None:
    with pytest.raises(LeaseError, match="process 10 on two"):
        claim(Store(str(tmp_path), OutrunPlace(tmp_path)), HERE, 100.0)


def test_a_released_run_is_free_at_once(store: Store) -> None:
    claim(store, HERE, 100.0).release(101.0)
    assert claim(store, THERE, 101.0).generation == 2


def test_a_thawed_holder_notices_and_harms_nobody(store: Store) -> None:
    frozen = claim(store, HERE, 100.0)
    successor = claim(store, THERE, 200.0)
    with pytest.raises(LeaseError, match="process 10 on two"):
        frozen.check()
    with pytest.raises(LeaseError, match="process 10 on two"):
        frozen.renew(201.0)
    frozen.release(202.0)
    successor.check()
    with pytest.raises(LeaseError, match="process 10 on two"):
        claim(store, NEIGHBOUR, 203.0)


def test_a_lease_notices_a_successor_that_has_come_and_gone(store: Store) -> None:
    first = claim(store, HERE, 0.0)
    claim(store, THERE, 100.0)
    claim(store, THERE, 200.0, running=False)
    with pytest.raises(LeaseError):
        first.check()


def test_a_lease_that_is_no_lease_is_for_a_person_to_look_at(store: Store) -> None:
    store.write("lease/00000001.json", b"{}")
    with pytest.raises(StorageError, match="generation 1"):
        claim(store, HERE, 100.0)


def test_this_process_is_running_and_another_with_its_number_is_not() -> None:
    assert is_running(this_process())
    assert not is_running(replace(this_process(), started=this_process().started + 1))


def test_a_dead_process_that_nobody_reaped_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read()
        deadline_s = time.monotonic() + 10
        while (state := Path(f"/proc/{process.pid}/stat").read_text().split()[2]) != "Z":
            assert time.monotonic() < deadline_s, state
            time.sleep(0.01)
        assert not is_running(replace(this_process(), pid=process.pid))


def hesitate(store: Store, owner: Owner, told: list[str], stale_s: float) -> Lease:
    return Lease.claim_from_silence(
        store, owner, stale_s=stale_s, tell=told.append, pause_s=0.005
    )


def test_a_machine_lost_with_its_trainer_is_succeeded_when_its_last_beat_is_old(
    store: Store,
) -> None:
    claim(store, THERE, time.time())
    told: list[str] = []
    assert hesitate(store, HERE, told, stale_s=0.1).generation == 2
    [line] = told
    assert "held by process 10 on two; waiting up to" in line


def test_a_holder_elsewhere_that_beats_again_is_believed_long_before_it_could_be_stale(
    store: Store,
) -> None:
    holder = claim(store, THERE, time.time())
    beating = threading.Timer(0.05, lambda: holder.renew(time.time()))
    beating.start()
    started_s = time.monotonic()
    with pytest.raises(LeaseError, match="process 10 on two"):
        hesitate(store, HERE, [], stale_s=600.0)
    beating.join()
    assert time.monotonic() - started_s < 10


def test_a_holder_elsewhere_whose_clock_is_ahead_is_waited_for_no_longer_than_it_may_take(
    store: Store,
) -> None:
    claim(store, THERE, time.time() + 10_000)
    with pytest.raises(LeaseError):
        hesitate(store, HERE, [], stale_s=0.1)


def test_a_holder_of_this_machine_is_not_waited_for(store: Store) -> None:
    told: list[str] = []
    claim(store, this_process(), time.time())
    with pytest.raises(LeaseError):
        hesitate(store, this_process(), told, stale_s=600.0)
    assert told == []


CLAIM = """
import sys, time
from orchestrator.errors import LeaseError
from orchestrator.storage import LocalPlace, Store
from orchestrator.train.lease import Lease, this_process
store = Store.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    lease = Lease.claim(store, this_process(), now_s=time.time(), stale_s=60)
    print(f"won {lease.generation}", flush=True)
except LeaseError as error:
    print(f"lost: {error}", flush=True)
sys.stdin.readline()
"""


@contextmanager
def claimant(url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that claims at the first line it is sent, and lives until the next."""
    with subprocess.Popen(
        [sys.executable, "-c", CLAIM, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert answer(process) == "ready"
            yield process
        finally:
            process.kill()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def send_a_line(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.timeout(60)
def test_of_processes_that_race_for_a_run_one_wins_until_it_is_killed(store: Store) -> None:
    with ExitStack() as stack:
        racers = [stack.enter_context(claimant(store.url)) for _ in range(3)]
        for racer in racers:
            send_a_line(racer)
        answers = [answer(racer) for racer in racers]
        won = [index for index, text in enumerate(answers) if text == "won 1"]
        assert len(won) == 1, answers
        winner = racers[won[0]]
        losers = [text for text in answers if text != "won 1"]
        assert all(f"process {winner.pid}" in text for text in losers), answers

        winner.kill()
        winner.wait()
        successor = stack.enter_context(claimant(store.url))
        send_a_line(successor)
        assert answer(successor) == "won 2"
