import json
import math

import pytest

from orchestrator.errors import StorageError
from orchestrator.tracking.events import decode, decode_log, encode, make_event, number


def test_an_event_survives_the_log() -> None:
    event = make_event(
        "empty_slot", wall_s=12.5, epoch=0, step=3, sample=7, id="第一张", reason="two\nlines"
    )
    line = encode(event)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert decode(line) == event


def test_an_event_knows_when_it_happened() -> None:
    earlier, later = make_event("started"), make_event("finished")
    assert 1.7e9 < number(earlier, "wall_s") <= number(later, "wall_s")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_stay_readable_for_any_json_reader(value: float) -> None:
    event = make_event(
        "step", step=0, epoch=0, loss=value, samples=1, round_s=1.0, world_size=1
    )
    line = encode(event)
    json.loads(line, parse_constant=pytest.fail)
    assert number(decode(line), "loss") == pytest.approx(value, nan_ok=True)


def test_a_missing_number_is_nan() -> None:
    assert math.isnan(number(make_event("started"), "loss"))


@pytest.mark.parametrize(
    "line",
    ["", "{", "[1]", "3", '{"wall_s": 1}', '{"kind": "step"}', '{"kind": 1, "wall_s": 1}'],
)
def test_a_line_that_is_no_event_is_named(line: str) -> None:
    with pytest.raises(StorageError, match="is no event"):
        decode(line)


def test_an_event_of_a_later_version_is_let_through() -> None:
    assert decode_log(['{"kind": "notice", "wall_s": 1}'])[0]["kind"] == "notice"


def test_a_misspelt_kind_and_a_forgotten_field_are_bugs() -> None:
    with pytest.raises(AssertionError, match="no such kind"):
        make_event("stepp")
    with pytest.raises(AssertionError, match="world_size"):
        make_event("quorum", step=1)
