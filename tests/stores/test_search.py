"""A search whose runs and ledger lie in a bucket."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from orchestrator.config.search import SearchConfig
from orchestrator.storage import Store
from tests.conftest import MakeJob
from tests.integration.test_commands import ORCHESTRATOR, last_line, write_job
from tests.integration.test_supervise import until
from tests.stores.conftest import Bucket

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(600)]

LIMIT_S = 240.0


def test_a_search_in_a_bucket_goes_on_after_its_driver_and_its_winner_trains_alone(
    make_job: MakeJob, bucket: Bucket, tmp_path: Path
) -> None:
    job = make_job(
        "stored",
        train={"epochs": 4, "global_batch": 8, "checkpoint_every_steps": 2},
        storage={"path": bucket.store.url},
        tracking={"experiment": "stored"},
        scale={"gpu": False},
    )
    space = SearchConfig.model_validate_json(json.dumps({"space": {"lora.rank": [2, 4]}}))
    path = write_job(job.model_copy(update={"search": space}), tmp_path)
    runs = bucket.behind_the_road()
    search = runs.child("searches").child("stored")
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as told, err.open("wb") as said:
        process = subprocess.Popen(
            [*ORCHESTRATOR, "search", str(path), "--json"], stdout=told, stderr=said
        )
    try:
        until(lambda: num_ended(runs) == 1, LIMIT_S, "no trial came to its end")
        [lease] = [name for name in search.list("lease") if name.endswith(".json")]
        os.kill(json.loads(search.read(lease))["owner"]["pid"], signal.SIGKILL)
        assert process.wait(LIMIT_S) == 0, err.read_text()
    finally:
        process.kill()
        process.wait()
    found = json.loads(out.read_text().splitlines()[-1])
    assert [trial["status"] for trial in found["trials"]] == ["finished"] * 2
    assert {"best.yaml", "search.json", "search.html"} <= {*search.list()}
    best = tmp_path / "best.yaml"
    best.write_bytes(search.read("best.yaml"))
    alone = last_line(["train", str(best)])
    assert alone["weights_sha256"] == found["best"]["weights_sha256"]


def num_ended(runs: Store) -> int:
    return sum(name.endswith("/result.json") for name in runs.list())
