"""Ray's own autoscaler under a submitted run: nodes come, one is taken, idle ones go.

The machines are those of Ray's fake provider: raylets on one host that the autoscaler starts
and ends, as it does with a cloud's. The notice is EC2's, by ``orchestrator watch``.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config.job import Job
from tests.launch.clusters import FAST, Machines, Run, settings, until
from tests.launch.conftest import ROWS, MakeFarJob, write_job
from tests.launch.worlds import ROOT, Host, end, world

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(900)]

HEAD_NODE = "f" * 51 + "00000"
IDLE_MINUTES = 0.1
WORKERS = 2
EPOCHS = 80
"""Long enough for a node to be taken, and another to come, before the end."""
NOTICE_S = 15.0
ADDRESS = "10.77.0.1:6379"
LOOK = [sys.executable, "-m", "tests.launch.cluster_look", ADDRESS]
VERSIONS = ["1", "2"]
"""Of the autoscaler. ``ray up`` starts the second."""
COMMANDS = (
    "initialization_commands", "setup_commands", "head_setup_commands",
    "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands",
    "cluster_synced_files", "rsync_exclude", "rsync_filter",
)  # fmt: skip
"""What ``ray up`` fills in, and a node that is only a raylet has no use for."""
CONFIG = {
    **{name: [] for name in COMMANDS},
    "file_mounts": {},
    "file_mounts_sync_continuously": False,
    "cluster_name": "fake",
    "upscaling_speed": 10.0,
    # No more than train: rendering asks for CPUs as well, and would have a third.
    "max_workers": WORKERS,
    "idle_timeout_minutes": IDLE_MINUTES,
    "provider": {
        # Under its own name Ray would look for defaults that its wheel lacks.
        "type": "external",
        "module": "tests.launch.taking_cloud.TakingCloud",
        "head_node_id": HEAD_NODE,
        "gcs_address": ADDRESS,
        # All nodes are on one host.
        "use_node_id_as_ip": True,
        "disable_node_updaters": True,
        "disable_launch_config_check": True,
        "launch_multiple": True,
    },
    "auth": {"ssh_user": "nobody"},
    "head_node_type": "ray.head.default",
    "available_node_types": {
        "ray.head.default": {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0},
        "spot": {
            "resources": {"CPU": 2, "slot": 1, "object_store_memory": 300_000_000},
            "node_config": {},
            "min_workers": 0,
            "max_workers": WORKERS,
        },
    },
}


@dataclass
class Story:
    """What was seen."""

    run: Run
    log: Path
    nodes: dict[str, list[str]] = field(default_factory=dict)
    """The workers that the autoscaler had, at each moment."""

    taken: str = ""
    refused: dict[str, Any] = field(default_factory=dict)
    """What the cluster said to ending a node as idle that trains."""

    steps: dict[str, int] = field(default_factory=dict)
    code: int = -1


@pytest.fixture(scope="module", params=VERSIONS, ids=["v1", "v2"])
def story(
    request: pytest.FixtureRequest,
    hosts_allowed: None,
    far_job: MakeFarJob,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    del hosts_allowed
    folder = tmp_path_factory.mktemp("autoscaler")
    job = far_job(f"elastic-v{request.param}", WORKERS, EPOCHS)
    with world(**settings(folder)) as made, ExitStack() as stack:
        told = Story(Run(Path(job.storage.path) / job.name), folder / "submit.log")
        host = made.host("cloud", 1)
        Teller(Machines(made, folder), host, told, stack).tell(job, request.param)
        yield told


@dataclass
class Teller:
    """Has everything happen, in order."""

    machines: Machines
    host: Host
    story: Story
    stack: ExitStack

    def tell(self, job: Job, version: str) -> None:
        story, run = self.story, self.story.run
        self._start(version)
        story.nodes["before"] = self._nodes()
        file = write_job(job, self.machines.folder)
        submit = self.machines.orchestrator(self.host, "submit", file, log=story.log)
        self._wait(lambda: run.wait_for_workers(WORKERS, within_s=180))
        story.nodes["training"] = self._nodes()
        self._outlast_the_idle_timeout()
        self._take_one()
        until(lambda: len(self._nodes()) == WORKERS, self._state, 90, pause_s=1)
        story.nodes["again"] = self._nodes()
        story.steps["again"] = run.step()
        story.code = submit.wait(300)
        until(lambda: not self._nodes(), self._state, 60 * IDLE_MINUTES + 60, pause_s=1)
        story.nodes["after"] = self._nodes()

    def _start(self, version: str) -> None:
        config = self.machines.folder / "cluster.yaml"
        config.write_text(yaml.safe_dump(CONFIG))
        self.machines.start_head(
            self.host,
            "--num-cpus=2",
            f"--autoscaling-config={config}",
            FAST,
            PYTHONPATH=str(ROOT),
            RAY_FAKE_CLUSTER="1",
            RAY_OVERRIDE_NODE_ID_FOR_TESTING=HEAD_NODE,
            RAY_CLOUD_INSTANCE_ID=HEAD_NODE,
            RAY_enable_autoscaler_v2=str(int(version == "2")),
            AUTOSCALER_UPDATE_INTERVAL_S="1",
            AUTOSCALER_HEARTBEAT_TIMEOUT_S="8",
        )

    def _outlast_the_idle_timeout(self) -> None:
        """Train for longer than an idle node may stay, and ask for one's end meanwhile."""
        begun_s = time.monotonic()
        self.story.steps["begun"] = self.story.run.step()
        self.story.refused = self._ask("scale-down", self.story.nodes["training"][0])
        time.sleep(max(0.0, 60 * IDLE_MINUTES + 5 - (time.monotonic() - begun_s)))
        self.story.steps["outlasted"] = self.story.run.step()
        self.story.nodes["outlasted"] = self._nodes()

    def _take_one(self) -> None:
        """Have the cloud announce that it takes a node back, and let the node go."""
        taken = self.story.taken = str(self.story.run.events("joined")[-1]["node"])
        folder = self.machines.folder
        told, log = folder / "action.json", folder / "watch.log"
        service = [sys.executable, "-m", "tests.launch.metadata_file", "8080", str(told)]
        self._start_beside(*service, log=folder / "metadata.log", says="listening")
        url = "http://127.0.0.1:8080"
        watch = ("watch", "--address", ADDRESS, "--node-id", taken, "--metadata-url", url)
        watchman = self.machines.orchestrator(self.host, *watch, log=log)
        self.stack.callback(end, watchman)
        until(lambda: "watching aws" in log.read_text(), log.read_text, 60)
        deadline_s = time.time() + NOTICE_S
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(deadline_s))
        told.write_text(json.dumps({"action": "terminate", "time": when}))
        until(lambda: self.story.run.events("left"), self._state, 60)
        time.sleep(max(0.0, deadline_s - time.time()))
        # Ray has it go by itself if nothing is left on it; a cloud takes any. The brackets keep
        # the command from finding itself.
        self.host.run("pkill", "-KILL", "-f", f"raylet/[r]aylet .*{taken}")
        until(lambda: taken not in self._nodes(), self._state, 30)

    def _start_beside(self, *words: str, log: Path, says: str) -> None:
        process = self.host.beside(*words, log=log)
        self.stack.callback(end, process)
        until(lambda: says in log.read_text(), log.read_text, 30)

    def _nodes(self) -> list[str]:
        found: list[str] = self._ask("nodes")
        return found

    def _ask(self, *words: str) -> Any:
        done = self.host.run(*LOOK, *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _wait(self, wait: Callable[[], Any]) -> None:
        try:
            wait()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._state()}") from error

    def _state(self) -> str:
        monitor = self.host.run("sh", "-c", "tail -n 40 /tmp/ray/session_latest/logs/monitor*")
        said = self.story.log.read_text() if self.story.log.exists() else ""
        nodes = self.host.run(*LOOK, "nodes").stdout
        return f"{said}\n{self.story.run.tail()}\n{nodes}\n{monitor.stdout}"


