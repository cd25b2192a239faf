"""The page of a search: whole, safe, and with everything that was promised on it."""

import re
from html.parser import HTMLParser

import pytest

from orchestrator.search.budget import Spent
from orchestrator.search.lineage import lineage
from orchestrator.search.objectives import front_of
from orchestrator.search.page import MICRO_BATCHES, Findings, effects_of, page
from orchestrator.search.trials import Life, Trial
from tests.unit.search.made import a_search, a_trial, figures_of, whole_grid

VOID = {"meta", "i"}


class Tags(HTMLParser):
    """Checks that tags are closed in order, and gathers what they say."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.classes: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.classes += (dict(attrs).get("class") or "").split()
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.classes += (dict(attrs).get("class") or "").split()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def drawn(trials: list[Trial], **search: object) -> tuple[str, Tags]:
    config = a_search(**search)
    front = tuple(front_of(trials, config.objectives))
    text = page(Findings("demo", config, tuple(trials), front), Spent.on(trials, 0.2))
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return text, tags


def all_kinds() -> list[Trial]:
    trials = whole_grid()
    trials[1] = a_trial(2, trials[1].values, 0.9, status="stopped", reason="behind the others")
    trials[2] = a_trial(3, trials[2].values, status="failed", reason="NaN in step 3")
    trials[3] = a_trial(4, trials[3].values, status="refused", reason="too few", figures=None)
    return trials


def test_every_trial_is_on_it_with_its_end_and_its_reason() -> None:
    text, tags = drawn(all_kinds())
    rows = re.findall(r"<tr.*?</tr>", text)[1:]
    assert len(rows) == 6
    assert [status in rows[n] for n, status in ((1, "stopped"), (2, "failed"), (3, "refused"))]
    for words in ("behind the others", "NaN in step 3", "too few"):
        assert words in text
    assert "best" in tags.classes


def test_fronts_effects_with_intervals_and_coordinates_are_drawn() -> None:
    text, tags = drawn(whole_grid())
    for title in (
        "held-out loss against peak memory",
        "held-out loss against device-hours",
        "Effect of max_images",
        "Effect of global_batch",
        "Settings and outcomes",
    ):
        assert title in text
    assert tags.classes.count("whisker") >= 3 * 5
    assert tags.classes.count("way") == 6


def test_it_needs_nothing_else_and_believes_nobody() -> None:
    evil = "<script>alert(1)</script>"
    trial = a_trial(1, {"data.train.path": evil}, status="failed", reason=evil)
    text, _ = drawn([trial], space={"data.train.path": [evil]})
    assert "<script" not in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "default-src 'none'" in text


@pytest.mark.parametrize("count", [0, 1])
def test_a_search_without_much_in_it_has_a_page_too(count: int) -> None:
    text, _ = drawn(whole_grid()[:count])
    assert ("No trial has come to its end" in text) == (count == 0)


def test_accumulation_has_an_effect_of_its_own_in_the_place_of_what_it_follows_from() -> None:
    trials = [
        a_trial(t.number, t.values, figures=figures_of(1.0 + micro, micro_batches=float(micro)))
        for t, micro in zip(whole_grid(), (1, 2, 2, 4, 3, 6), strict=True)
    ]
    findings = Findings("demo", a_search(), tuple(trials), ())
    fields = [effect.field for effect in effects_of(findings, "loss")]
    assert fields == ["images.max_images", "train.global_batch", MICRO_BATCHES]


def test_a_bred_trial_says_what_it_was_trained_as() -> None:
    given_up = a_trial(1, {"train.learning_rate": 0.01}, status="stopped", reason="given up")
    first = a_trial(2, {"train.learning_rate": 0.002}, 0.4)
    copy = a_trial(
        3,
        {"train.learning_rate": 0.0024},
        0.3,
        life=Life(member=1, until=20, parent=first.name, parent_step=10),
    )
    trials = [given_up, first, copy]
    text, _ = drawn(
        trials,
        space={"train.learning_rate": {"log": [1e-5, 1e-1]}},
        searcher="random",
        scheduler="pbt",
    )
    assert "It was trained to step 10 as trial 2 (learning_rate 0.002), then as itself" in text
    assert "no outcome is that of one value" in text
    assert [each.trial for each in lineage(first, trials)] == [first]
