"""What is typed on a machine, the same on every cloud: install, start Ray, watch, record."""

from orchestrator.launch.ports import CLIENT, DASHBOARD, GCS, MLFLOW, ray_start_ports

HOME = "/home/ray"
PROJECT = f"{HOME}/orchestrator"
LOCK = "requirements.lock"
TOKEN = ".ray/auth_token"
"""Where Ray looks for its token, under the home folder of whoever starts it."""
SCORER = "orchestrator.cluster.scoring.score_node_type"
WATCH_LOG = "/tmp/orchestrator-watch.log"
MLFLOW_LOG = "/tmp/mlflow.log"
DRAIN_S = 30
"""How long Ray itself drains a pod that gets a SIGTERM."""

INSTALL = (
    f"pip install --quiet --require-hashes --requirement {PROJECT}/{LOCK}",
    f"pip install --quiet --no-deps {PROJECT}",
)


def start_head() -> str:
    """Start Ray on the head, with an autoscaler that knows spot machines."""
    # Version 1: in 2.60, version 2 asks for spot again and again where it is refused.
    return (
        f"export RAY_enable_autoscaler_v2=0 RAY_AUTOSCALER_UTILIZATION_SCORER={SCORER}; "
        f"ulimit -n 65536; ray start --head --port={GCS} {ray_start_ports()} "
        f"--ray-client-server-port={CLIENT} --dashboard-host=127.0.0.1 "
        f"--dashboard-port={DASHBOARD} --autoscaling-config=~/ray_bootstrap_config.yaml"
    )


def start_worker() -> str:
    """Start Ray on any other machine."""
    return f"ulimit -n 65536; ray start --address=$RAY_HEAD_IP:{GCS} {ray_start_ports()}"


def keep_watching(cloud: str, *, in_pod: bool = False) -> str:
    """A loop around the watchman: started again when it dies, ended when its node has.

    ``orchestrator watch`` ends with 0 when its Ray node has ended. Where it dies of anything
    else, it is started again as long as there is a raylet; in a pod, which ends with Ray,
    always.
    """
    ended = "" if in_pod else " || ! grep -qsx raylet /proc/[0-9]*/comm"
    return f"until orchestrator watch --cloud {cloud}{ended}; do sleep 5; done"


def in_background(command: str, log: str) -> str:
    """Have a command go on when the session that started it ends."""
    return f"nohup sh -c '{command}' >> {log} 2>&1 &"


def serve_records(artifacts: str) -> str:
    """MLflow on the head, for the driver there and for who has a tunnel."""
    return (
        "env MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false "
        f"mlflow server --host 127.0.0.1 --port {MLFLOW} --workers 1 "
        f"--backend-store-uri sqlite:///{HOME}/mlflow.db --artifacts-destination {artifacts}"
    )


def bring_records_back(bucket: str) -> str:
    """Give a new head's MLflow the runs that an earlier one had."""
    return (
        f"orchestrator record {bucket}/runs --tracking-uri http://127.0.0.1:{MLFLOW} "
        "--wait-s 300"
    )
