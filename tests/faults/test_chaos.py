"""One training through faults of many kinds, under ``orchestrator train``: the same weights.

The short version of ``make chaos``: kinds that the other tests here do not have.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

NAMES = (
    "node frozen",
    "journal killed",
    "hand-out killed",
    "two nodes at once",
    "controller of a cell killed",
)
EPOCHS = 64


def test_a_training_survives_whatever_happens_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a process of its own: its clusters come and go, and Ray remembers what it was part of.
    command = [sys.executable, "-m", "tests.faults.chaos", "--epochs", str(EPOCHS)]
    run = subprocess.run(
        [*command, "--to", str(tmp_path / "out"), "--only", *NAMES],
        stdout=subprocess.PIPE,
        text=True,
        timeout=880,
        check=False,
    )
    with capsys.disabled():
        print(run.stdout)
    assert run.returncode == 0, "other weights, or the training ended before all had happened"
    report = json.loads((tmp_path / "out" / "chaos.json").read_text())
    assert report["same"]
    assert report["samples_used"] == 40 * EPOCHS
    assert report["exact"]
    assert len(report["faults"]) >= len(NAMES) - 1
    assert (tmp_path / "out" / "chaos.png").read_bytes().startswith(b"\x89PNG")
