"""The schema that editors use, against the loader that counts."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import yaml

from orchestrator.config.load import load_job
from orchestrator.config.problems import sections_by_path
from orchestrator.config.schema import job_schema, schema_text

JOBS = Path(__file__).parents[3] / "jobs"
JOB_FILES = sorted(JOBS.glob("*.yaml"))


def test_the_schema_in_jobs_is_current() -> None:
    assert (JOBS / "job.schema.json").read_text(encoding="utf-8") == schema_text(), (
        "run `make schema`"
    )


@pytest.mark.parametrize("path", JOB_FILES, ids=lambda path: path.name)
def test_every_job_file_passes_the_loader_and_the_schema(path: Path) -> None:
    job = load_job(path)
    validator = jsonschema.Draft202012Validator(job_schema())
    # What the loader understood, since an editor follows YAML 1.2 as the loader does.
    validator.validate(job.model_dump(mode="json"))
    validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "wrong", [{"nmae": "x"}, {"train": {"epochs": "8"}}, {"scale": {"workers": [1]}}]
)
def test_the_schema_refuses_what_the_loader_refuses(wrong: dict[str, Any]) -> None:
    values = load_job(JOBS / "demo.yaml").model_dump(mode="json") | wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(job_schema()).validate(values)


def test_every_field_of_a_job_is_documented() -> None:
    schema = job_schema()
    json.dumps(schema)
    owners = [schema, *schema["$defs"].values()]
    bare = [
        name
        for owner in owners
        for name, field in owner["properties"].items()
        if not field.get("description")
    ]
    assert bare == []
    assert ("train", "epochs") in dict(sections_by_path())
