"""Measure how fast pictures become patches, and how true: ``python -m tests.bench.images``.

One thread, CPU time, the ways taken in turn, the median of some rounds. True means close to a
full decode and Pillow's bicubic, in dB (45 dB: off by 1.4 of 255 in the root mean square).
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image

from orchestrator.data.coder import Pixels
from orchestrator.data.media import jpeg
from orchestrator.data.media.header import read_header
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.models.qwen import QwenImages
from tests.bench.photos import SAVED_AS, describe, write_set

HALF = (0.5, 0.5, 0.5)
CODER = QwenImages(
    patch=14,
    merge=2,
    temporal=2,
    min_pixels=3_136,
    max_pixels=589_824,
    rescale=1 / 255,
    mean=HALF,
    std=HALF,
)
FAST = ImageMedium(max_source_pixels=200_000_000, background="#ffffff")
EXACT = ImageMedium(max_source_pixels=200_000_000, background="#ffffff", exact_pixels=True)


def by_medium(medium: ImageMedium) -> Callable[[Path], Pixels | None]:
    """From the header to patches, as index and renderer do it together."""

    def patches(path: Path) -> Pixels:
        content = Content(path.name, Location(str(path)))
        targets = medium.cost(medium.probe(content), CODER)
        (pixels_HWC,) = medium.load(content, targets)
        return CODER.patches(pixels_HWC)

    return patches


def pillow_full(path: Path) -> Pixels:
    """What stock processors do: all pixels decoded, resized by Pillow."""
    with Image.open(path) as image:
        height, width = CODER.target_size(image.height, image.width)
        small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return CODER.patches(np.asarray(small))


def pillow_draft(path: Path) -> Pixels:
    """Pillow's own scaled decoding, by halves."""
    with Image.open(path) as image:
        height, width = CODER.target_size(image.height, image.width)
        image.draft(None, (width, height))
        small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return CODER.patches(np.asarray(small))


def decoder_alone(path: Path) -> None:
    """The decoder at the scale that we decode at, and nothing else: what no way can beat."""
    with path.open("rb") as file:
        header = read_header(file)
    if header is None or header.kind != "JPEG":
        with Image.open(path) as image:
            image.load()
        return
    jpeg.decode(
        path.read_bytes(), header, path.name, CODER.target_size(header.height, header.width)
    )


def smallest_scale(path: Path) -> None:
    """The decoder at the smallest of its sizes that is no smaller than the target."""
    data = path.read_bytes()
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    least_height, least_width = CODER.target_size(height, width)
    simplejpeg.decode_jpeg(data, min_height=least_height, min_width=least_width)


WAYS: dict[str, Callable[[Path], Pixels | None]] = {
    "ours": by_medium(FAST),
    "ours, exact_pixels": by_medium(EXACT),
    "Pillow full": pillow_full,
    "Pillow draft": pillow_draft,
    "decoder alone, our scale": decoder_alone,
    "decoder alone, least scale": smallest_scale,
}
JPEG_ONLY = {"Pillow draft", "decoder alone, least scale"}


def measure(paths: list[Path], ways: list[str], num_rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every picture by every way, the ways in turn."""
    taken = {way: [[0.0] * num_rounds for _ in paths] for way in ways}
    for number, path in enumerate(paths):
        for turn in range(num_rounds):
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                start = time.process_time()
                WAYS[way](path)
                taken[way][number][turn] = time.process_time() - start
    return {way: [statistics.median(rounds) for rounds in taken[way]] for way in ways}


def fidelity(paths: list[Path], way: str) -> list[float]:
    """Distance of every picture from a full decode and Pillow's bicubic, in dB."""
    return [_psnr(WAYS[way](path), pillow_full(path)) for path in paths]


def _psnr(patches: Pixels | None, wanted: Pixels) -> float:
    if patches is None:
        return math.nan
    error = np.mean((patches.astype(np.float32) - wanted) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def microseconds_a_header(paths: list[Path], num_rounds: int) -> tuple[float, float]:
    """To find, open and read a header as the index does, and as Pillow does."""

    def ours(path: Path) -> None:
        FAST.probe(Content(path.name, Location(str(path))))

    def pillows(path: Path) -> None:
        with Image.open(path) as image:
            image.getexif()

    taken = []
    for way in (ours, pillows):
        rounds = []
        for _ in range(num_rounds):
            start = time.process_time()
            for path in paths * 20:
                way(path)
            rounds.append((time.process_time() - start) / (20 * len(paths)))
        taken.append(statistics.median(rounds) * 1e6)
    return taken[0], taken[1]


def peak_megabytes(path: Path, small: Path, way: str) -> float:
    """What the largest picture adds to a fresh process that has done a small one."""
    command = [sys.executable, "-m", "tests.bench.images", "--peak", way, str(small), str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(said.stdout)


def print_peak(way: str, small: str, large: str) -> None:
    """Run one way in this process, and print by how much its peak grew, in MB."""
    WAYS[way](Path(small))
    before = _peak_kilobytes()
    WAYS[way](Path(large))
    print((_peak_kilobytes() - before) / 1024)


def _peak_kilobytes() -> int:
    # Not ru_maxrss: a process inherits it from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def report(kind: str, paths: list[Path], num_rounds: int) -> None:
    """Print the table of one set."""
    print(f"\n{kind}: {'; '.join(describe(paths))}")
    ours, pillows = microseconds_a_header(paths[:12], num_rounds)
    print(f"a header takes {ours:.0f} µs, by Pillow {pillows:.0f} µs")
    print(f"{'':28}{'images/s':>9}{'of full':>9}{'worst dB':>10}{'median':>8}{'peak MB':>9}")
    ways = [way for way in WAYS if "JPEG" in SAVED_AS[kind]["format"] or way not in JPEG_ONLY]
    seconds = measure(paths, ways, num_rounds)
    by_bytes = sorted(paths, key=lambda path: path.stat().st_size)
    for way in ways:
        rate = len(paths) / sum(seconds[way])
        ratio = sum(seconds["Pillow full"]) / sum(seconds[way])
        decibels = fidelity(paths, way)
        peak = peak_megabytes(by_bytes[-1], by_bytes[0], way)
        print(
            f"{way:28}{rate:9.1f}{ratio:9.2f}{min(decibels):10.1f}"
            f"{statistics.median(decibels):8.1f}{peak:9.0f}"
        )


def main() -> None:
    """Make the sets that are not there yet, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=120, help="pictures of the JPEG set")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=list(SAVED_AS), choices=list(SAVED_AS))
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="kept between runs")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print_peak(*options.peak)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    # Hundreds of megabytes that nobody wants in a commit.
    (options.folder / ".gitignore").write_text("*\n", encoding="ascii")
    print(
        f"to at most {CODER.max_pixels} pixels, sides multiples of {CODER.factor}; one thread"
    )
    for kind in options.sets:
        count = options.images if kind == "jpeg" else max(4, options.images // 10)
        report(kind, write_set(options.folder / f"{kind}-{count}", kind, count), options.rounds)


if __name__ == "__main__":
    main()
