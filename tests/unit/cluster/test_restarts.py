import pytest

from orchestrator.cluster.restarts import GiveUp, Restart, Tally, after_fault

PAUSES_S = (1.0, 2.0, 5.0)


def pauses(steps: list[int]) -> list[float | None]:
    """What follows each of several deaths, given the newest step at each; None: no more."""
    found: list[float | None] = []
    tally = Tally()
    for step in steps:
        match after_fault(tally, step, PAUSES_S):
            case Restart(pause_s=pause_s, tally=newer):
                tally = newer
                found.append(pause_s)
            case GiveUp():
                found.append(None)
    return found


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([0], [1]),
        ([40], [1]),
        ([0, 0, 0, 0], [1, 2, 5, None]),
        ([40, 40, 40, 40], [1, 2, 5, None]),
        ([1, 2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 1, 1, 1]),
        ([0, 0, 0, 1, 1, 1, 2], [1, 2, 5, 1, 2, 5, 1]),
        # Done before and done again, from an older checkpoint, is not new.
        ([9, 7, 9, 8], [1, 2, 5, None]),
        # The store gave no answer.
        ([9, 0, 9, 10], [1, 2, 5, 1]),
    ],
)
def test_a_driver_is_started_again_without_limit_as_long_as_steps_get_done(
    steps: list[int], expected: list[float | None]
) -> None:
    assert pauses(steps) == expected


def test_five_drivers_in_a_row_may_come_to_nothing() -> None:
    tally = Tally()
    waited_s = 0.0
    for _ in range(5):
        decision = after_fault(tally, 0)
        assert isinstance(decision, Restart)
        tally = decision.tally
        waited_s += decision.pause_s
    assert waited_s == 48
    assert after_fault(tally, 0) == GiveUp()
    assert isinstance(after_fault(tally, 1), Restart)
