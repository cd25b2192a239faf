"""What is done to a training, and when."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SLOT = {"slot": 1.0}
"""A worker's place: with one a node, a cell whose node is lost has to wait for another."""


@dataclass
class Disturbance:
    """One act, after some step that was done with some world size."""

    step: int
    world_size: int
    act: Callable[[dict[str, Any]], None]
    """Given the newest ``joined`` event of the cell that is to suffer."""
    cells: dict[int, dict[str, Any]] = field(default_factory=dict)
    is_done: bool = False

    def due(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """The cell to act on, if the time has come."""
        if event["kind"] == "joined":
            self.cells[event["cell"]] = event
        if self.is_done or event["kind"] != "step" or event["step"] < self.step:
            return None
        if event["world_size"] != self.world_size:
            return None
        self.is_done = True
        return self.cells[max(self.cells)]


def kill_worker(joined: dict[str, Any]) -> None:
    """SIGKILL to the process of a cell."""
    os.kill(joined["pid"], signal.SIGKILL)
