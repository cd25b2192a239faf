"""What a cluster's head knows of its nodes, for whoever is on the head.

    python -m tests.launch.cluster_look ADDRESS nodes
    python -m tests.launch.cluster_look ADDRESS scale-down NODE

The second asks as an autoscaler does that holds a node for idle. Both print JSON.
"""

import json
import sys

from ray.core.generated import autoscaler_pb2

from orchestrator.cluster.internals import alive_nodes, connect_gcs

IDLE = "DRAIN_NODE_REASON_IDLE_TERMINATION"


def main(address: str, what: str, *node: str) -> None:
    client = connect_gcs(address)
    if what == "nodes":
        alive = alive_nodes(client).values()
        print(json.dumps(sorted(info.node_id for info in alive if not info.is_head)))
        return
    reason = autoscaler_pb2.DrainNodeReason.Value(IDLE)
    accepted, why = client.drain_node(node[0], reason, "idle for long", 0)
    print(json.dumps({"accepted": accepted, "why": why}))


if __name__ == "__main__":
    main(*sys.argv[1:])
