"""What the cluster says of its nodes, asked by the head for all workers."""

from dataclasses import dataclass, field
from typing import Any

import ray

from orchestrator.cluster.internals import connect_gcs, dead_nodes, draining_nodes, notes
from orchestrator.cluster.roster import NodeView


@dataclass
class NodeLook:
    """Asks Ray's own books; connects when it is first called, in the process that calls it."""

    _client: Any = field(default=None, init=False)

    def __call__(self) -> NodeView:
        """How nodes are now.

        Raises:
            FaultError: Ray's books are out of reach.
        """
        if self._client is None:
            self._client = connect_gcs(ray.get_runtime_context().gcs_address)
        advised = {node: str(note["id"]) for node, note in notes(self._client).items()}
        return NodeView(
            draining=draining_nodes(self._client),
            advised=advised,
            dead=frozenset(dead_nodes(self._client)),
        )
