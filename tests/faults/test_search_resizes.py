"""A search on a cluster that grows and shrinks: more trials, fewer, and the same weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.local import LocalCluster
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.searching.driver import Audience, search
from orchestrator.cluster.searching.stage import View
from orchestrator.cluster.training import train
from orchestrator.config.search import SearchConfig
from orchestrator.search.space import job_with
from orchestrator.storage import Store
from orchestrator.tracking.run_log import read_log
from tests.faults.conftest import scale
from tests.faults.disasters import SLOT

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(900),
    # Ray Tune's own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    # MLflow 3.17 maps its tables in a way that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]

UNDER_WAY = 3
"""Steps of a trial that is well on its way."""


class Resizing:
    """Adds a node when one trial runs, and takes that trial's away when two do."""

    def __init__(self, cluster: LocalCluster, runs: Path) -> None:
        self._cluster, self._runs = cluster, runs
        self.rooms: list[int] = []
        self.grown = self.shrunk = False

    def __call__(self, view: View) -> None:
        self.rooms.append(view.room)
        running = [
            trial.name
            for trial in view.trials
            if trial.status == "running" and trial.figures and trial.figures.steps >= UNDER_WAY
        ]
        if len(running) == 1 and not self.grown:
            self.grown = True
            self._cluster.add_node(2, SLOT)
        if len(running) == 2 and not self.shrunk:
            self.shrunk = True
            self._cluster.kill_node(self._node_of(running[0]))

    def _node_of(self, name: str) -> str:
        events = read_log(Store.open(str(self._runs / name)))
        joined = [event for event in events if event["kind"] == "joined"]
        return str(joined[-1]["node"])


def test_a_node_more_is_room_for_a_trial_more_and_one_that_goes_costs_none(
    cluster: LocalCluster, make_job: Callable[..., Any]
) -> None:
    for node in list(cluster.cluster.worker_nodes)[1:]:
        cluster.kill_node(node.node_id)
    recipe = {"epochs": 50, "global_batch": 8, "checkpoint_every_steps": 10}
    plain = make_job("resized", train=recipe, scale=scale(1))
    config = SearchConfig.model_validate_json(json.dumps({"space": {"lora.rank": [2, 4]}}))
    job = plain.model_copy(update={"search": config})
    resizing = Resizing(cluster, Path(job.storage.path))
    result = search(job, Audience(resizing, lambda *_: None, lambda _: None))
    assert resizing.shrunk, "the second trial never ran beside the first"
    assert resizing.rooms[0] == 1
    assert 2 in resizing.rooms
    assert resizing.rooms[-1] == 1
    first, second = result.conclusion.trials
    assert [first.status, second.status] == ["finished", "finished"]
    assert first.figures is not None
    assert first.figures.steps == 250
    assert first.figures.restarts >= 1
    alone = train(prepare(job_with(plain, first.values, name="resized-alone")), lambda _: None)
    assert alone.weights_sha256 == first.weights_sha256
