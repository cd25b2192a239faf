"""What a picture costs through Ray, against the bare loop; first batches; consumers; memory.

Photographs are made once and used many times over, so the disk is not what is measured. CPU
time is the measure, of every process of the cluster by its role, so that a neighbour's load
spoils little.

    python -m tests.bench.handout --what ratio
    python -m tests.bench.handout --what consumers
    python -m tests.bench.handout --what shards
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import psutil
import pyarrow as pa
import ray
from PIL import Image

from orchestrator.cluster.fetching import HandOutClient
from orchestrator.cluster.handout import Course, HandOut
from orchestrator.cluster.internals import start_on_head
from orchestrator.cluster.session import open_session
from orchestrator.config.images import ImageBudget
from orchestrator.config.videos import VideoBudget
from orchestrator.data.index import Index
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.places.location import Location
from orchestrator.data.render import Renderer, num_pictures, render
from orchestrator.data.rows import RenderMedium
from orchestrator.data.shard_keys import index_keys, unwritten
from orchestrator.data.shard_writer import write_shards
from orchestrator.data.shards import ShardMap, write_map
from orchestrator.models.qwen import QwenImages
from orchestrator.plan.deal import deal_step
from orchestrator.plan.mix import Mix, Share
from orchestrator.plan.steps import Address, Part, Plan
from orchestrator.storage import Store
from tests.made_index import make_index

SIZES = ((480, 640), (768, 1024), (1200, 1600), (1536, 2048), (2448, 3264), (3000, 4000))
"""Height and width of photographs: 0.3 to 12 million pixels."""
CODER = QwenImages(
    patch=14,
    merge=2,
    temporal=2,
    min_pixels=3136,
    max_pixels=589_824,
    rescale=1 / 255,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
)
RENDERER = Renderer(CODER, media_kinds(ImageBudget(), VideoBudget()))
GROUP = 4
"""Pictures of a sample."""


def photograph(height: int, width: int, seed: int) -> np.ndarray[Any, Any]:
    """Texture whose strength falls with its frequency, and a sensor's noise."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, across), 1 / max(height, width))
    phases = rng.uniform(0, 2 * np.pi, falling.shape)
    grey_HW = np.fft.irfft2(falling * np.exp(1j * phases), s=(height, width))
    grey_HW *= 45 / grey_HW.std()
    colour_HWC = grey_HW[..., None] * (1.0, 0.9, 0.7) + 120
    noisy_HWC = colour_HWC + rng.normal(0, 4, colour_HWC.shape)
    return np.clip(noisy_HWC, 0, 255).astype(np.uint8)


