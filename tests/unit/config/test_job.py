"""Places in a job, seen from the folder that a command runs in."""

from collections.abc import Callable
from pathlib import Path

import pydantic
import pytest

from orchestrator.config.data import DataSource
from orchestrator.config.load import load_job
from orchestrator.errors import ConfigError

WriteJob = Callable[[str], Path]


def test_relative_paths_become_absolute(write_job: WriteJob, tmp_path: Path) -> None:
    job = load_job(write_job(""), ["tracking.uri=sqlite:///a/b.db"]).resolved(tmp_path)
    (train,) = job.data.training
    assert train.path == str(tmp_path / "data/train.jsonl")
    assert train.media_dir == str(tmp_path / "data")
    assert job.storage.path == str(tmp_path / "runs")
    assert job.tracking.uri == f"sqlite:///{tmp_path}/a/b.db"


def test_resolving_twice_changes_nothing(write_job: WriteJob, tmp_path: Path) -> None:
    job = load_job(write_job(""), ["data.eval.path=e.json"]).resolved(tmp_path)
    assert job.resolved(Path("/elsewhere")) == job


@pytest.mark.parametrize(
    "uri", ["http://host:5000", "databricks", "'sqlite:///:memory:'", "sqlite:////abs/x.db"]
)
def test_a_uri_that_is_no_relative_path_stays(
    write_job: WriteJob, tmp_path: Path, uri: str
) -> None:
    job = load_job(write_job(""), [f"tracking.uri={uri}"])
    assert job.resolved(tmp_path).tracking.uri == uri.strip("'")


def test_a_bucket_for_runs_stays_a_bucket(write_job: WriteJob, tmp_path: Path) -> None:
    job = load_job(write_job(""), ["storage.path=s3://bucket/runs"]).resolved(tmp_path)
    assert job.storage.path == "s3://bucket/runs"


def test_a_model_is_a_folder_if_there_is_one_and_a_hub_id_if_not(
    write_job: WriteJob, tmp_path: Path
) -> None:
    job = load_job(write_job(""))
    assert job.resolved(tmp_path).model.path == "Qwen/Qwen2.5-VL-7B-Instruct"
    (tmp_path / job.model.path).mkdir(parents=True)
    assert job.resolved(tmp_path).model.path == str(tmp_path / job.model.path)


def test_media_lie_beside_the_data_unless_named() -> None:
    assert DataSource(path="a/b.json").media_folder == "a"
    assert DataSource(path="a/b.json", media_dir="c").media_folder == "c"


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("shards/*.tar", "shards"),
        ("shards/0?/a-[0-9].tar", "shards"),
        ("saved", "saved"),
        ("data/train.json", "data"),
    ],
)
def test_media_lie_beside_patterns_and_in_folders(
    write_job: WriteJob, tmp_path: Path, path: str, folder: str
) -> None:
    (tmp_path / "saved").mkdir()
    job = load_job(write_job(""), [f"data.train.path='{path}'"]).resolved(tmp_path)
    assert job.data.training[0].media_dir == str(tmp_path / folder)


def test_media_of_a_folder_in_a_bucket_lie_in_it(write_job: WriteJob, tmp_path: Path) -> None:
    job = load_job(write_job(""), ["data.train.path=s3://b/data/"]).resolved(tmp_path)
    assert job.data.training[0].media_dir == "s3://b/data"


def test_a_job_survives_its_own_dump_and_cannot_be_changed(write_job: WriteJob) -> None:
    job = load_job(write_job(""))
    assert type(job).model_validate_json(job.model_dump_json()) == job
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        job.name = "other"


@pytest.mark.parametrize(
    "name", ["../up", ".hidden", "a/b", "a b", "", "-rf", "a\n", "x" * 101]
)
def test_a_name_that_is_no_safe_folder_is_refused(write_job: WriteJob, name: str) -> None:
    job = load_job(write_job("")).model_dump(mode="json") | {"name": name}
    with pytest.raises(pydantic.ValidationError):
        type(load_job(write_job("")))(**job)


@pytest.mark.parametrize("gate", ["projector", "tower"])
def test_workers_that_share_a_base_cannot_train_its_tower(
    write_job: WriteJob, gate: str
) -> None:
    gated = [f"train.unfreeze={gate}"]
    assert load_job(write_job(""), gated).train.unfreeze == gate
    shared = ["scale.workers=[2, 4]", "scale.workers_per_cell=2"]
    assert load_job(write_job(""), shared).scale.cells == (1, 2)
    with pytest.raises(ConfigError, match=r"scale.*workers_per_cell to 1, or train\.unfreeze"):
        load_job(write_job(""), [*gated, *shared])


def test_features_are_cached_where_they_stay_and_each_worker_has_all_of_the_tower(
    write_job: WriteJob,
) -> None:
    cached = ["train.cache_features_gib=2.5"]
    assert load_job(write_job(""), cached).train.cache_features_gib == 2.5
    with pytest.raises(ConfigError, match=r"train.*features change at every step: set it to 0"):
        load_job(write_job(""), [*cached, "train.unfreeze=projector"])
    shared = ["scale.workers=[2, 4]", "scale.workers_per_cell=2"]
    with pytest.raises(ConfigError, match=r"or train\.cache_features_gib to 0"):
        load_job(write_job(""), [*cached, *shared])


def test_nothing_is_offloaded_of_what_is_not_kept(write_job: WriteJob) -> None:
    assert load_job(write_job(""), ["train.offload=true"]).train.offload
    with pytest.raises(ConfigError, match="set recompute to true"):
        load_job(write_job(""), ["train.offload=true", "train.recompute=false"])
