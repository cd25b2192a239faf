"""The command line, as a process of its own: what it says, where, and how it exits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

COMMANDS = (
    "index", "group", "plan", "train", "search", "evaluate", "export", "submit", "attach",
    "status", "stop", "watch", "simulate", "demo", "cluster", "record",
)  # fmt: skip
PROGRAM = """\
import sys
from orchestrator.cli import main
sys.argv[0] = "orchestrator"
try:
    main()
finally:
    heavy = {"torch", "ray", "transformers", "mlflow"} & set(sys.modules)
    print("imported:", *sorted(heavy), file=sys.stderr)
"""


def orchestrator(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write_job(folder: Path, **sections: object) -> Path:
    job = {
        "name": "demo",
        "model": {"path": "model"},
        "data": {"train": {"path": "train.json"}},
        "storage": {"path": "runs"},
        **sections,
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job))
    return folder / "job.yaml"


def test_help_lists_the_commands_and_loads_nothing_heavy(tmp_path: Path) -> None:
    answer = orchestrator("--help", cwd=tmp_path)
    assert answer.returncode == 0
    for command in COMMANDS:
        assert f" {command} " in answer.stdout
    assert answer.stderr == "imported:\n"


def test_a_driver_is_there_before_any_library_of_models() -> None:
    # They are loaded where a model is read: what fails before that is said at once.
    program = (
        "import sys, orchestrator.cluster.prepare, orchestrator.cluster.searching.run; "
        "print(sorted({'torch', 'transformers', 'peft', 'mlflow', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert found.stdout == "[]\n"


@pytest.mark.parametrize("command", ["index", "plan", "train", "search", "evaluate", "submit"])
def test_a_typing_error_in_a_job_is_said_in_one_line_at_once(
    tmp_path: Path, command: str
) -> None:
    write_job(tmp_path, train={"lerning_rate": 0.001})
    answer = orchestrator(command, "job.yaml", cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stdout == ""
    problem, imported = answer.stderr.splitlines()
    assert problem.startswith("error: job.yaml: ")
    assert "lerning_rate" in problem
    assert "learning_rate" in problem
    # Before anything heavy is loaded, and nothing is left behind.
    assert imported == "imported:"
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("trian", "job.yaml"), "trian"),
        (("train",), "JOB"),
        (("train", "job.yaml", "--jsn"), "--jsn"),
        (("export", "job.yaml"), "--to"),
        (("train", "missing.yaml"), "missing.yaml"),
        (("train", "job.yaml", "--set", "train.epochs=two"), "train.epochs"),
        (("train", "job.yaml", "--set", "train.epoch=2"), "train.epoch"),
        (("cluster", "render", "--to", "aws", "missing.yaml"), "missing.yaml"),
        (("cluster", "render", "--to", "oracle"), "oracle"),
        (("cluster", "render", "--to", "aws", "job.yaml"), "job.yaml"),
        (("cluster", "render", "--to", "gcp", "--job", "job.yaml"), "--job"),
        (("cluster", "check", "missing.yaml"), "missing.yaml"),
        (("cluster", "check", "job.yaml"), "job.yaml"),
        (("cluster", "roles", "missing.yaml"), "missing.yaml"),
    ],
)
def test_wrong_input_is_named_and_exits_with_2(
    tmp_path: Path, arguments: tuple[str, ...], word: str
) -> None:
    write_job(tmp_path)
    answer = orchestrator(*arguments, cwd=tmp_path)
    assert answer.returncode == 2
    assert answer.stdout == ""
    assert word in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_job_that_a_cluster_cannot_run_is_refused_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    write_job(tmp_path, model={"path": "/models/qwen"}, tracking={"uri": "http://mlflow"})
    answer = orchestrator("submit", "job.yaml", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (2, "")
    *problems, imported = answer.stderr.splitlines()
    assert [line.partition(":")[0] for line in problems] == ["error", "storage.path"]
    assert "data.train.path: the cluster cannot reach 'train.json'" in problems[0]
    assert imported == "imported:"


WORK = """\
from pathlib import Path
from orchestrator.cli.common import screen_of
from orchestrator.errors import ConfigError, JobError
with screen_of(Path("logs"), "train"):
    print("working")
    raise {error}
"""
LONG = "a reason of many words, " * 20


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (f'ConfigError("{LONG}", "run.json", "Mend it")', 2, f"run.json: {LONG}. Mend it."),
        (f'JobError("{LONG}", "train", "Look")', 1, f"train: {LONG}. Look."),
        ('ValueError("odd")', 1, "ValueError: odd (traceback in logs/train-"),
    ],
)
def test_an_error_under_way_is_one_line_too(
    tmp_path: Path, error: str, code: int, said: str
) -> None:
    command = [sys.executable, "-c", WORK.format(error=error)]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (answer.returncode, answer.stdout) == (code, "")
    [line] = answer.stderr.splitlines()
    assert line.startswith(f"error: {said}")
    [log] = (tmp_path / "logs").iterdir()
    assert "working" in log.read_text()
    assert ("Traceback" in log.read_text()) == error.startswith("ValueError")


def test_an_interrupted_command_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK.format(error="KeyboardInterrupt")]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 130
    assert answer.stderr == ("stopped; the same command goes on from the last checkpoint\n")


def test_a_rendered_cluster_is_right_and_a_spoilt_one_is_said_to_be_wrong(
    tmp_path: Path,
) -> None:
    description = Path(__file__).parents[2] / "clusters/spot_l4.yaml"
    arguments = ("cluster", "render", "--to", "aws", str(description), "-o", "cluster.yaml")
    assert orchestrator(*arguments, cwd=tmp_path).returncode == 0
    right = orchestrator("cluster", "check", "cluster.yaml", "--json", cwd=tmp_path)
    assert right.returncode == 0
    told = json.loads(right.stdout.splitlines()[-1])
    assert (told["kind"], told["findings"]) == ("launcher", [])
    file = tmp_path / "cluster.yaml"
    file.write_text(file.read_text().replace("HttpTokens: required", "HttpTokens: optional"))
    wrong = orchestrator("cluster", "check", "cluster.yaml", "--json", cwd=tmp_path)
    assert wrong.returncode == 2
    findings = json.loads(wrong.stdout.splitlines()[-1])["findings"]
    assert len(findings) == 7
    assert findings[0]["place"].endswith("MetadataOptions.HttpTokens")
    assert findings[0]["value"] == "optional"
    assert all(one["remedy"] for one in findings)
    assert wrong.stderr.count("error: cluster.yaml: ") == 7
