"""Ray's fake cloud, which lists a machine no longer once it has ended, as a real one does."""

from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider


class TakingCloud(FakeMultiNodeProvider):  # type: ignore[misc]
    """A node provider; Ray finds it by its name in a cluster's description."""

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> Any:
        """The machines that there are, less those whose raylet has died."""
        for node_id, machine in [*self._nodes.items()]:
            node = machine.get("node")
            if node is not None and any(kind == "raylet" for kind, _ in node.dead_processes()):
                self.terminate_node(node_id)
        return super().non_terminated_nodes(tag_filters)
