"""The JSON schema of a job file, for editors. Writes ``jobs/job.schema.json`` when run."""

import json
import sys
from typing import Any

from orchestrator.config.job import Job


def job_schema() -> dict[str, Any]:
    """The schema, with the text under each field as its description."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Job.model_json_schema(mode="validation"),
    }


def schema_text() -> str:
    """The schema as it lies in ``jobs/job.schema.json``."""
    return json.dumps(job_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
