from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.tracking.events import Event, make_event
from orchestrator.tracking.plot import plot_run


def a_run(num_steps: int) -> list[Event]:
    """Two cells, one of them lost half way, a checkpoint, an evaluation and a resume."""
    events = [
        make_event("started", wall_s=0),
        make_event("quorum", wall_s=4, step=0, world_size=2),
    ]
    for step in range(num_steps):
        wall_s = 5.0 + step
        if step == num_steps // 2:
            events.append(make_event("lost", wall_s=wall_s, cell="cell1"))
        if step == num_steps - 2:
            events.append(make_event("resumed", wall_s=wall_s, step=step))
        events.append(
            make_event(
                "step",
                wall_s=wall_s,
                step=step,
                epoch=0,
                loss=3.0 / (1 + step),
                samples=16,
                round_s=1.0,
                world_size=2 if step < num_steps // 2 else 1,
            )
        )
    end_s = 6.0 + num_steps
    events += [
        make_event("checkpoint", wall_s=end_s, step=num_steps, path="step", seconds=0.1),
        make_event("eval", wall_s=end_s, step=num_steps, loss=1.0, accuracy=0.5, samples=4),
        make_event("finished", wall_s=end_s),
    ]
    return events


def num_pixels_like(path: Path, red: int, green: int, blue: int) -> int:
    with Image.open(path) as image:
        pixels_HW3 = np.asarray(image.convert("RGB"), dtype=np.int64)
    return int((np.abs(pixels_HW3 - (red, green, blue)).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("num_steps", [1, 2, 30, 300])
def test_a_run_of_any_length_is_drawn_with_its_lost_cell(
    num_steps: int, tmp_path: Path
) -> None:
    path = tmp_path / "plots" / "run.png"
    plot_run(a_run(num_steps), path, "demo")
    assert num_pixels_like(path, 0xC9, 0x37, 0x2C) > 100
    with Image.open(path) as image:
        assert image.size == (1200, 720)


def test_a_run_without_a_step_is_drawn_too(tmp_path: Path) -> None:
    plot_run([], tmp_path / "none.png", "nothing yet")
    plot_run([make_event("started"), make_event("failed")], tmp_path / "failed.png", "failed")
    assert num_pixels_like(tmp_path / "none.png", 0x7B, 0x87, 0x94) > 50


def test_losses_that_are_not_finite_leave_a_gap(tmp_path: Path) -> None:
    events = [*a_run(10), *a_run(10)]
    for event in events[5:8]:
        event["loss"] = "nan"
    plot_run(events, tmp_path / "run.png", "demo")
    assert (tmp_path / "run.png").stat().st_size > 10_000


def test_a_title_is_no_formula(tmp_path: Path) -> None:
    plot_run(a_run(3), tmp_path / "run.png", r"cost_$5 \frac{ $x$")
