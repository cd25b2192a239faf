"""A job file that tests write and spoil."""

from collections.abc import Callable
from pathlib import Path

import pytest

MINIMAL = """\
name: mine
model: {path: Qwen/Qwen2.5-VL-7B-Instruct}
data: {train: {path: data/train.jsonl}}
"""


@pytest.fixture
def write_job(tmp_path: Path) -> Callable[[str], Path]:
    """Writes what every job has to say plus ``extra``, and returns the file."""

    def write(extra: str = "") -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(MINIMAL + extra, encoding="utf-8")
        return path

    return write
