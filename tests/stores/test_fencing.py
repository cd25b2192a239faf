"""Two trainers of one run, in processes of their own: one writes, the other notices."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator.errors import LeaseError, OrchestratorError, StorageError
from orchestrator.storage import Store
from orchestrator.train.checkpoint import latest_checkpoint, write_checkpoint
from orchestrator.train.lease import Clock, Lease, Owner, this_process
from tests.stores.conftest import Bucket

ELSEWHERE = Owner(host="two", pid=10, boot_id="boot-b", pid_namespace="pid:[1]", started=5)
ROUNDS = 50
SOON_S = 60.0

# Claims a run a line, and tells whether it has it. What it is told next is another run.
RACER = """
import sys, time
from orchestrator.errors import LeaseError
from orchestrator.storage import Store
from orchestrator.train.lease import Lease, this_process
store = Store.open(sys.argv[1])
store.exists("warm")
print("ready", flush=True)
for line in sys.stdin:
    name, at_s = line.split()
    run = store.child(name)
    time.sleep(max(0.0, float(at_s) - time.time()))
    try:
        Lease.claim(run, this_process(), now_s=time.time(), stale_s=60)
        print("won", flush=True)
    except LeaseError:
        print("lost", flush=True)
"""

# Holds a run. For each line: writes that step as a checkpoint, stopping before the manifest.
HOLDER = """
import os, signal, sys, time
from orchestrator.errors import LeaseError
from orchestrator.storage import Store
from orchestrator.train.checkpoint import write_checkpoint
from orchestrator.train.lease import Lease, this_process
store = Store.open(sys.argv[1])
lease = Lease.claim(store, this_process(), now_s=time.time(), stale_s=1.0)
print("ready", flush=True)

def guard():
    # Frozen at the worst moment: all files are written, and what vouches for them is not.
    os.kill(os.getpid(), signal.SIGSTOP)
    lease.check()

for line in sys.stdin:
    try:
        write_checkpoint(store, int(line), {"state": b"of the frozen one"}, guard)
        print("written", flush=True)
    except LeaseError as error:
        print("fenced", flush=True)
"""


@dataclass
class Talker:
    """A process that answers a line with a line."""

    process: "subprocess.Popen[str]"

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def talker(code: str, url: str) -> Iterator[Talker]:
    command = [sys.executable, "-c", code, url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            found = Talker(process)
            assert found.hear() == "ready"
            yield found
        finally:
            process.kill()


def vouched_for(store: Store) -> dict[str, bytes]:
    """Every byte below ``checkpoints`` in folders that have a manifest."""
    names = store.list("checkpoints")
    whole = {name.rpartition("/")[0] for name in names if name.endswith("manifest.json")}
    return {name: store.read(name) for name in names if name.rpartition("/")[0] in whole}


@pytest.mark.timeout(300)
def test_of_processes_that_claim_at_once_exactly_one_wins_every_time(store: Store) -> None:
    with ExitStack() as stack:
        racers = [stack.enter_context(talker(RACER, store.url)) for _ in range(3)]
        for number in range(ROUNDS):
            at_s = time.time() + 0.02
            for racer in racers:
                racer.tell(f"run-{number} {at_s}")
            answers = sorted(racer.hear() for racer in racers)
            assert answers == ["lost", "lost", "won"], number


@pytest.mark.timeout(120)
def test_of_threads_that_claim_at_once_exactly_one_wins_every_time(store: Store) -> None:
    num_claimants = 4
    barrier = threading.Barrier(num_claimants)

    def claim(run: Store, owner: Owner) -> bool:
        barrier.wait(SOON_S)
        try:
            Lease.claim(run, owner, now_s=time.time(), stale_s=60, is_running=lambda _: True)
        except LeaseError:
            return False
        return True

    owners = [replace(this_process(), pid=pid) for pid in range(num_claimants)]
    with ThreadPoolExecutor(num_claimants) as pool:
        for number in range(ROUNDS):
            run = store.child(f"run-{number}")
            assert sum(pool.map(claim, [run] * num_claimants, owners)) == 1, number


def test_a_second_put_is_refused_by_the_server_itself(bucket: Bucket) -> None:
    assert bucket.store.create("once", b"mine")
    refused = bucket.server.log().count(" 412 ")
    assert not bucket.store.create("once", b"yours")
    assert bucket.server.log().count(" 412 ") == refused + 1
    assert bucket.store.read("once") == b"mine"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("same_step", [True, False])
def test_a_holder_that_was_frozen_and_replaced_changes_no_checkpoint_when_it_thaws(
    store: Store,
    same_step: bool,  # noqa: FBT001 - a table's column
) -> None:
    with talker(HOLDER, store.url) as holder:
        holder.tell("7")
        wait_until_frozen(holder)
        successor = claim_from_elsewhere(store)
        for step in (6, 7) if same_step else (8, 9):
            write_checkpoint(store, step, {"state": b"%d" % step}, successor.check)
        before = vouched_for(store)
        assert len(before) >= 4
        holder.process.send_signal(signal.SIGCONT)
        assert holder.hear() == "fenced"
        assert vouched_for(store) == before
        newest, _ = latest_checkpoint(store)
        assert newest is not None
        assert newest.files == {"state": b"7" if same_step else b"9"}
        successor.check()


def wait_until_frozen(holder: Talker) -> None:
    deadline_s = time.monotonic() + SOON_S
    stat = Path(f"/proc/{holder.process.pid}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline_s, "it was never frozen"
        time.sleep(0.01)


def claim_from_elsewhere(store: Store) -> Lease:
    """As soon as the heartbeat is old enough; not before."""
    deadline_s = time.monotonic() + SOON_S
    while True:
        try:
            return Lease.claim(store, ELSEWHERE, now_s=time.time(), stale_s=1.0)
        except LeaseError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


@pytest.mark.timeout(120)
def test_a_claim_whose_answer_was_lost_is_known_again(bucket: Bucket) -> None:
    bucket.store.exists("warm")
    # The answer to the claim's put is lost, and all is well again when it is asked for.
    closing = threading.Thread(target=open_after_a_loss, args=(bucket,))
    bucket.road.set("answers lost")
    closing.start()
    try:
        lease = claim_through_losses(bucket.store)
    finally:
        closing.join(SOON_S)
    assert lease.generation == 1
    lease.check()


def open_after_a_loss(bucket: Bucket) -> None:
    deadline_s = time.monotonic() + SOON_S
    behind = bucket.behind_the_road()
    while not behind.list("lease") and time.monotonic() < deadline_s:
        time.sleep(0.005)
    bucket.road.set("open")


def claim_through_losses(store: Store) -> Lease:
    # Its first look is a listing, whose answer would be lost as well.
    seen = Store(store.url, replace(store.place, filesystem=PatientListing(store)))  # type: ignore[type-var]
    return Lease.claim(seen, this_process(), now_s=time.time(), stale_s=60.0)


class PatientListing:
    """The store's own client, but for a first listing that is known to be empty."""

    async_impl = True
    protocol = ("s3",)

    def __init__(self, store: Store) -> None:
        self._filesystem = store.place.filesystem  # type: ignore[attr-defined]
        self._num_listed = 0

    def find(self, path: str, *, detail: bool) -> object:
        self._num_listed += 1
        if self._num_listed == 1:
            return {}
        deadline_s = time.monotonic() + SOON_S
        while True:
            try:
                return self._filesystem.find(path, detail=detail)
            except Exception:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def __getattr__(self, name: str) -> object:
        return getattr(self._filesystem, name)