def test_a_submitted_job_makes_nodes_appear_as_many_as_it_may_use(story: Story) -> None:
    assert story.nodes["before"] == []
    assert len(story.nodes["training"]) == WORKERS


def test_no_node_is_taken_that_trains_however_short_the_idle_timeout(story: Story) -> None:
    assert story.nodes["outlasted"] == story.nodes["training"]
    assert story.steps["outlasted"] > story.steps["begun"]
    assert not story.refused["accepted"]


def test_a_node_with_a_notice_leaves_without_loss_and_another_comes(story: Story) -> None:
    [left] = story.run.events("left")
    assert left["node"] == story.taken
    assert story.taken not in story.nodes["again"]
    assert len(story.nodes["again"]) == WORKERS
    assert story.run.events("lost") == []
    # While the run still went on.
    assert story.steps["again"] < story.run.result()["steps"]


def test_idle_nodes_go_when_the_work_is_done(story: Story) -> None:
    assert story.code == 0
    assert story.nodes["after"] == []


def test_weights_are_those_of_an_undisturbed_run(
    story: Story, undisturbed: Callable[[int], str]
) -> None:
    result = story.run.result()
    assert result["weights_sha256"] == undisturbed(EPOCHS)
    assert result["samples_used"] == ROWS * EPOCHS
    assert result["steps_replayed"] == 0
    assert result["exact"]
