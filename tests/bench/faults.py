"""What a fault costs: survivors that stay up, against a group that starts again as one.

    .venv/bin/python -m tests.bench.faults
    .venv/bin/python -m tests.bench.faults --load-s 30      a base model that takes 30 s to load

Ours: a whole training under ``orchestrator train``, faults one after the other. Stock: Ray
Train's ``TorchTrainer`` with its defaults, on a cluster with Ray's own health check.
"""

import argparse
import itertools
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RUST_LOG", "error")

from orchestrator.cluster.internals import connect_gcs, drain_node
from orchestrator.cluster.local import LocalCluster, start_cluster
from orchestrator.cluster.session import open_session
from orchestrator.tracking.events import Event, decode_log
from tests.bench.stock import StockRun, measure_stock
from tests.faults.chaos import Happened, disturbed, measure
from tests.faults.disasters import SLOT, kill_worker, signal_node
from tests.faults.kinds import KINDS, Kind
from tests.made_job import made_job

RAYS_HEALTH_CHECK = {
    "health_check_period_ms": 3000,
    "health_check_timeout_ms": 10_000,
    "health_check_failure_threshold": 5,
}
NAMES = ("worker killed", "node lost", "node frozen", "notice of 30 s")
SLOW_LOADER = '''
"""Makes every load of a base model take longer, in every process that finds this file."""
import sys, time
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

class Finder(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "orchestrator.models.loading":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        load = spec.loader.exec_module
        def slowly(module):
            load(module)
            base = module.load_base
            def load_base(*args, **kwargs):
                time.sleep({load_s})
                return base(*args, **kwargs)
            module.load_base = load_base
        spec.loader.exec_module = slowly
        return spec

sys.meta_path.insert(0, Finder())
'''


def measure_ours(load_s: float, epochs: int, folder: Path) -> dict[str, dict[str, float]]:
    """All faults in one training."""
    if load_s:
        code = folder / "code"
        code.mkdir()
        (code / "sitecustomize.py").write_text(SLOW_LOADER.replace("{load_s}", str(load_s)))
        os.environ["PYTHONPATH"] = f"{code}:{os.environ.get('PYTHONPATH', '')}"
    kinds = [Kind(k.name, k.act, world_size=3) for k in KINDS if k.name in NAMES]
    job = made_job(
        folder,
        "faults",
        train={"epochs": epochs},
        scale={"workers": [1, 3], "resources": SLOT, "gpu": False},
    )
    with start_cluster(3, cpus=2, resources=SLOT) as cluster:
        _, faults, missing = disturbed(job, kinds, cluster, folder, timeout_s=1200)
    assert not missing, f"the training ended before {missing}: more --epochs"
    log = Path(job.storage.path) / job.name / "events.jsonl"
    return costs(faults, decode_log(log.read_text().splitlines()))


def costs(faults: list[Happened], events: Sequence[Event]) -> dict[str, dict[str, float]]:
    """What each fault cost those who lived, and how long until somebody had taken the place."""
    measure(faults, events)
    times = [float(e["wall_s"] or 0) for e in events if e["kind"] == "step"]
    median_s = statistics.median(b - a for a, b in itertools.pairwise(times))
    found = {}
    for fault in faults:
        after = [e for e in events if float(e["wall_s"] or 0) > fault.wall_s]
        joins = [e for e in after if e["kind"] == "joined"]
        missed = [e for e in after if e["kind"] in ("lost", "left")]
        found[fault.kind] = {
            "standstill_s": fault.standstill_s,
            "missed_s": float(missed[0]["wall_s"] or 0) - fault.wall_s if missed else 0.0,
            "replaced_s": float(joins[0]["wall_s"] or 0) - fault.wall_s if joins else 0.0,
            "load_s": float(joins[0].get("load_s") or 0) if joins else 0.0,
            "median_step_s": median_s,
            "steps_replayed": 0.0,
        }
    return found


def stock_act(name: str, cluster: LocalCluster) -> Callable[[dict[str, Any]], None]:
    """The same fault, done to a worker of the group; a new node comes where one went."""

    def lose(victim: dict[str, Any]) -> None:
        cluster.kill_node(victim["node"])
        time.sleep(3)
        cluster.add_node(2, SLOT)

    def freeze(victim: dict[str, Any]) -> None:
        signal_node(victim, signal.SIGSTOP)
        time.sleep(8)
        signal_node(victim, signal.SIGKILL)
        cluster.add_node(2, SLOT)

    def drain(victim: dict[str, Any]) -> None:
        client = connect_gcs(cluster.address)
        drain_node(client, victim["node"], time.time() + 30, "spot interruption")
        time.sleep(8)
        cluster.kill_node(victim["node"])
        cluster.add_node(2, SLOT)

    acts = {"worker killed": kill_worker, "node lost": lose, "node frozen": freeze}
    return acts.get(name, drain)


def measure_all_stock(load_s: float, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each fault on a cluster and a group of its own."""
    found = {}
    for name in names:
        with (
            tempfile.TemporaryDirectory() as folder,
            start_cluster(3, cpus=2, resources=SLOT, health_check=RAYS_HEALTH_CHECK) as cluster,
            open_session(cluster.address, cpus=1),
        ):
            run = StockRun(Path(folder), cluster, load_s)
            run.start()
            found[name] = measure_stock(run, stock_act(name, cluster))
            print(f"stock, {name}: {found[name]}", flush=True)
    return found


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--load-s", type=float, default=0.0)
    parser.add_argument("--epochs", type=int, default=250)
    parser.add_argument("--only", choices=["ours", "stock"])
    asked = parser.parse_args()
    found: dict[str, Any] = {"load_s": asked.load_s}
    if asked.only != "ours":
        found["stock"] = measure_all_stock(asked.load_s, NAMES)
    if asked.only != "stock":
        with tempfile.TemporaryDirectory() as folder:
            found["ours"] = measure_ours(asked.load_s, asked.epochs, Path(folder))
    show(found)
    out = Path(".bench")
    out.mkdir(exist_ok=True)
    (out / f"faults-{asked.load_s:g}.json").write_text(json.dumps(found, indent=1))


def show(found: dict[str, Any]) -> None:
    """Ours beside stock."""
    columns = {
        "ours": ("standstill_s", "missed_s", "replaced_s", "load_s"),
        "stock": ("teardown_s", "regroup_s", "loaded_s", "standstill_s", "steps_replayed"),
    }
    for who, names in columns.items():
        if who in found:
            print(f"\n{who:20}" + "".join(f"{name:>16}" for name in names))
            for kind, figures in found[who].items():
                print(f"{kind:20}" + "".join(f"{figures[name]:16.2f}" for name in names))


if __name__ == "__main__":
    main()
