"""What is done to a training, and when."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.cluster.local import processes_below

SLOT = {"slot": 1.0}
"""A worker's place: with one a node, a cell whose node is lost has to wait for another."""


@dataclass
class Disturbance:
    """One act, after some step that was done with some world size."""

    step: int
    world_size: int
    act: Callable[[dict[str, Any]], None]
    """Given the newest ``joined`` event of the cell that is to suffer."""
    cell: int | None = None
    """Whom it hits; None: the last of those present."""
    cells: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_done: bool = False

    def due(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """The cell to act on, if the time has come."""
        if event["kind"] == "joined":
            self.cells[event["cell"]] = event
        if event["kind"] in ("lost", "left"):
            self.cells.pop(event["cell"], None)
        if self.is_done or event["kind"] != "step" or event["step"] < self.step:
            return None
        if event["world_size"] != self.world_size or not self.cells:
            return None
        self.is_done = True
        return self.cells[max(self.cells) if self.cell is None else self.cell]


def kill_worker(joined: dict[str, Any]) -> None:
    """SIGKILL to the process of a cell."""
    os.kill(joined["pid"], signal.SIGKILL)


def ask_worker_to_end(joined: dict[str, Any]) -> None:
    """SIGTERM to the process of a cell."""
    os.kill(joined["pid"], signal.SIGTERM)


def parent_of(pid: int) -> int:
    """Of a process of this machine."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def signal_node(joined: dict[str, Any], number: int) -> None:
    """The same signal to a node's raylet and to all that it has started."""
    for pid in processes_below(parent_of(joined["pid"])):
        os.kill(pid, number)
