"""What was measured, kept as one small JSON: a line a training."""

import json
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results.json"
VERSION: Final = 1
"""Of what is studied. Raised by hand: older trainings are then left out, and done again."""


def read_results(path: Path = RESULTS) -> list[dict[str, Any]]:
    """All trainings of this version."""
    if not path.exists():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    return list(kept["trainings"]) if kept["version"] == VERSION else []


def write_results(results: list[dict[str, Any]], path: Path = RESULTS) -> None:
    """Put all trainings in place of those that are there."""
    ordered = sorted(results, key=lambda one: (one["task"], one["method"], one["seed"]))
    lines = ",\n".join(json.dumps(one) for one in ordered)
    new = path.with_suffix(".new")
    new.write_text(f'{{"version": {VERSION}, "trainings": [\n{lines}\n]}}\n', encoding="utf-8")
    new.replace(path)
