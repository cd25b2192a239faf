"""How long an index takes: first, again with nothing changed, and with a little changed.

Every image is a file of its own with a camera's EXIF in its header; what follows the header is
cut short, as nobody reads it here. Files are made once and kept in the folder given.

    python -m tests.bench.index --samples 100000
"""

import argparse
import io
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from orchestrator.cluster.indexing import BuiltIndex, build_index
from orchestrator.cluster.session import open_session
from orchestrator.config.job import Job
from orchestrator.demo.tiny_model import write_tiny_model

# Of 376 images in 100 groups.
GROUP_SIZES = (2, 2, 3, 3, 4, 4, 4, 5, 5, 6)
KEPT_BYTES = 8192


def headers(num_kinds: int = 64) -> list[bytes]:
    """The beginnings of photographs of many sizes, some of them turned."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(num_kinds):
        width, height = (int(side) for side in rng.integers(400, 4000, 2))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        exif[0x010F] = "A camera maker " * 40
        file = io.BytesIO()
        Image.new("RGB", (width, height), (number, 90, 90)).save(
            file, "JPEG", exif=exif, quality=88
        )
        found.append(file.getvalue()[:KEPT_BYTES])
    return found


def write_data(folder: Path, num_samples: int) -> Path:
    """A data file and its images, unless they are there."""
    data = folder / "train.jsonl"
    if data.exists():
        return data
    kinds = headers()
    picture = 0
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for row in range(num_samples):
        names = []
        for _ in range(GROUP_SIZES[row % len(GROUP_SIZES)]):
            shelf = folder / "images" / f"{picture // 2000:04d}"
            shelf.mkdir(exist_ok=True)
            name = shelf / f"{picture:07d}.jpg"
            name.write_bytes(kinds[picture % len(kinds)])
            names.append(name.relative_to(folder).as_posix())
            picture += 1
        rows.append(json.dumps(conversation(row, names)))
    written = data.with_suffix(".new")
    written.write_text("\n".join(rows) + "\n")
    written.rename(data)
    return data


def conversation(row: int, names: list[str]) -> dict[str, object]:
    """A question and an answer of some twenty words each."""
    words = random.Random(row).choices(
        ["the", "a", "left", "right", "image", "door", "red", "blue", "moved", "new"], k=40
    )
    return {
        "id": f"sample-{row}",
        "images": names,
        "conversations": [
            {
                "from": "human",
                "value": "".join("<image>" for _ in names) + " ".join(words[:20]),
            },
            {"from": "gpt", "value": " ".join(words[20:])},
        ],
    }


def job_over(folder: Path, data: Path) -> Job:
    """A job whose runs and indexes are in ``folder``."""
    model = folder / "model"
    if not model.exists():
        write_tiny_model(model, size="test")
    job = {
        "name": "bench",
        "model": {"path": str(model)},
        "data": {"train": {"path": str(data)}},
        "train": {"micro_tokens": 16384},
        "storage": {"path": str(folder / "runs")},
    }
    return Job.model_validate_json(json.dumps(job)).resolved(Path.cwd())


def cpu_s() -> float:
    """CPU seconds of this process and all that came from it."""
    root = psutil.Process()
    times = [one.cpu_times() for one in family(root)]
    return sum(each.user + each.system for each in times)


def family(root: psutil.Process) -> Iterator[psutil.Process]:
    """A process and its descendants that are still there."""
    yield root
    for child in root.children(recursive=True):
        try:
            child.cpu_times()
        except psutil.Error:
            continue
        yield child


def timed(what: str, job: Job) -> BuiltIndex:
    """Build the index and say how long it took."""
    started_s, started_cpu_s = time.monotonic(), cpu_s()
    built = build_index(job, "train")
    wall_s, used_s = time.monotonic() - started_s, cpu_s() - started_cpu_s
    summary = built.index.summary
    print(
        f"{what}: {wall_s:.1f} s, {used_s:.1f} CPU s; {built.measured} chunks measured, "
        f"{built.reused} reused; {summary.num_samples} samples, {summary.num_images} images, "
        f"{summary.num_bad} bad"
    )
    return built


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="kept, with the files made; else temporary")
    parser.add_argument("--cpus", type=int, default=2)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="bench-index-"))
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        started_s = time.monotonic()
        data = write_data(folder, given.samples)
        print(f"files: {time.monotonic() - started_s:.0f} s, not part of what is measured")
        job = job_over(folder, data)
        shutil.rmtree(folder / "runs", ignore_errors=True)
        with open_session(None, cpus=given.cpus):
            timed("first", job)
            timed("again, nothing changed", job)
            touched = next((folder / "images" / "0000").iterdir())
            os.utime(touched)
            timed("again, one image changed", job)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
