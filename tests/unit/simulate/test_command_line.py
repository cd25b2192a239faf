"""``orchestrator simulate``, as a process of its own."""

import json
from pathlib import Path

from orchestrator.tracking.events import encode
from tests.unit.simulate.made_log import a_chaotic_run
from tests.unit.test_cli import orchestrator, write_job

OWN = "time_s,node,event\n0,a,up\n0,b,up\n1800,b,notice\n1920,b,down\n7200,a,down\n"


def test_a_trace_of_ones_own_is_simulated_and_drawn_without_ray_or_torch(
    tmp_path: Path,
) -> None:
    (tmp_path / "own.csv").write_text(OWN)
    (tmp_path / "events.jsonl").write_text("".join(map(encode, a_chaotic_run(6, seed=0))))
    write_job(tmp_path, scale={"workers": [1, 2]}, train={"checkpoint_every_steps": 7})
    answer = orchestrator(
        "simulate", "job.yaml", "--trace", "own.csv", "--events", "events.jsonl",
        "--to", "picture.png", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    figures = json.loads(answer.stdout.splitlines()[-1])
    assert figures["traces"]["own"]["strategies"]["elastic"]["losses"] == 1
    assert abs(figures["replayed"]["difference"]) < 0.1
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    [log] = (tmp_path / "runs" / "logs").iterdir()
    assert log.read_text().splitlines()[-1] == "imported:"


def test_a_trace_that_cannot_be_read_is_said_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("time_s,nodes\n0,one\n5,2\nnow,3\n")
    write_job(tmp_path)
    answer = orchestrator("simulate", "job.yaml", "--trace", "own.csv", cwd=tmp_path)
    assert answer.returncode == 2
    assert "own.csv: row 2: nodes is 'one'. Write a whole number, 0 or more." in answer.stderr
    assert "own.csv: row 4: time_s is 'now'. Write a number of seconds." in answer.stderr
