"""Tables that are broken as a whole, or whose rows are: Parquet and Arrow."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.nasty.asking import talk
from tests.nasty.data_file import FINE, all_of_them
from tests.nasty.drawing import good, noise, part, put, quarters, saved
from tests.nasty.outcomes import Emptied, FileCase, Outcome, Quarantined, Refused, Trained

_PICTURE = saved(quarters())
_STRUCT = {"bytes": _PICTURE, "path": "a.jpg"}


def table(
    name: str, called: str, columns: dict[str, Any], *expected: Outcome | Refused, lost: int = 0
) -> FileCase:
    """A table in Parquet, an Arrow file or an Arrow stream; its last bytes may be lost."""

    def write(folder: Path) -> Path:
        good(folder)
        return folder / put(
            folder, called, _without_end(_WRITERS[called](pa.table(columns)), lost)
        )

    return FileCase(name, write, all_of_them(expected))


def _without_end(data: bytes, lost: int) -> bytes:
    return data[: len(data) - lost]


def _parquet(given: pa.Table) -> bytes:
    written = io.BytesIO()
    pq.write_table(given, written)
    return written.getvalue()


def _garbled_parquet(folder: Path) -> Path:
    written = bytearray(_parquet(pa.table({"images": ["x"] * 99, "conversations": ["y"] * 99})))
    written[4:60] = b"\xff" * 56
    return folder / put(folder, "data.parquet", bytes(written))


def _arrow_file(given: pa.Table) -> bytes:
    written = io.BytesIO()
    with pa.ipc.new_file(written, given.schema) as opened:
        opened.write_table(given)
    return written.getvalue()


def _arrow_stream(given: pa.Table) -> bytes:
    written = io.BytesIO()
    with pa.ipc.new_stream(written, given.schema) as opened:
        opened.write_table(given)
    return written.getvalue()


_WRITERS = {"data.parquet": _parquet, "file.arrow": _arrow_file, "data.arrow": _arrow_stream}

TABLES = (
    table(
        "empty cells of a Parquet are nothing, and a row of them is named",
        "data.parquet",
        {"images": [["good.jpg"], None, [None]], "conversations": [talk(), None, talk()]},
        FINE,
        Quarantined("'conversations' is None", "Write a list of turns"),
        Quarantined("image 1 is None"),
    ),
    table(
        "structs of bytes in a Parquet are pictures, and empty ones are named",
        "data.parquet",
        {
            "image": [
                _STRUCT,
                None,
                {"bytes": b"", "path": "b.jpg"},
                {"bytes": b"words", "path": "c.jpg"},
            ],
            "conversations": [talk()] * 4,
        },
        FINE,
        Trained(pictures=0),
        Quarantined("image 1 is empty (0 bytes)"),
        Quarantined("image 'c.jpg' is no picture of a kind we read"),
    ),
    table(
        "text of a Parquet that is no UTF-8 is a bad row, and its neighbours train",
        "data.parquet",
        {
            "image": pa.array([b"good.jpg", b"\xff.jpg", b"good.jpg"]).view(pa.string()),
            "conversations": [talk()] * 3,
        },
        FINE,
        Quarantined("row is not UTF-8", "Write its text as UTF-8"),
        FINE,
    ),
    table(
        "half a picture in a Parquet is found as half a file is",
        "data.parquet",
        {"image": [part(saved(noise()), 0.5)], "conversations": [talk()]},
        Emptied("cannot be decoded"),
    ),
    table(
        "a Parquet of no rows holds none",
        "data.parquet",
        {"images": pa.array([], pa.string()), "conversations": pa.array([], pa.string())},
        Refused("holds no rows"),
    ),
    table(
        "a Parquet that is cut short is refused",
        "data.parquet",
        {"image": ["good.jpg"], "conversations": [talk()]},
        Refused("is broken Parquet (", "Write the file again"),
        lost=400,
    ),
    FileCase(
        "a Parquet that is garbled between its first bytes and its last is refused",
        _garbled_parquet,
        Refused("is broken Parquet (", "Write the file again"),
    ),
    table(
        "a Parquet of other columns is refused with those it has",
        "data.parquet",
        {"jpg": ["a"], "caption": ["b"]},
        Refused("but caption, jpg", "Say what they are under columns"),
    ),
    table(
        "an Arrow file that is cut short is refused",
        "file.arrow",
        {"image": ["good.jpg"] * 9, "conversations": [talk()] * 9},
        Refused("is broken Arrow (", "Write the file again"),
        lost=400,
    ),
    table(
        "an Arrow stream that is cut short is refused",
        "data.arrow",
        {"image": ["good.jpg"] * 9, "conversations": [talk()] * 9},
        Refused("is broken Arrow (", "Write the file again"),
        lost=400,
    ),
    table(
        "an Arrow stream may lack its end",
        "data.arrow",
        {"image": ["good.jpg"], "conversations": [talk()]},
        FINE,
        lost=8,
    ),
)
