"""Indexes over real Ray: formats mixed, changes measured again, and a store that is down."""

import json
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.cluster.indexing import build_index
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.training import train
from orchestrator.config.data import DataConfig
from orchestrator.config.job import Job
from orchestrator.errors import StorageError
from tests.made_job import write_picture

MakeJob = Callable[..., Job]
pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("session")]


def talk(names: list[str], answer: str = "yes") -> dict[str, Any]:
    return {
        "images": names,
        "conversations": [
            {"from": "human", "value": "Which?"},
            {"from": "gpt", "value": answer},
        ],
    }


def job_over(make_job: MakeJob, name: str, folder: Path, train: Any, **data: Any) -> Job:
    """A job over data of its own, whose index nobody else has built."""
    job = make_job(name, train={"micro_tokens": 256}, storage={"path": str(folder / "runs")})
    given = DataConfig.model_validate_json(json.dumps({"train": train, **data}))
    return job.model_copy(update={"data": given}).resolved(folder)


@pytest.fixture
def three_kinds(tmp_path: Path) -> Path:
    """The same sort of groups as JSON Lines, as Parquet with bytes, and as a tar."""
    for number in range(12):
        write_picture(tmp_path / f"{number}.jpg", number)
    content = [(tmp_path / f"{number}.jpg").read_bytes() for number in range(12)]
    lines = [json.dumps(talk([f"{number}.jpg", "0.jpg"])) for number in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    columns = {
        "image": [{"bytes": content[number], "path": f"{number}.jpg"} for number in (6, 7, 8)],
        "instruction": ["<image>What is it?"] * 3,
        "output": ["noise"] * 3,
    }
    pq.write_table(pa.table(columns), tmp_path / "b.parquet")
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        for number in (9, 10, 11):
            for suffix, data in (
                ("jpg", content[number]),
                ("json", json.dumps(talk([], str(number))).encode()),
            ):
                member = tarfile.TarInfo(f"sample{number}.{suffix}")
                member.size = len(data)
                with (tmp_path / "member").open("w+b") as file:
                    file.write(data)
                    file.seek(0)
                    tar.addfile(member, file)
    return tmp_path


def test_data_sets_of_every_kind_are_mixed_by_weight_and_train_from_where_they_lie(
    three_kinds: Path, make_job: MakeJob, run_job: Callable[[Job], Any]
) -> None:
    train = [
        {"path": str(three_kinds / "a.jsonl")},
        {"path": str(three_kinds / "b.parquet"), "weight": 2},
        {"path": str(three_kinds / "c.tar"), "weight": 0.34},
    ]
    job = job_over(make_job, "mixed", three_kinds, train)
    index = prepare(job).indexes["train"]
    assert index.summary.by_source == (6, 3, 3)
    assert index.quarantine == []
    result = run_job(job)
    assert result.figures.samples_used == 3 * (6 + 2 * 3 + 1)


def test_only_what_changed_is_measured_again(tmp_path: Path, make_job: MakeJob) -> None:
    for number in range(3):
        write_picture(tmp_path / f"{number}.jpg", number)
    (tmp_path / "a.jsonl").write_text(json.dumps(talk(["0.jpg", "1.jpg"])))
    (tmp_path / "b.jsonl").write_text(json.dumps(talk(["2.jpg", "late.jpg"])))
    train = [{"path": str(tmp_path / name)} for name in ("a.jsonl", "a.jsonl", "b.jsonl")]
    job = job_over(make_job, "changes", tmp_path, train[:1] + train[2:])
    with pytest.raises(Exception, match="data set 2 of 2 has no row"):
        build_index(job, "train")
    write_picture(tmp_path / "late.jpg", 9)
    mended = build_index(job, "train")
    assert (mended.measured, mended.reused) == (1, 1)
    again = build_index(job, "train")
    assert (again.measured, again.reused) == (0, 2)
    assert again.index.summary == mended.index.summary
    write_picture(tmp_path / "1.jpg", 8, width=200)
    changed = build_index(job, "train")
    assert (changed.measured, changed.reused) == (1, 1)
    assert changed.index.summary.fingerprint != mended.index.summary.fingerprint
    assert changed.index.folder != mended.index.folder


def test_a_file_that_is_only_touched_makes_no_other_index(
    tmp_path: Path, make_job: MakeJob
) -> None:
    write_picture(tmp_path / "0.jpg", 0)
    (tmp_path / "a.jsonl").write_text(json.dumps(talk(["0.jpg"])))
    job = job_over(make_job, "touched", tmp_path, {"path": str(tmp_path / "a.jsonl")})
    before = build_index(job, "train")
    (tmp_path / "0.jpg").touch()
    after = build_index(job, "train")
    assert after.measured == 1
    assert after.index.summary == before.index.summary


def test_equal_rows_over_other_pictures_are_another_index(
    tmp_path: Path, make_job: MakeJob
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(talk(["0.jpg"])))
    places = []
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        write_picture(tmp_path / version / "0.jpg", 0)
        source = {"path": str(tmp_path / "a.jsonl"), "media_dir": str(tmp_path / version)}
        index = build_index(job_over(make_job, version, tmp_path, source), "train").index
        (medium,) = index.sample(0).media
        places.append((index.summary.fingerprint, index.folder, medium.location.url))
    (one, folder, url), (other, other_folder, other_url) = places
    assert one == other
    assert folder != other_folder
    assert (Path(url).parent.name, Path(other_url).parent.name) == ("v1", "v2")


def test_one_file_may_be_there_twice(tmp_path: Path, make_job: MakeJob) -> None:
    write_picture(tmp_path / "0.jpg", 0)
    rows = [json.dumps(talk(["0.jpg"], answer)) for answer in ("yes", "no")]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    entry = {"file_name": "a.jsonl", "formatting": "sharegpt"}
    told = {"one": entry, "two": entry}
    (tmp_path / "dataset_info.json").write_text(json.dumps(told))
    source = {"path": str(tmp_path / "dataset_info.json")}
    built = build_index(job_over(make_job, "twice", tmp_path, source), "train")
    assert built.index.num_samples == 4


def test_a_store_that_does_not_answer_ends_the_index_and_sets_no_row_aside(
    tmp_path: Path, make_job: MakeJob
) -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else gets the port, and nobody answers.
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "a.jsonl").write_text(json.dumps(talk([f"http://{host}/a.jpg"])))
        job = job_over(
            make_job, "down", tmp_path, {"path": str(tmp_path / "a.jsonl")}, hosts=[host]
        )
        with pytest.raises(StorageError, match=host):
            build_index(job, "train")
    assert not list((tmp_path / "runs").rglob("quarantine.jsonl"))


def test_images_written_at_the_jobs_size_are_all_that_training_needs(
    tmp_path: Path, make_job: MakeJob
) -> None:
    names = [f"{number}.jpg" for number in range(6)]
    for number, name in enumerate(names):
        write_picture(tmp_path / name, number, width=400, height=300)
    rows = [json.dumps(talk([name, names[0]])) for name in names]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    plain = job_over(make_job, "resized", tmp_path, {"path": str(tmp_path / "a.jsonl")})
    images = plain.images.model_copy(update={"pre_resized": True})
    job = plain.model_copy(update={"images": images})
    prepared = prepare(job)
    assert prepared.identity != prepare(plain).identity
    for name in names:
        (tmp_path / name).unlink()
    result = train(prepared, lambda _: None)
    assert result.figures.samples_used == 3 * 6
    assert result.quarantined == 0
