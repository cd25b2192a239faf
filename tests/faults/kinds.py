"""Every kind of fault that a chaos run knows, each done to a real cluster.

What has to happen later (a new node for one that went) is put into a diary, for nodes can only
be added from the thread that started the cluster.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cluster.internals import connect_gcs, drain_node, raylet_pid
from orchestrator.cluster.local import LocalCluster, processes_below
from tests.faults.disasters import SLOT, kill_worker, signal_node

NODES = 3
NEW_NODE_S = 3.0
"""After so long another node comes for one that went."""


@dataclass
class Stage:
    """What faults are done to, and what is known of it."""

    cluster: LocalCluster
    store: Path
    """Folder of the run's store, a mount of its own where the machine allows one."""
    driver: Callable[[], int | None]
    """The driver's process."""
    cells: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The newest ``joined`` event of each cell that trains."""
    diary: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something done by the thread that owns the cluster."""
        self.diary.append((time.monotonic() + seconds, act))

    def do_what_is_due(self) -> None:
        """Do all that the diary has for now."""
        due = [act for at_s, act in self.diary if at_s <= time.monotonic()]
        self.diary = [entry for entry in self.diary if entry[0] > time.monotonic()]
        for act in due:
            act()

    def add_node(self) -> None:
        self.cluster.add_node(2, SLOT)

    def victim(self) -> dict[str, Any]:
        """The worker that came last."""
        return self.cells[max(self.cells)]

    def lose(self, *cells: int) -> None:
        """Nodes go without a word, and others come."""
        for cell in cells:
            self.cluster.kill_node(self.cells[cell]["node"])
            self.later(NEW_NODE_S, self.add_node)

    def drain(self, lead_s: float) -> None:
        """A node is announced to go, goes, and another comes."""
        node = self.victim()["node"]
        client = connect_gcs(self.cluster.address)
        drain_node(client, node, time.time() + lead_s, "spot interruption")

        def go() -> None:
            # A node on which nothing runs may have gone by itself.
            with suppress(Exception):
                self.cluster.kill_node(node)
            self.add_node()

        self.later(min(lead_s, 8.0), go)

    def on_head(self, name: str) -> None:
        """SIGKILL to one process of the head, by the name that Ray gives it."""
        for pid in processes_below(raylet_pid(self.cluster.cluster.head_node)):
            title = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
            if name in title:
                os.kill(pid, signal.SIGKILL)
                return
        raise AssertionError(f"no {name} on the head")


def freeze(stage: Stage) -> None:
    """A whole node stands still, and is taken away later."""
    victim = stage.victim()
    signal_node(victim, signal.SIGSTOP)

    def go() -> None:
        with suppress(Exception):
            signal_node(victim, signal.SIGKILL)
        stage.add_node()

    stage.later(8.0, go)


def freeze_worker(stage: Stage) -> None:
    """A worker stands still for a while, and goes on as if nothing had been."""
    pid = stage.victim()["pid"]
    os.kill(pid, signal.SIGSTOP)

    def thaw() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    stage.later(4.0, thaw)


def drop_driver(stage: Stage) -> None:
    """SIGKILL to the driver: with it goes all that it started."""
    pid = stage.driver()
    assert pid is not None, "no driver"
    os.kill(pid, signal.SIGKILL)


def fill_store(stage: Stage) -> None:
    """The store's disk is full for a while."""
    filler = stage.store / "filler"
    with suppress(OSError), filler.open("wb") as file:
        free = os.statvfs(stage.store)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    with suppress(OSError), filler.open("ab") as file:
        # What was freed meanwhile, to the last page.
        while True:
            file.write(bytes(4096))
            file.flush()
    stage.later(4.0, filler.unlink)


def grow(stage: Stage) -> None:
    """One more node than there ever was, which is announced to go again."""
    stage.add_node()

    def go() -> None:
        if len(stage.cells) > NODES:
            client = connect_gcs(stage.cluster.address)
            deadline_s = time.time() + 30
            drain_node(client, stage.victim()["node"], deadline_s, "no longer wanted")

    stage.later(12.0, go)


def grow_while_draining(stage: Stage) -> None:
    """A node comes while another is about to go."""
    stage.drain(30)
    stage.add_node()


def all_but_one(stage: Stage) -> None:
    """All nodes but one go at once."""
    stage.lose(*sorted(stage.cells)[1:])


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    act: Callable[[Stage], None]
    world_size: int = 2
    """How many have to train when it is done: somebody is to survive it."""


KINDS = (
    Kind("worker killed", lambda stage: kill_worker(stage.victim())),
    Kind("writer of checkpoints killed", lambda s: kill_worker(s.cells[min(s.cells)])),
    Kind("worker frozen and thawed", freeze_worker),
    Kind("node lost", lambda stage: stage.lose(max(stage.cells))),
    Kind("node frozen", freeze),
    Kind("notice of 5 s", lambda stage: stage.drain(5)),
    Kind("notice of 30 s", lambda stage: stage.drain(30)),
    Kind("notice of 120 s", lambda stage: stage.drain(120)),
    Kind("two nodes at once", lambda s: s.lose(*sorted(s.cells)[-2:]), world_size=3),
    Kind("shrunk to one", all_but_one, world_size=3),
    Kind("a node more", grow),
    Kind("a node comes while one drains", grow_while_draining),
    Kind("lighthouse killed", lambda stage: stage.on_head("Lighthouse")),
    Kind("journal killed", lambda stage: stage.on_head("Journal")),
    Kind("hand-out killed", lambda stage: stage.on_head("HandOut")),
    Kind("controller of a cell killed", lambda stage: stage.on_head("TrainController")),
    Kind("store full for 4 s", fill_store, world_size=1),
    Kind("driver killed", drop_driver, world_size=1),
)
