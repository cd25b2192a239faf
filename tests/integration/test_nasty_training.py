"""A training over every nasty row at once: it finishes, and each bad one is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.training import TrainResult
from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from tests.nasty.asking import asks, line
from tests.nasty.cases import ROWS
from tests.nasty.drawing import good
from tests.nasty.outcomes import Emptied, Quarantined, Trained

Run = Callable[[Job], TrainResult]
MakeJob = Callable[..., Job]

NUM_GOOD = 12

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


def nasty_job(make_job: MakeJob, folder: Path) -> Job:
    job = make_job(
        "nasty",
        images={"max_images": 8, "max_pixels": 50_176},
        train={"micro_tokens": 512, "epochs": 1, "global_batch": 64},
    )
    media = folder / "media"
    media.mkdir()
    lines = [line(asks(good(media), id=f"good{number}")) for number in range(NUM_GOOD)]
    for case in ROWS:
        given = case.write(media)
        lines.append(given if isinstance(given, bytes) else line({"id": case.name, **given}))
    path = folder / "nasty.jsonl"
    path.write_bytes(b"\n".join(lines))
    source = DataSource(path=str(path), media_dir=str(media))
    data = job.data.model_copy(update={"train": source, "eval": None})
    return job.model_copy(update={"data": data})


def test_a_training_over_everything_nasty_finishes_and_names_every_bad_row(
    make_job: MakeJob, run_job: Run, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    job = nasty_job(make_job, tmp_path)
    result = run_job(job)
    cases = dict(enumerate(ROWS, start=NUM_GOOD + 1))
    bad = {row: case for row, case in cases.items() if isinstance(case.expected, Quarantined)}
    emptied = {case.name: case for case in ROWS if isinstance(case.expected, Emptied)}
    num_trained = sum(isinstance(case.expected, Trained) for case in ROWS)
    assert result.figures.samples_used == num_trained + NUM_GOOD
    assert result.quarantined == len(bad) + len(emptied)
    assert result.figures.samples_used + result.quarantined == len(ROWS) + NUM_GOOD

    index, _ = prepare(job).courses["train"].open()
    text = (index.folder / "quarantine.jsonl").read_text(encoding="utf-8")
    ledger = {entry["row"]: entry for entry in map(json.loads, text.splitlines())}
    assert ledger.keys() == bad.keys()
    for row, case in bad.items():
        assert isinstance(case.expected, Quarantined)
        assert ledger[row]["source"] == job.data.training[0].path
        assert case.expected.reason in ledger[row]["reason"]
        assert ledger[row]["remedy"].startswith(case.expected.remedy)

    late = {event["id"]: event["reason"] for event in events if event["kind"] == "empty_slot"}
    assert late.keys() == emptied.keys()
    for name, case in emptied.items():
        assert isinstance(case.expected, Emptied)
        assert case.expected.reason in late[name]

    targets = [
        target
        for number in range(index.num_samples)
        for medium in index.sample(number).media
        for target in medium.targets
    ]
    assert max(height * width for height, width in targets) <= job.images.max_pixels
