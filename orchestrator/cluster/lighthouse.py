"""Torchft's lighthouse, in an actor where spot instances do not go.

It knows who is alive by their heartbeats, and answers a round's agreement once all of them have
asked for it. It holds nothing that could not be found anew: when it dies, Ray starts it again
at the same port, and the cells, which keep asking, agree once more.
"""

import importlib.machinery
import importlib.util
from pathlib import Path
from typing import Any

import ray

from orchestrator.cluster.cell import find_actor

JOIN_WAIT_MS = 3_600_000
"""How long an agreement waits for a cell that is alive and still computing: nearly without end,
for going on without it would do its work twice. A cell that holds up the others for too long
is let go by policy, and then it is not alive."""
HEARTBEAT_TIMEOUT_MS = 500
"""Silence after which a cell counts as dead. What a loss costs the survivors, at most."""
ANSWER_S = 60.0
"""The longest the journal is waited for."""
TICK_MS = 20
"""How often the lighthouse looks whether a silence has lasted that long."""


class Lighthouse:
    """The lighthouse itself.

    Args:
        min_workers: Fewest cells that may train.
        journal: Name of the journal, which remembers where the lighthouse was.
    """

    def __init__(self, min_workers: int, journal: str) -> None:
        self._host = ray.util.get_node_ip_address()
        book = find_actor(journal)
        before = ray.get(book.lighthouse.remote(), timeout=ANSWER_S)
        # The same again in another life: the cells go on asking there.
        port = int(before.rsplit(":", 1)[1]) if before else 0
        if port:
            # Before it listens: its first agreement must not come to the journal before that.
            self._tell(book, f"http://{self._host}:{port}")
        self._server = native().LighthouseServer(
            bind=f"{self._host}:{port}",
            min_replicas=min_workers,
            join_timeout_ms=JOIN_WAIT_MS,
            quorum_tick_ms=TICK_MS,
            heartbeat_timeout_ms=HEARTBEAT_TIMEOUT_MS,
        )
        if not port:
            self._tell(book, self.address())

    @staticmethod
    def _tell(book: Any, url: str) -> None:  # noqa: ANN401 - an actor's handle has no type
        ray.get(book.lighthouse_is_at.remote(url), timeout=ANSWER_S)

    def address(self) -> str:
        """URL of the server, by the node's address: a host name need not resolve elsewhere."""
        port = self._server.address().rsplit(":", 1)[1]
        return f"http://{self._host}:{port}"


def native() -> Any:  # noqa: ANN401 - torchft ships no types that hold
    """Torchft's compiled half alone: importing the package loads torch, for seconds."""
    found = importlib.util.find_spec("torchft")
    assert found is not None
    assert found.origin is not None
    file = next(Path(found.origin).parent.glob("_torchft.*"))
    loader = importlib.machinery.ExtensionFileLoader("_torchft", str(file))
    spec = importlib.util.spec_from_loader("_torchft", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