def write_photographs(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    """One JPEG of each size."""
    paths = []
    for seed, (height, width) in enumerate(sizes):
        path = folder / f"{width}x{height}.jpg"
        Image.fromarray(photograph(height, width, seed)).save(path, quality=88)
        paths.append(path)
    return paths


def medium_of(path: Path) -> RenderMedium:
    """A photograph at the size that the model wants."""
    with Image.open(path) as image:
        width, height = image.size
    return RenderMedium("image", Location(str(path)), (CODER.target_size(height, width),))


def make_course(
    folder: Path, num_samples: int, sizes: Sequence[tuple[int, int]] = SIZES, group: int = GROUP
) -> Course:
    """One epoch over samples of photographs, a micro-batch a sample, eight to a step."""
    folder.mkdir()
    media = [medium_of(path) for path in write_photographs(folder, sizes)]
    samples = [
        [media[(number + n) % len(media)] for n in range(group)]
        for number in range(num_samples)
    ]
    index = make_index(folder / "index", samples)
    plan = {
        "epochs": 1,
        "global_batch": 8,
        "micro_tokens": int(index.tokens_N.max()),
        "seed": 1,
        "mix": Mix((Share(num_samples, 1.0),)),
    }
    return Course(index_dir=index.folder, plan=plan, spec=RENDERER)


@ray.remote(num_cpus=0)
class Consumer:
    """One rank that computes nothing, and waits for what is rendered ahead."""

    def __init__(self, handout: Any, rank: int, world_size: int) -> None:
        self._handout = handout
        self._client = HandOutClient(handout)
        self._place = rank, world_size

    def step(self, part: Part, step: int) -> int:
        """Fetch one's hand of a step; pictures."""
        rank, world_size = self._place
        plan = self._client.step_plan(part, step)
        pictures = 0
        for micro in deal_step(plan.cost_K, world_size=world_size)[rank]:
            batch = MicroBatch.from_table(self._fetch(part, plan.address(micro)))
            pictures += int(batch.images_S.sum())
        return pictures

    def _fetch(self, part: Part, address: Address) -> pa.Table:
        # A rank would soon render for itself, and the two ways would be mixed.
        while True:
            for ref in ray.get(self._handout.fetch.remote(part, address)):
                return ray.get(ref)


def cpu_by_role() -> Counter[str]:
    """CPU seconds so far of every process that came from this one."""
    used: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        try:
            times, words = process.cpu_times(), process.cmdline()
        except psutil.Error:
            continue
        used[role_of(words)] += times.user + times.system
    return used


def role_of(words: Sequence[str]) -> str:
    """Who a process is, by its title."""
    title = " ".join(words)
    for role in ("HandOut", "Consumer"):
        if title.startswith(f"ray::{role}"):
            return role
    return "renderers" if title.startswith("ray::") else "Ray itself"


def bare(index: Index, plan: Plan, shards: ShardMap | None = None) -> float:
    """CPU seconds a picture of a loop that renders and nothing else."""
    started_s, pictures = time.process_time(), 0
    for step in plan.steps_from(0):
        for micro, each in enumerate(step.micros):
            rows = index.rows(each.samples)
            rows = shards.apply(rows) if shards else rows
            batch = render(rows, step.address(micro), RENDERER)
            pictures += sum(map(num_pictures, rows))
            assert len(batch.patches_PD)
    return (time.process_time() - started_s) / pictures


def start_handout(courses: dict[Part, Course]) -> Any:
    """The actor, as a training starts it."""
    return start_on_head(HandOut, courses, frozenset(), max_concurrency=64)


def run_through(consumers: Sequence[Any], part: Part, steps: int) -> int:
    """All steps, all consumers at one step at a time; the pictures."""
    return sum(
        pictures
        for step in range(steps)
        for pictures in ray.get([each.step.remote(part, step) for each in consumers])
    )


def measured(
    course: Course, warming: Course, world_size: int
) -> tuple[dict[str, float], float]:
    """CPU milliseconds a picture by role, and pictures a second, once all are warm."""
    handout = start_handout({"train": course, "eval": warming})
    consumers = [Consumer.remote(handout, rank, world_size) for rank in range(world_size)]
    run_through(consumers, "eval", warming.open()[1].num_steps)
    before, started_s = cpu_by_role(), time.monotonic()
    pictures = run_through(consumers, "train", course.open()[1].num_steps)
    wall_s = time.monotonic() - started_s
    used = cpu_by_role()
    used.subtract(before)
    for actor in (handout, *consumers):
        ray.kill(actor)
    return {role: 1000 * used[role] / pictures for role in sorted(used)}, pictures / wall_s


def first_batch(course: Course, step: int) -> str:
    """Seconds from asking for a hand-out until it is there, and to the first micro-batch."""
    started_s = time.monotonic()
    handout = start_handout({"train": course})
    ray.get(handout.__ray_ready__.remote())
    there_s = time.monotonic()
    took_s = first_of(handout, step)
    ray.kill(handout)
    return f"{took_s:.2f} s, and {there_s - started_s:.2f} s for the hand-out itself"


def first_of(handout: Any, step: int) -> float:
    """Seconds to the first micro-batch of a step from a hand-out that is there."""
    started_s = time.monotonic()
    client = HandOutClient(handout)
    client.fetch_table("train", client.step_plan("train", step).address(0))
    return time.monotonic() - started_s


def measure_ratio(folder: Path) -> None:
    """The bare loop and the whole way, in turns."""
    course, warming = make_course(folder / "photos", 96), make_course(folder / "warming", 16)
    index, plan = course.open()
    with open_session(None, cpus=2):
        print(f"first batch, cold: {first_batch(course, 0)}")
        for step in (0, plan.num_steps - 1, 0):
            print(f"first batch of step {step}, warm: {first_batch(course, step)}")
        for _ in range(3):
            bare_ms = 1000 * bare(index, plan)
            each, speed = measured(course, warming, 2)
            print(
                f"bare {bare_ms:.1f} CPU ms a picture; through Ray {told(each)}; renderers at "
                f"{100 * bare_ms / each['renderers']:.0f} %, everybody at "
                f"{100 * bare_ms / sum(each.values()):.0f} %; {speed:.0f} pictures/s"
            )


def measure_consumers(folder: Path) -> None:
    """Tiny micro-batches to many: what the hand-out itself can do."""
    tiny: dict[str, Any] = {"sizes": ((56, 56),), "group": 1}
    course = make_course(folder / "tiny", 800, **tiny)
    warming = make_course(folder / "warming", 64, **tiny)
    with open_session(None, cpus=2):
        for world_size in (2, 4, 8):
            each, speed = measured(course, warming, world_size)
            print(
                f"{world_size} consumers: {speed:.0f} micro-batches/s; CPU ms each {told(each)}"
            )


def told(each: dict[str, float]) -> str:
    """Figures by role, in words."""
    return ", ".join(f"{role} {figure:.1f}" for role, figure in each.items())


def measure_shards(folder: Path) -> None:
    """Pictures at the job's size, against the originals: bytes, and the bare loop."""
    course = make_course(folder / "photos", 48)
    index, plan = course.open()
    store = Store.open(str(folder / "shards"))
    pictures = index_keys(index, RENDERER.kinds)
    wanted = list(unwritten(index, pictures.keys_I, np.empty(0, pictures.keys_I.dtype)))
    originals = sum(Path(each.medium.location.url).stat().st_size for each in wanted)
    started_s = time.process_time()
    catalogues = list(write_shards(wanted, RENDERER.kinds, store))
    written_s = time.process_time() - started_s
    copies = sum(int(each.entries_E["length"].sum()) for each in catalogues)
    pixels = sum(h * w for each in wanted for h, w in each.medium.targets)
    print(
        f"{len(wanted)} pictures: originals {originals / len(wanted) / 1000:.0f} kB each, "
        f"copies {copies / len(wanted) / 1000:.0f} kB ({copies / pixels:.2f} bytes a pixel); "
        f"written at {len(wanted) / written_s:.0f} pictures/s a core"
    )
    shards = write_map(index, RENDERER.kinds, store, pictures, catalogues)
    for _ in range(3):
        original_s, copy_s = bare(index, plan), bare(index, plan, shards)
        print(
            f"rendered, a core: {1 / original_s:.0f} pictures/s from originals, "
            f"{1 / copy_s:.0f} from shards"
        )


MEASURES = {"ratio": measure_ratio, "consumers": measure_consumers, "shards": measure_shards}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=sorted(MEASURES), default="ratio")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        MEASURES[given.what](Path(folder))


if __name__ == "__main__":
    main()
