"""What lint says of lengths and costs."""

from dataclasses import replace

import pytest

from orchestrator.data.lint.costs import check_costs
from orchestrator.data.lint.finding import Draft, LintLimits
from orchestrator.data.lint.survey import survey
from tests.unit.data.lint.conftest import Row, WriteTables, sample


def checked(write_tables: WriteTables, limits: LintLimits, rows: list[Row]) -> list[Draft]:
    return list(check_costs(survey(write_tables(rows)), limits))


def test_answers_over_half_a_micro_batch_are_noted_with_the_longest_first(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    lengths = [8, 256, 257, 400]
    rows = [sample(n, label_tokens=length, tokens=500) for n, length in enumerate(lengths)]
    (draft,) = checked(write_tables, limits, rows)
    assert draft.finding.name == "Answers that take most of a micro-batch"
    assert (draft.finding.count, draft.finding.share) == (2, 0.5)
    assert [pick.what for pick in draft.picks] == ["400 label tokens", "257 label tokens"]


@pytest.mark.parametrize(
    ("costs", "is_said"),
    [
        ([100.0] * 200, False),
        # Two of two hundred carry a fifth from 2,475 each on.
        ([100.0] * 198 + [2400.0] * 2, False),
        ([100.0] * 198 + [2600.0] * 2, True),
        # Of few samples one may carry much, but not fifty times the others.
        ([100.0] * 10 + [4900.0], False),
        ([100.0] * 10 + [5100.0], True),
    ],
)
def test_costs_are_uneven_when_few_carry_much(
    write_tables: WriteTables, limits: LintLimits, *, costs: list[float], is_said: bool
) -> None:
    rows = [sample(n, cost=cost, tokens=512) for n, cost in enumerate(costs)]
    drafts = checked(write_tables, limits, rows)
    assert [draft.finding.name for draft in drafts] == ["Costs are wildly uneven"] * is_said
    if is_said:
        assert drafts[0].picks[0].sample >= costs.index(max(costs))


@pytest.mark.parametrize(("tokens", "is_said"), [(260, True), (250, False)])
def test_samples_of_just_over_half_a_micro_batch_leave_it_part_empty(
    write_tables: WriteTables, limits: LintLimits, *, tokens: int, is_said: bool
) -> None:
    rows = [sample(n, tokens=tokens) for n in range(64)]
    drafts = checked(write_tables, limits, rows)
    names = [draft.finding.name for draft in drafts]
    assert names == ["Micro-batches are left part empty"] * is_said
    if is_said:
        assert drafts[0].finding.share == pytest.approx(1 - 260 / 512)


def test_a_batch_that_fits_one_micro_batch_leaves_no_room_worth_a_word(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(n, tokens=20) for n in range(64)]
    assert checked(write_tables, replace(limits, global_batch=4), rows) == []


def test_tables_of_longer_samples_than_the_limit_are_still_looked_through(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    assert checked(write_tables, limits, [sample(n, tokens=5000) for n in range(64)]) == []