class Time:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def clock(self) -> Clock:
        return Clock(wall_s=lambda: self.now_s, grown_s=lambda: self.now_s)


@pytest.mark.timeout(120)
def test_a_holder_outlives_a_short_absence_of_its_store_and_writes_nothing_meanwhile(
    bucket: Bucket,
) -> None:
    clock = Time()
    lease = Lease.claim(
        bucket.store, this_process(), now_s=1000.0, stale_s=30.0, clock=clock.clock()
    )
    bucket.road.set("closed")
    clock.now_s += 100.0
    for ask in (lease.check, lambda: lease.renew(clock.now_s)):
        with pytest.raises(StorageError):
            ask()
    assert not lease.is_sure
    bucket.road.set("open")
    lease.check()
    # Having asked, it holds the run as well as if it had renewed: a claimant sees its beat.
    assert lease.is_sure
    with pytest.raises(LeaseError):
        Lease.claim(bucket.store, ELSEWHERE, now_s=clock.now_s + 20.0, stale_s=30.0)


@pytest.mark.timeout(120)
def test_a_holder_that_was_cut_off_alone_and_replaced_hears_so_first(bucket: Bucket) -> None:
    clock = Time()
    lease = Lease.claim(
        bucket.store, this_process(), now_s=1000.0, stale_s=30.0, clock=clock.clock()
    )
    bucket.road.set("closed")
    clock.now_s += 40.0
    Lease.claim(bucket.behind_the_road(), ELSEWHERE, now_s=clock.now_s, stale_s=30.0)
    bucket.road.set("open")
    with pytest.raises(LeaseError, match="process 10 on two"):
        write_checkpoint(bucket.store, 3, {"state": b"old"}, lease.check)
    assert vouched_for(bucket.store) == {}


def test_a_heartbeat_that_is_young_enough_is_not_written_again_by_a_check(
    store: Store,
) -> None:
    clock = Time()
    lease = Lease.claim(store, this_process(), now_s=1000.0, stale_s=40.0, clock=clock.clock())
    clock.now_s += 29.0
    lease.check()
    assert store.list("lease") == ["lease/00000001.json"]
    clock.now_s += 2.0
    assert not lease.is_sure
    lease.check()
    assert store.list("lease") == ["lease/00000001.beat", "lease/00000001.json"]


def test_a_run_whose_lease_vanished_is_not_written_to(store: Store) -> None:
    lease = Lease.claim(store, this_process(), now_s=time.time(), stale_s=60.0)
    store.delete("lease")
    with pytest.raises(OrchestratorError, match="is not there"):
        lease.check()
