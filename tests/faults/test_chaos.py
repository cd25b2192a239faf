"""One training through faults of many kinds, under ``orchestrator train``: the same weights.

The short version of ``make chaos``: kinds that the other tests here do not have.
"""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.chaos import chaos, mounted, show
from tests.faults.disasters import SLOT
from tests.faults.kinds import KINDS
from tests.made_job import made_job

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

NAMES = (
    "lighthouse killed",
    "node frozen",
    "journal killed",
    "driver killed",
    "hand-out killed",
    "two nodes at once",
    "controller of a cell killed",
    "store full for 4 s",
)
EPOCHS = 130


def test_a_training_survives_whatever_happens_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        names = list(NAMES)
        try:
            store = stack.enter_context(mounted(tmp_path / "store"))
        except subprocess.CalledProcessError:
            # This machine lets nobody mount: its disk is not to be filled.
            store, names = tmp_path / "store", names[:-1]
        job = made_job(
            tmp_path,
            "chaos",
            train={"epochs": EPOCHS, "checkpoint_every_steps": 20},
            scale={"workers": [1, 3], "resources": SLOT, "gpu": False},
            storage={"path": str(store)},
        )
        by_name = {kind.name: kind for kind in KINDS}
        report = chaos(job, [by_name[name] for name in names], tmp_path, timeout_s=400)
        with capsys.disabled():
            show(report)
    assert report.is_the_same
    assert not report.missing
    assert report.result["samples_used"] == 40 * EPOCHS
    assert report.result["exact"]
    assert json.dumps(report.simulated)
