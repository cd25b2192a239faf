"""The demo's held-back groups leave no way round looking at all the pictures."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.data.variants import Images, partners
from orchestrator.demo import groups
from orchestrator.demo.groups import GroupSettings, Record

SETTINGS = GroupSettings()
PICTURES = groups._pictures("eval", SETTINGS.eval_pictures, first_number=0)
KIND = {f"images/{picture.name}": picture.kind for picture in PICTURES}
EVAL = groups.eval_records(PICTURES, SETTINGS)


def varied(images: Images) -> list[Record]:
    """The groups as evaluation shows them, pictures withheld or swapped."""
    givers = partners([(len(record["images"]), tuple(record["images"])) for record in EVAL])
    assert all(place != giver for place, giver in givers.items())
    shown = {
        "all": [record["images"] for record in EVAL],
        "first": [record["images"][:1] for record in EVAL],
        "swapped": [EVAL[givers[place]]["images"] for place in range(len(EVAL))],
    }
    return [
        {**record, "images": pictures}
        for record, pictures in zip(EVAL, shown[images], strict=True)
    ]


def answer_of(record: Record) -> str:
    return str(record["conversations"][-1]["content"])


def accuracy(predict: Callable[[Record], str], shown: list[Record]) -> float:
    return sum(map(str.__eq__, map(predict, shown), map(answer_of, EVAL))) / len(EVAL)


def perfect(record: Record) -> str:
    return "yes" if len({KIND[image] for image in record["images"]}) == 1 else "no"


def contrary(record: Record) -> str:
    return "no" if perfect(record) == "yes" else "yes"


def by_name(record: Record) -> str:
    return groups.ANSWERS[sum(map(ord, record["images"][0])) % 2]


def test_looking_at_all_the_pictures_is_always_right() -> None:
    assert accuracy(perfect, EVAL) == 1
    assert groups.chance(EVAL) == 0.5


@pytest.mark.parametrize("predict", [perfect, contrary, by_name])
def test_the_first_picture_alone_is_worth_a_guess(predict: Callable[[Record], str]) -> None:
    shown = varied("first")
    assert {len(record["images"]) for record in shown} == {1}
    assert accuracy(predict, shown) == 0.5


@pytest.mark.parametrize("predict", [perfect, contrary])
def test_swapped_pictures_are_worth_a_guess(predict: Callable[[Record], str]) -> None:
    shown = varied("swapped")
    assert [len(record["images"]) for record in shown] == [len(r["images"]) for r in EVAL]
    assert accuracy(predict, shown) == 0.5


def test_a_first_picture_has_every_answer_once_in_a_size() -> None:
    seen = Counter((len(r["images"]), r["images"][0], answer_of(r)) for r in EVAL)
    firsts = Counter((size, image) for size, image, _ in seen)
    assert set(seen.values()) == {1}
    assert set(firsts.values()) == {2}


def test_groups_to_learn_from_cover_sizes_and_answers_evenly() -> None:
    pictures = groups._pictures("train", SETTINGS.train_pictures, first_number=0)
    records = groups.train_records(pictures, SETTINGS)
    cells = Counter((len(record["images"]), answer_of(record)) for record in records)
    assert set(cells) == set(itertools.product(groups.GROUP_SIZES, groups.ANSWERS))
    assert set(cells.values()) == {SETTINGS.train_groups // 10}


def test_no_group_shows_a_file_twice() -> None:
    assert all(len(set(record["images"])) == len(record["images"]) for record in EVAL)


def test_groups_are_drawn_once_and_kept(tmp_path: Path) -> None:
    settings = GroupSettings(train_groups=5, train_pictures=30, eval_rounds=1, eval_pictures=30)
    calls: list[tuple[int, int]] = []

    def draw() -> None:
        groups.make_groups(tmp_path, settings, lambda done, total: calls.append((done, total)))

    draw()
    assert calls == [(number, 60) for number in range(1, 61)]
    used = {
        split: {
            i for r in json.loads((tmp_path / f"{split}.json").read_text()) for i in r["images"]
        }
        for split in ("train", "eval")
    }
    assert not used["train"] & used["eval"]
    assert all((tmp_path / image).stat().st_size > 10_000 for image in used["train"])
    draw()
    assert len(calls) == 60
