"""``orchestrator demo``: the main job on a local cluster that loses a node on the way."""

import json
import queue
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from orchestrator.cluster.evaluating import ALL_QUESTIONS, Answer, evaluate
from orchestrator.cluster.local import LocalCluster, start_cluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.prepared import Prepared
from orchestrator.cluster.session import open_session
from orchestrator.cluster.training import RESULT, TrainResult, Watch, train
from orchestrator.config.job import Job
from orchestrator.demo.base import train_base
from orchestrator.demo.groups import chance, make_groups
from orchestrator.demo.tiny_model import write_tiny_model
from orchestrator.storage import Store
from orchestrator.tracking.events import Event, whole_number
from orchestrator.tracking.recorder import PLOT
from orchestrator.train.result import ADAPTER

NODES = 3
STEPS_BEFORE_THE_KILL = 2
"""Steps that all nodes do together before one of them is killed."""


class Bar(Protocol):
    """One progress bar."""

    def move(self, done: int, total: int | None = None, note: str = "") -> None: ...


class DemoScreen(Protocol):
    """Where the demo shows how far it is."""

    def say(self, text: str) -> None: ...

    def bar(self, title: str, total: int | None = None) -> AbstractContextManager[Bar]: ...


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo's table says."""

    result: TrainResult
    answers: tuple[Answer, ...]
    chance: float
    adapter: str
    plot: str
    mlflow: str

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        answers = [asdict(answer) for answer in self.answers]
        places = {"adapter": self.adapter, "plot": self.plot, "mlflow": self.mlflow}
        return {**self.result.as_json(), **places, "chance": self.chance, "answers": answers}


def run_demo(
    job: Job, folder: Path, screen: DemoScreen, follow: Callable[[Any], Watch]
) -> DemoReport:
    """Make data and a base model, train on three nodes, lose one, and measure.

    Args:
        job: The demo's job, resolved; its paths lie in ``folder``.
        folder: What is made goes here, and is found again by the next demo.
        screen: Shows how far it is.
        follow: Makes what shows a training's events on a bar.
    """
    _make_inputs(folder, screen)
    # Again: the model's folder was not there before.
    job = job.resolved(Path.cwd())
    store = Store.open(job.storage.path).child(job.name)
    if store.exists(RESULT):
        # A demo is there to be watched: a finished one begins anew.
        shutil.rmtree(store.url)
    with start_cluster(NODES) as cluster, open_session(cluster.address, cpus=1):
        with screen.bar("Indexing") as bar:
            prepared = prepare(job, progress=lambda done, what: bar.move(done, note=what))
        with screen.bar("Training", prepared.num_steps("train")) as bar:
            result = _train_and_kill(prepared, cluster, screen, follow(bar))
        with screen.bar("Evaluating") as bar:
            answers = evaluate(job, ALL_QUESTIONS, bar.move)
    return DemoReport(
        result=result,
        answers=tuple(answers),
        chance=chance(json.loads((folder / "eval.json").read_text())),
        adapter=f"{store.url}/{ADAPTER}",
        plot=f"{store.url}/{PLOT}",
        mlflow=job.tracking.uri,
    )


def _make_inputs(folder: Path, screen: DemoScreen) -> None:
    with screen.bar("Drawing pictures") as bar:
        make_groups(folder, progress=bar.move)
    model = folder / "model"
    trained = folder / "model" / "base.json"
    if not trained.exists():
        write_tiny_model(model)
        with screen.bar("Training the tiny base model a little") as bar:
            report = train_base(model, progress=bar.move)
        trained.write_text(json.dumps(asdict(report), indent=1))


def _train_and_kill(
    prepared: Prepared,
    cluster: LocalCluster,
    screen: DemoScreen,
    watch: Watch,
) -> TrainResult:
    """Train in a thread of its own: nodes can only be killed from this one."""
    victims: queue.Queue[str | None] = queue.Queue()
    trigger = _Trigger(NODES, STEPS_BEFORE_THE_KILL)

    def observe(events: list[Event]) -> None:
        watch(events)
        if victim := trigger.victim_after(events):
            victims.put(victim)

    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(train, prepared, observe)
        training.add_done_callback(lambda _: victims.put(None))
        while victim := victims.get():
            screen.say(f"killing a node with everything on it: {victim[:8]}")
            cluster.kill_node(victim)
        return training.result()


class _Trigger:
    """Decides, from events alone, when which node is killed: once, when all have worked."""

    def __init__(self, world_size: int, steps: int) -> None:
        self._world_size, self._steps_left = world_size, steps
        self._nodes: dict[int, str] = {}

    def victim_after(self, events: Sequence[Event]) -> str | None:
        """The node to kill now, if any."""
        for event in events:
            if event["kind"] == "joined":
                self._nodes[whole_number(event, "cell")] = str(event["node"])
            elif event["kind"] == "step" and event["world_size"] == self._world_size:
                self._steps_left -= 1
                if self._steps_left == 0:
                    return self._nodes[max(self._nodes)]
        return None
