"""What a fault costs: ours beside stock Ray Train with its defaults, phase by phase.

    make bench-faults
    .venv/bin/python -m tests.bench.faults --only node --only grow --repeat 3
    .venv/bin/python -m tests.bench.faults --load-s 30

Each trial is a process with a cluster of its own, one after the other. A micro-batch takes
0.1 s and gives a gradient that only its address decides, as if an accelerator computed it: the
processors are free for those who start anew. What is loaded, rendered, added up, checkpointed
and stepped on is real. Ours trains to the end, and has to end with the weights of the training
that nothing happened to.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from tests.bench.breaking import FAULTS, IN_WORDS, OURS_ALONE
from tests.bench.reading import Figures, read_ours, read_stock

ROOT = Path(__file__).parents[2]
OUT = ROOT / ".bench"
GLOBAL_BATCH, MICRO_S = 12, 0.1
STEPS, FAULT_STEP = 100, 22
STEPS_A_LOAD_SECOND = 3.0
"""So that a training is not over before a newcomer has loaded its model."""
PATIENCE_S = 240.0
"""For one trial, once its cluster is up; stock may need it for a frozen node."""
START_S = 120.0
"""For a cluster to start and to end."""
SIDES = {"ours": read_ours, "stock": read_stock}
PHASES = ("detect", "teardown", "regroup", "restore", "batch", "step")
HEADINGS = (*PHASES, "standstill", "gap", "from cap.", "replayed")


def environment(load_s: float) -> dict[str, str]:
    """What all processes of a trial find."""
    told = {**os.environ, "OMP_NUM_THREADS": "1", "BENCH_MICRO_S": str(MICRO_S)}
    told["BENCH_NO_WORK"] = "1"
    if load_s:
        told["BENCH_LOAD_S"] = str(load_s)
    told["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT / "tests/bench/emulated", ROOT)))
    # Three nodes and neighbours on one machine: its memory is not what is measured.
    told["RAY_memory_monitor_refresh_ms"] = "0"
    return told


def trial(side: str, fault: str, load_s: float) -> dict[str, Any]:
    """Run one trial in a process of its own; what it found, or why it found nothing."""
    patience_s = PATIENCE_S + 4 * load_s
    told = {
        "fault": fault,
        "steps": int(STEPS + STEPS_A_LOAD_SECOND * load_s),
        "global_batch": GLOBAL_BATCH,
        "fault_step": FAULT_STEP,
        "patience_s": patience_s,
    }
    program = f"import sys; from tests.bench.trial_{side} import main; main(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        with (OUT / f"{side}-{fault}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", program, json.dumps(told), str(out)],
                env=environment(load_s),
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait(patience_s + START_S)
            except subprocess.TimeoutExpired:
                return {"problem": f"no word after {patience_s + START_S:.0f} s"}
            finally:
                end(process)
        if not out.exists():
            return {"problem": f"it ended with {process.returncode} and found nothing"}
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a trial that is still there, with all that it has started."""
    if process.poll() is None:
        parent = psutil.Process(process.pid)
        for each in [*parent.children(recursive=True), parent]:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()


def judge(side: str, found: dict[str, Any], undisturbed: str | None) -> dict[str, Any]:
    """Figures of a trial, and whether its weights are those that they have to be."""
    if "fault" not in found:
        return {"problem": found.get("problem", "it was over before the fault")}
    row: dict[str, Any] = asdict(SIDES[side](found))
    if "problem" in found:
        row["problem"] = found["problem"]
    if side == "ours" and undisturbed and found.get("sha256"):
        row["weights"] = "the same" if found["sha256"] == undisturbed else "OTHERS"
    return row


def middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of several trials: the median of each figure; words from the last."""
    told = dict(rows[-1])
    for name in (*Figures.__dataclass_fields__, "weights"):
        values = [row.get(name) for row in rows]
        numbers = [x for x in values if isinstance(x, int | float)]
        if numbers:
            told[name] = statistics.median(numbers)
    if any(row.get("weights") == "OTHERS" for row in rows):
        told["weights"] = "OTHERS"
    return told


def cell(value: float | None) -> str:
    """A figure in its column."""
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def print_table(rows: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Ours beside stock, a fault after the other."""
    print("\nSeconds. Phases follow each other; a standstill is less one step, so is a gap.")
    print(f"{'fault':32}{'':7}" + "".join(f"{name:>11}" for name in HEADINGS) + "  workers")
    for fault, sides in rows.items():
        for side, row in sides.items():
            names = (*PHASES, "standstill", "gap", "from_capacity", "replayed")
            figures = "".join(f"{cell(row.get(name)):>11}" for name in names)
            words = [row.get("survivors", ""), row.get("problem", "")]
            if "weights" in row:
                words.append(f"weights {row['weights']}")
            text = ", ".join(word for word in words if word)
            print(f"{IN_WORDS[fault]:32}{side:7}{figures}  {text}")
    print("\nThe newcomer of ours, seconds after the fault, and by how much it held up a step:")
    for fault, sides in rows.items():
        newcomer = sides.get("ours", {}).get("newcomer")
        if newcomer:
            told = ", ".join(f"{name} {cell(value)}" for name, value in newcomer.items())
            print(f"{IN_WORDS[fault]:32}{told}")


def found_before(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """What earlier runs found of other faults, or sides."""
    if not path.exists():
        return {}
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text())["faults"]
    return found


def main() -> None:
    """Run the trials, and print them with those of earlier runs in ``.bench/faults.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=FAULTS, action="append", help="may be given again")
    parser.add_argument("--side", choices=sorted(SIDES), help="only ours, or only stock")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--load-s", type=float, default=0.0, help="of the base model")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    sides = [given.side] if given.side else list(SIDES)
    undisturbed = trial("ours", "none", given.load_s) if "ours" in sides else {}
    if "problem" in undisturbed:
        print(f"undisturbed: {undisturbed['problem']}; weights are held against nothing")
    name = f"faults-load-{given.load_s:.0f}.json" if given.load_s else "faults.json"
    rows = found_before(OUT / name)
    for fault in given.only or FAULTS:
        for side in sides:
            if side == "stock" and fault in OURS_ALONE:
                continue
            tries = []
            for _ in range(given.repeat):
                started_s = time.monotonic()
                found = trial(side, fault, given.load_s)
                tries.append(judge(side, found, undisturbed.get("sha256")))
                print(f"{fault}, {side}: {time.monotonic() - started_s:.0f} s", flush=True)
            rows.setdefault(fault, {})[side] = middle(tries)
            # Hours in all: what was found so far outlives whatever ends this.
            told = {"load_s": given.load_s, "faults": rows}
            (OUT / name).write_text(json.dumps(told, indent=1))
    print_table({fault: rows[fault] for fault in FAULTS if fault in rows})
    print(f"\n{OUT / name}")


if __name__ == "__main__":
    main()
