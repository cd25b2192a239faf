"""What a run leaves for others."""

import json
from pathlib import Path

import pytest

from orchestrator.config.job import Job
from orchestrator.errors import InputError
from orchestrator.storage import Store
from orchestrator.train.result import ADAPTER, export_run, local_adapter

FILES = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    fields = {
        "name": "demo",
        "model": {"path": "nobody/nothing"},
        "data": {"train": {"path": "train.json"}},
        "storage": {"path": str(tmp_path / "runs")},
    }
    return Job.model_validate_json(json.dumps(fields))


@pytest.fixture
def run(job: Job) -> Store:
    """The run of the job, with an adapter."""
    store = Store.open(job.storage.path).child(job.name)
    for name, content in FILES.items():
        store.write(f"{ADAPTER}/{name}", content)
    return store


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_an_adapter_is_on_this_machine_for_as_long_as_it_is_needed(run: Store) -> None:
    with local_adapter(run) as folder:
        assert contents(folder) == FILES
    assert not folder.exists()


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("is_there", [True, False])
def test_an_adapter_is_exported_to_a_new_or_empty_folder(
    job: Job, tmp_path: Path, *, is_there: bool
) -> None:
    folder = tmp_path / "deep" / "out"
    if is_there:
        folder.mkdir(parents=True)
    assert export_run(job, folder, merged=False) == sorted(FILES)
    assert contents(folder) == FILES


@pytest.mark.usefixtures("run")
def test_what_is_in_a_folder_is_not_written_over(job: Job, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"mine")
    for taken in (tmp_path / "out", tmp_path / "out" / "mine"):
        with pytest.raises(InputError, match="is there and not empty") as caught:
            export_run(job, taken, merged=False)
        assert str(taken) in str(caught.value)
    assert contents(tmp_path / "out") == {"mine": b"mine"}


@pytest.mark.parametrize("merged", [True, False])
def test_a_run_without_an_adapter_has_nothing_to_export(
    job: Job, tmp_path: Path, *, merged: bool
) -> None:
    with pytest.raises(InputError, match="no adapter yet") as caught:
        export_run(job, tmp_path / "out", merged=merged)
    assert "orchestrator train" in caught.value.fix
    assert not (tmp_path / "out").exists()
