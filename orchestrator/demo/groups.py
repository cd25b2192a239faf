"""The demo's data: groups of pictures, and a question that no single picture can answer.

Are all images of one colour? In half of the groups they are; in the others, one is not. No
picture tells by itself, so that guessing is right one time in two.

The groups held back for evaluation are counterbalanced, as in an experiment in psychology, so
that two controls come out at chance by design and not by luck:

* **First picture only.** Every first picture occurs twice, before equally many others: once in
  a group of one colour and once in a group that is not. Whatever a model makes of the first
  picture, it is right in one of the two.
* **Swapped pictures** (each group is shown the pictures of the next group of the same size, see
  ``data.variants``). In the file's order, taken as a ring, "yes" and "no" are each followed as
  often by "yes" as by "no". The answer wanted and the answer shown are thus independent, and a
  model that answers what it is shown, rightly or wrongly, is right in half of the cases.
"""

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.demo.pictures import KINDS, draw_jpeg, picture_size

Record = dict[str, Any]
Progress = Callable[[int, int], None]

GROUP_SIZES = (2, 3, 4, 5, 6)
QUESTION = "Are all images of one colour?"
ANSWERS = ("yes", "no")

_RING = (0, 0, 1, 1)
"""Places in ``ANSWERS``: on this ring every ordered pair is neighbours once (de Bruijn)."""

_DESIGN = 1
"""Counts up when equal settings come to mean other files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupSettings:
    """What the files of a folder depend on."""

    seed: int = 0

    train_groups: int = 160

    eval_rounds: int = 4
    """Times that the groups of each size go round a ring of four: 80 groups in all."""

    train_pictures: int = 120

    eval_pictures: int = 60


@dataclass(frozen=True, slots=True)
class _Picture:
    """One file to draw."""

    name: str
    kind: str
    number: int


def make_groups(
    folder: Path, settings: GroupSettings | None = None, progress: Progress | None = None
) -> None:
    """Draw the pictures and write ``train.json`` and ``eval.json`` beside them.

    A folder that was finished with the same settings is left as it is.

    Args:
        folder: Made if absent.
        settings: How many groups and pictures; the defaults if absent.
        progress: Called with the number of files done and the number of all of them.
    """
    settings = settings or GroupSettings()
    marker = folder / "done"
    wanted = json.dumps({"design": _DESIGN, **asdict(settings)}, sort_keys=True)
    if marker.exists() and marker.read_text() == wanted:
        return
    marker.unlink(missing_ok=True)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    train = _pictures("train", settings.train_pictures, first_number=0)
    held_back = _pictures("eval", settings.eval_pictures, first_number=len(train))
    _write_json(folder / "train.json", train_records(train, settings))
    _write_json(folder / "eval.json", eval_records(held_back, settings))
    _draw_all(folder, [*train, *held_back], settings.seed, progress)
    marker.write_text(wanted)


def train_records(pictures: Sequence[_Picture], settings: GroupSettings) -> list[Record]:
    """Groups to learn from: sizes in turn, answers in turn within a size, then shuffled."""
    rng = np.random.default_rng((settings.seed, 1))
    records = []
    for number in range(settings.train_groups):
        turn, place = divmod(number, len(GROUP_SIZES))
        shown = _choose(
            pictures[int(rng.integers(len(pictures)))], pictures, GROUP_SIZES[place], rng
        )
        records.append(_record(f"train-{number:03}", shown, ANSWERS[turn % 2], pictures, rng))
    return [records[place] for place in rng.permutation(len(records))]


def eval_records(pictures: Sequence[_Picture], settings: GroupSettings) -> list[Record]:
    """The counterbalanced groups, sizes in blocks; the order within a block is the design."""
    rng = np.random.default_rng((settings.seed, 2))
    records = []
    for size in GROUP_SIZES:
        places = rng.permutation(len(pictures))[: 2 * settings.eval_rounds]
        # An answer's first appearance goes to the first picture, its second to the second, ...
        unused = {answer: iter([pictures[place] for place in places]) for answer in ANSWERS}
        for turn, place in enumerate(_RING * settings.eval_rounds):
            answer = ANSWERS[place]
            shown = _choose(next(unused[answer]), pictures, size, rng)
            records.append(_record(f"eval-{size}-{turn:02}", shown, answer, pictures, rng))
    return records


def chance(records: Sequence[Record]) -> float:
    """The share of right answers, 0..1, of always giving the more frequent answer."""
    given = [record["conversations"][-1]["content"] for record in records]
    return max(given.count(answer) for answer in ANSWERS) / len(given)


def _choose(
    first: _Picture, pictures: Sequence[_Picture], size: int, rng: np.random.Generator
) -> list[_Picture]:
    """The first picture and others of its kind, ``size`` in all and no file twice."""
    alike = [p for p in pictures if p.kind == first.kind and p.name != first.name]
    return [first, *(alike[place] for place in rng.permutation(len(alike))[: size - 1])]


def _record(
    name: str,
    shown: list[_Picture],
    answer: str,
    pictures: Sequence[_Picture],
    rng: np.random.Generator,
) -> Record:
    """One record; for "no", a picture of another kind replaces one behind the first."""
    if answer == "no":
        unlike = [p for p in pictures if p.kind != shown[0].kind]
        shown[int(rng.integers(1, len(shown)))] = unlike[int(rng.integers(len(unlike)))]
    return {
        "id": name,
        "images": [f"images/{picture.name}" for picture in shown],
        "conversations": [
            {"role": "human", "content": QUESTION},
            {"role": "assistant", "content": answer},
        ],
    }


def _pictures(split: str, count: int, *, first_number: int) -> list[_Picture]:
    """Names and kinds of ``count`` files, kinds in turn."""
    return [
        _Picture(f"{split}-{place:03}.jpg", KINDS[place % len(KINDS)], first_number + place)
        for place in range(count)
    ]


def _write_json(path: Path, records: list[Record]) -> None:
    path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


def _draw_all(
    folder: Path, pictures: Sequence[_Picture], seed: int, progress: Progress | None
) -> None:
    # Spawned, not forked: the caller may hold threads.
    processes = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))
    with processes as pool:
        jobs = [pool.submit(_draw_one, folder, picture, seed) for picture in pictures]
        for done, job in enumerate(as_completed(jobs), start=1):
            job.result()
            if progress is not None:
                progress(done, len(pictures))


def _draw_one(folder: Path, picture: _Picture, seed: int) -> None:
    height, width = picture_size(picture.number)
    jpeg = draw_jpeg(picture.kind, height=height, width=width, seed=seed, index=picture.number)
    (folder / "images" / picture.name).write_bytes(jpeg)
