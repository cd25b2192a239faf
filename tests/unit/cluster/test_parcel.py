"""What goes to a cluster, what does not, and what is said of it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import orchestrator
from orchestrator.cluster import parcel as under_test
from orchestrator.cluster.parcel import JOB_FILE, code_files, pack
from orchestrator.config.job import Job
from orchestrator.config.load import load_job
from orchestrator.errors import ConfigError, InputError

PLACES = {
    "name": "far",
    "model": {"path": "Qwen/Qwen2.5-VL-7B-Instruct"},
    "data": {"train": {"path": "s3://bucket/train.jsonl"}},
    "tracking": {"uri": "http://mlflow.internal:5000"},
    "storage": {"path": "s3://bucket/runs"},
}


def job_with(**sections: Any) -> Job:
    # As JSON: strict sections refuse the lists of Python for their tuples.
    return Job.model_validate_json(json.dumps({**PLACES, **sections}))


def package(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)


def test_a_parcel_holds_the_job_and_our_code_and_nothing_else(tmp_path: Path) -> None:
    own = Path(orchestrator.__file__).parent
    parcel = pack(job_with(), tmp_path, own)
    job_folder, code_folder = parcel.write(tmp_path)
    assert [path.name for path in job_folder.iterdir()] == [JOB_FILE]
    assert load_job(job_folder / JOB_FILE) == job_with()
    assert code_folder is not None
    sent = {path.relative_to(code_folder).as_posix() for path in code_folder.rglob("*.*")}
    assert {"cli/__init__.py", "__main__.py", "data/templates/vqa.txt"} < sent
    assert sent == set(parcel.code)
    assert {Path(name).suffix for name in sent} == {".py", ".txt"}
    assert parcel.num_bytes < 3e6


def test_overrides_travel_in_the_job_file(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(PLACES))
    job = load_job(path, ["train.epochs=7"])
    assert yaml.safe_load(pack(job, tmp_path, None).job_yaml)["train"]["epochs"] == 7


def test_what_git_ignores_and_what_is_no_code_stays_here(tmp_path: Path) -> None:
    files = {
        "a.py": "", "deep/b.py": "", "template.txt": "", "secret.py": "", ".env": "KEY=1",
        "id_rsa": "PRIVATE", "picture.jpg": "x", ".gitignore": "secret.py\n.env\n",
    }  # fmt: skip
    package(tmp_path, files)
    git(tmp_path, "init", "-q")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    code, left_out = code_files(tmp_path)
    assert set(code) == {"a.py", "deep/b.py", "template.txt"}
    assert set(left_out) == {".gitignore", "id_rsa", "picture.jpg", "link.py"}


def test_code_that_is_no_checkout_is_chosen_by_its_endings(tmp_path: Path) -> None:
    files = {"a.py": "", "__pycache__/a.cpython-311.pyc": "", "weights.bin": "x"}
    code, left_out = code_files(package(tmp_path, files))
    assert set(code) == {"a.py"}
    assert left_out == ("weights.bin",)


def test_too_much_code_is_refused_and_the_largest_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MOST_BYTES", 3_000_000)
    files = {"small.py": "x", "dump.txt": "x" * 2_500_000, "old/dump.txt": "x" * 1_500_000}
    with pytest.raises(InputError, match=r"4\.0 MB of code, at most 3\.0") as caught:
        pack(job_with(), tmp_path, package(tmp_path, files))
    assert "dump.txt (2.5 MB), old/dump.txt (1.5 MB), small.py" in caught.value.problem


def test_every_place_that_the_cluster_cannot_reach_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "mine.txt").write_text("{instruction} {numbered_images}")
    source = {"path": "data/train.json", "media_dir": "~/pictures", "template": "mine.txt"}
    job = job_with(
        model={"path": "model"},
        data={"train": source, "eval": {"path": "eval.json"}, "roots": ["more"]},
        tracking={"uri": "sqlite:///mlflow.db"},
        storage={"path": "runs"},
    )
    with pytest.raises(ConfigError) as caught:
        pack(job, tmp_path, None)
    said = str(caught.value).splitlines()
    fields = [line.partition(":")[0] for line in said]
    assert fields == [
        "model.path", "data.train.path", "data.train.media_dir", "data.train.template",
        "data.eval.path", "data.roots", "tracking.uri", "storage.path",
    ]  # fmt: skip
    assert all("bucket, or a folder that all machines share" in line for line in said)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("model", {"path": "/models/qwen"}),
        ("model", {"path": "gpt/some-hub-id"}),
        ("data", {"train": {"path": "/data/train.json", "template": "comparison"}}),
        ("data", {"train": [{"path": "gs://b/a.json"}, {"path": "/data/*.parquet"}]}),
        ("tracking", {"uri": "sqlite:////shared/mlflow.db"}),
        ("tracking", {"uri": "databricks"}),
        ("storage", {"path": "/shared/runs"}),
    ],
)
def test_buckets_full_paths_hub_ids_and_shipped_templates_may_go(
    tmp_path: Path, section: str, value: dict[str, Any]
) -> None:
    parcel = pack(job_with(**{section: value}), tmp_path, None)
    assert not parcel.code
    assert all(place.startswith("/") for place in parcel.shared)


def test_shared_folders_are_named_for_the_person(tmp_path: Path) -> None:
    job = job_with(storage={"path": "/shared/runs"}, tracking={"uri": "sqlite:////shared/m.db"})
    assert pack(job, tmp_path, None).shared == ("/shared/m.db", "/shared/runs")


def test_a_password_in_a_job_does_not_leave_this_machine(tmp_path: Path) -> None:
    job = job_with(tracking={"uri": "https://me:hunter2@mlflow.internal"})
    with pytest.raises(ConfigError, match=r"tracking\.uri: holds a password"):
        pack(job, tmp_path, None)
