"""What a job may say of a search, and what its errors say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config.load import load_job
from orchestrator.config.space import is_whole
from orchestrator.errors import ConfigError

WriteJob = Callable[[str], Path]
HELD_OUT = """\
name: mine
model: {path: org/model}
data: {train: {path: t.json}, eval: {path: e.json}}
"""


def written(folder: Path, search: str, extra: str = "") -> Path:
    path = folder / "job.yaml"
    path.write_text(f"{HELD_OUT}{extra}search: {search}\n", encoding="utf-8")
    return path


def complaints(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_job(path)
    lines = str(caught.value).replace(f"{path}: ", "").splitlines()
    return [line.removesuffix(". Compare jobs/demo.yaml.") for line in lines]


@pytest.mark.parametrize(
    ("search", "line"),
    [
        (
            "{space: {images.max_images: [2, '4']}}",
            "search.space.images.max_images: input should be a valid integer, got '4'",
        ),
        (
            "{space: {train.global_bach: [2]}}",
            "search.space.train.global_bach: unknown field (did you mean global_batch?)",
        ),
        (
            "{space: {lora.rank: [4, 8, 4]}}",
            "search.space.lora.rank: 4 is written twice",
        ),
        (
            "{space: {lora.rank: 4}}",
            "search.space.lora.rank: input should be a list of values or a range, got 4",
        ),
        (
            "{space: {storage.path: [a]}}",
            "search.space.storage.path: cannot be searched: all trials share one place",
        ),
        (
            "{space: {train.learning_rate: {log: [0, 0.1]}}}",
            "search.space.train.learning_rate: log: the least (0) has to be above 0",
        ),
        (
            "{space: {train.learning_rate: {log: [1.0e-5, 2]}}, searcher: tpe, "
            "budget: {trials: 9}}",
            "search.space.train.learning_rate: input should be less than or equal to 1, got 2",
        ),
        (
            "{space: {fusion: [null, {budget: 0}]}}",
            "search.space.fusion: input should be greater than 0, got 0",
        ),
        (
            "{space: {lora.dropout: {range: [0, 0.1]}}}",
            "search: searcher: a grid needs a list for lora.dropout: write one, or take random",
        ),
        (
            "{space: {lora.rank: [4]}, searcher: random}",
            "search: searcher: random needs a number in budget.trials",
        ),
        (
            "{space: {lora.rank: [4]}, searcher: nsga2, budget: {trials: 3}}",
            "search: searcher: nsga2 needs several objectives: name them, or take tpe",
        ),
        (
            "{space: {lora.rank: [4]}, objectives: [loss, loss]}",
            "search: objectives: one is named twice",
        ),
        (
            "{space: {lora.rank: [4]}, scheduler: asha}",
            "search: scheduler: asha looks at measurements under way: set "
            "train.eval_every_steps",
        ),
        (
            "{space: {lora.rank: [4]}, scheduler: asha, objectives: [device_hours, loss]}",
            "search: scheduler: asha looks at the first objective, and device_hours says "
            "nothing of a training under way: put loss or accuracy first",
        ),
    ],
)
def test_one_mistake_is_one_line(tmp_path: Path, search: str, line: str) -> None:
    assert complaints(written(tmp_path, search)) == [line]


def test_all_mistakes_are_named_in_one_pass_with_those_of_the_job(tmp_path: Path) -> None:
    search = "{space: {lora.rank: [0], train.epochs: {range: [3, 1]}, lora.alhpa: [1]}}"
    found = complaints(written(tmp_path, search, "images: {max_images: none}\n"))
    assert [line.split(": ")[0] for line in found] == [
        "search.space.lora.rank",
        "search.space.train.epochs",
        "search.space.lora.alhpa",
        "images.max_images",
    ]


def test_what_is_measured_on_held_out_data_needs_some(write_job: WriteJob) -> None:
    path = write_job("search: {space: {lora.rank: [4]}}")
    assert complaints(path) == [
        "search: objectives: loss is measured on held-out data: set data.eval"
    ]
    load_job(write_job("search: {space: {lora.rank: [4]}, objectives: [device_hours]}"))


def test_values_that_only_others_forbid_are_left_to_the_combinations(tmp_path: Path) -> None:
    space = "{space: {images.max_images: [2, 32], fusion.budget: [4, 64]}}"
    job = load_job(written(tmp_path, space, "fusion: {budget: 64}\n"))
    assert job.search is not None
    assert list(job.search.space) == ["images.max_images", "fusion.budget"]


@pytest.mark.parametrize(
    ("field", "whole"),
    [
        ("lora.rank", True),
        ("train.micro_tokens", True),
        ("train.learning_rate", False),
        ("lora.dropout", False),
        ("scale.device_memory_gib", False),
        ("no.such", False),
    ],
)
def test_a_range_of_a_whole_number_field_has_whole_numbers(field: str, whole: bool) -> None:  # noqa: FBT001
    assert is_whole(field) == whole
