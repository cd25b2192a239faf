"""The picture arithmetic of an index, kept beside it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.cluster import coder as module
from orchestrator.cluster.coder import CODER, coder_of
from orchestrator.cluster.tasks import IndexSpec
from orchestrator.errors import ModelError
from orchestrator.models.processor import image_coder
from tests.made_job import job_over


@pytest.fixture
def spec(tiny_model: Path, tmp_path: Path) -> IndexSpec:
    (tmp_path / "train.json").write_text("[]")
    job = job_over(tiny_model, tmp_path, tmp_path, "kept")
    return IndexSpec.of(job, "train", 128)


def test_it_is_read_from_the_model_once_and_then_found(spec: IndexSpec, tmp_path: Path) -> None:
    first = coder_of(spec, tmp_path)
    assert first == image_coder(spec.model, spec.budget)
    gone = replace(spec, model=str(tmp_path / "gone"))
    again = coder_of(gone, tmp_path)
    assert (again, repr(again)) == (first, repr(first))


def test_with_another_release_of_the_library_the_model_is_asked_again(
    spec: IndexSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder_of(spec, tmp_path)
    monkeypatch.setattr(module, "version", lambda _: "6.0")
    with pytest.raises(ModelError):
        coder_of(replace(spec, model=str(tmp_path / "gone")), tmp_path)
    coder_of(spec, tmp_path)
    assert json.loads((tmp_path / CODER).read_text())["transformers"] == "6.0"


def test_where_it_cannot_be_kept_it_is_read_each_time(spec: IndexSpec, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    nowhere = tmp_path / "taken" / "index"
    assert coder_of(spec, nowhere) == coder_of(spec, tmp_path)
