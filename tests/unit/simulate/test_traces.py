"""Traces: made in shapes, read from files, counted."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import ConfigError
from orchestrator.simulate.reading import read_trace
from orchestrator.simulate.shapes import SHAPES, bursty, calm, diurnal
from orchestrator.simulate.traces import Change, Trace, cut, node_counts, node_seconds


def mean_nodes(trace: Trace, from_h: float, to_h: float) -> float:
    counts = node_counts(trace)
    at_s = np.array([at for at, _ in counts])
    nodes = np.array([number for _, number in counts])
    return float(
        np.mean(nodes[np.searchsorted(at_s, np.arange(from_h * 3600, to_h * 3600, 60)) - 1])
    )


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_the_same_for_the_same_seed_and_every_life_is_whole(name: str) -> None:
    trace = SHAPES[name](40, 30.0, 1)
    assert trace == SHAPES[name](40, 30.0, 1)
    assert trace != SHAPES[name](40, 30.0, 2)
    assert all(0 <= number <= 40 for _, number in node_counts(trace))
    times_s = [change.at_s for change in trace.changes]
    assert times_s == sorted(times_s)
    for _, life in itertools.groupby(
        sorted(trace.changes, key=lambda c: c.node), lambda c: c.node
    ):
        by_time = [change.kind for change in sorted(life, key=lambda c: c.at_s)]
        assert by_time[0] == "up"
        assert Counter(by_time)["up"] == 1
        assert Counter(by_time)["down"] + Counter(by_time)["frozen"] <= 1


def test_a_calm_market_keeps_nearly_all_nodes() -> None:
    assert mean_nodes(calm(200, 24, 0), 1, 24) > 195


def test_a_diurnal_market_gives_half_at_noon_of_every_day() -> None:
    trace = diurnal(200, 48, 0)
    assert 90 < mean_nodes(trace, 11.5, 12.5) < 105
    assert 90 < mean_nodes(trace, 35.5, 36.5) < 105
    assert mean_nodes(trace, 23.5, 24.5) > 190


def test_a_bursty_market_loses_many_nodes_of_one_zone_within_minutes() -> None:
    trace = bursty(400, 24, 0)
    downs = [change for change in trace.changes if change.kind == "down"]
    zones = {
        minute: Counter(int(change.node.split(".")[0]) % 8 for change in group)
        for minute, group in itertools.groupby(downs, lambda change: change.at_s // 300)
    }
    worst = max(zones.values(), key=lambda zone: zone.total())
    assert worst.total() >= 10
    assert max(worst.values()) > 0.8 * worst.total()


def test_nodes_are_paid_for_from_their_coming_to_their_going() -> None:
    changes = [(0.0, "a", "up"), (10.0, "b", "up"), (15.0, "a", "notice"), (20.0, "a", "down")]
    trace = Trace(
        name="t", end_s=30, changes=tuple(Change(at_s=t, node=n, kind=k) for t, n, k in changes)
    )
    assert node_seconds(trace, most=5) == 20 + 20
    assert node_seconds(trace, most=1) == 30
    assert node_seconds(cut(trace, 12), most=5) == 12 + 2


def read(folder: Path, text: str) -> Trace:
    path = folder / "own.csv"
    path.write_text(text)
    return read_trace(path)


def test_events_are_read_in_any_order_and_a_notice_finds_its_deadline(tmp_path: Path) -> None:
    trace = read(
        tmp_path, "time_s,node,event\n1130,a,down\n1000,a,up\n1100,a,notice\n\n1200,a,up\n"
    )
    assert trace == Trace(
        name="own",
        end_s=200,
        changes=(
            Change(at_s=0, node="a", kind="up"),
            Change(at_s=100, node="a", kind="notice", deadline_s=130),
            Change(at_s=130, node="a", kind="down"),
        ),
    )


def test_counts_are_read_as_nodes_that_come_and_go_with_a_notice(tmp_path: Path) -> None:
    trace = read(tmp_path, "time_s,nodes\n0,2\n600,1\n900,3\n1000,3\n")
    assert node_counts(trace) == [
        (0, 0), (0, 1), (0, 2), (600, 1), (900, 2), (900, 3), (1000, 3),
    ]  # fmt: skip
    notices = [change for change in trace.changes if change.kind == "notice"]
    assert [(change.at_s, change.deadline_s) for change in notices] == [(480, 600)]


def test_everything_wrong_in_a_file_is_said_in_one_pass(tmp_path: Path) -> None:
    text = "time_s,node,event\nx,a,up\n1,,up\n2,b,uo\n3,c\n4,d,down\n5,e,up\n6,e,up\nnan,f,up\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    lines = str(caught.value).splitlines()
    said = {line.split(": ")[1]: line for line in lines}
    assert set(said) == {f"row {row}" for row in (2, 3, 4, 5, 6, 8, 9)}
    assert "time_s is 'x'" in said["row 2"]
    assert "node is empty" in said["row 3"]
    assert "event is 'uo'. Write one of up, notice, down, killed, frozen" in said["row 4"]
    assert "2 values. Write 3" in said["row 5"]
    assert "down of d at 4 s, which is not up" in said["row 6"]
    assert "up of e at 6 s, which is up already" in said["row 8"]
    assert "own.csv" in lines[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the header is ''"),
        ("time,node\n1,2\n", "the header is 'time,node'"),
        ("time_s,nodes\n", "0 points in time"),
        ("time_s,node,event\n5,a,up\n5,b,up\n", "1 points in time"),
        ("time_s,nodes\n1,-3\n2,2.5\n", "nodes is '-3'"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read(tmp_path, text)


def test_of_very_many_wrong_rows_the_first_are_shown_and_the_others_counted(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "time_s,nodes\n" + "x,1\n" * 100)
    assert len(str(caught.value).splitlines()) == 21
    assert "80 more rows are wrong" in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_trace(tmp_path / "none.csv")
