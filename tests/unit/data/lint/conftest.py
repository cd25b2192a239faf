"""Tables as an index has them, written from a few words a sample."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.lint.finding import Finding, LintLimits
from orchestrator.data.lint.tables import IndexTables

_TEXTS, _LONGS, _INTS = pa.list_(pa.string()), pa.list_(pa.int64()), pa.list_(pa.int32())
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.int32()),
        ("file", pa.string()),
        ("row", pa.int64()),
        *((name, _TEXTS) for name in ("kinds", "uris", "urls")),
        *((name, _LONGS) for name in ("offsets", "lengths")),
        ("media_keys", _TEXTS),
        *((name, _INTS) for name in ("pictures", "widths", "heights")),
        *((name, _INTS) for name in ("target_widths", "target_heights")),
        *((name, pa.int64()) for name in ("image_tokens", "text_tokens", "label_tokens")),
        *((name, pa.int64()) for name in ("patches", "tokens")),
        ("cost", pa.float64()),
        ("text_hash", pa.string()),
        ("says_count", pa.bool_()),
        ("question", pa.string()),
        ("notes", _TEXTS),
    ]
)

Row = dict[str, Any]
WriteTables = Callable[..., IndexTables]


def sample(row: int, uris: Sequence[str] = ("a.jpg", "b.jpg"), **changes: Any) -> Row:
    """A sample of images that are in order, of 1 MP each, but for what is changed.

    The bytes of an image follow from its name and its row, so no two are alike by chance.
    """
    n = len(uris)
    values = {
        "id": f"sample-{row}",
        "source": 0,
        "file": "train.jsonl",
        "row": row,
        "kinds": ["image"] * n,
        "uris": list(uris),
        "urls": [f"/media/{row}/{uri}" for uri in uris],
        "offsets": [0] * n,
        "lengths": [None] * n,
        "media_keys": [f"{row * 1000 + place}:17" for place in range(n)],
        "pictures": [1] * n,
        "widths": [1000] * n,
        "heights": [1000] * n,
        "target_widths": [700] * n,
        "target_heights": [700] * n,
        "image_tokens": 64 * n,
        "text_tokens": 40,
        "label_tokens": 8,
        "patches": 256 * n,
        "tokens": 64 * n + 40,
        "cost": 100.0,
        "text_hash": f"text-{row}",
        "says_count": True,
        "question": "What differs?",
        "notes": [],
    }
    assert set(changes) <= set(values)
    return values | changes


def only(findings: Iterable[Finding], start: str) -> Finding:
    """The one finding whose name starts like this."""
    (found,) = [each for each in findings if each.name.startswith(start)]
    return found


@pytest.fixture
def limits() -> LintLimits:
    return LintLimits(micro_tokens=512)


@pytest.fixture
def write_tables(tmp_path: Path) -> WriteTables:
    """Write samples and bad rows into a folder of ``tmp_path``."""

    def write(
        rows: Iterable[Row],
        bad: Iterable[BadRow] = (),
        *,
        name: str = "train",
        datasets: tuple[str, ...] = (),
        a_group: int = 3,
    ) -> IndexTables:
        folder = tmp_path / name
        folder.mkdir()
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        pq.write_table(table, folder / "samples.parquet", row_group_size=a_group)
        lines = [
            json.dumps(
                {
                    "source": row.source,
                    "row": row.row,
                    "id": row.id,
                    "reason": row.reason,
                    "remedy": row.remedy,
                }
            )
            for row in bad
        ]
        text = "".join(line + "\n" for line in lines)
        (folder / "quarantine.jsonl").write_text(text, encoding="utf-8")
        return IndexTables(folder, datasets)

    return write
