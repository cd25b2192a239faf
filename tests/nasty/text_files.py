"""Data files of text that are broken as a whole, or whose rows are: JSON and its lines, CSV."""

import gzip
import io
import json
import pickle
import zipfile

from tests.nasty.asking import asks, line, talk
from tests.nasty.data_file import FINE, GONE, file
from tests.nasty.drawing import good
from tests.nasty.outcomes import FileCase, Quarantined, Refused, Row, Trained

_TALK = json.dumps(talk())
_CELL = '"' + _TALK.replace('"', '""') + '"'


def _zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("data.json", b"[]")
    return packed.getvalue()


def _lines(*rows: Row | bytes) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else line(row) for row in rows) + b"\n"


_ROW = asks("good.jpg")
_DEEP = b'{"conversations": ' + b"[" * 5000 + b"]" * 5000 + b"}"

TEXT_FILES = (
    file(
        "a mark at the beginning of a list is no part of it",
        "data.json",
        b"\xef\xbb\xbf[" + line(_ROW) + b"]",
        FINE,
    ),
    file(
        "blank lines are no rows, and count",
        "data.jsonl",
        _lines(b"", _ROW, b"  \t", b"\r", asks("gone.jpg"), b""),
        FINE,
        GONE,
    ),
    file(
        "lines may end as on Windows",
        "data.jsonl",
        _lines(_ROW, _ROW).replace(b"\n", b"\r\n"),
        FINE,
        FINE,
    ),
    file("the last line may lack its end", "data.jsonl", _lines(_ROW, _ROW)[:-1], FINE, FINE),
    file("lines may be called a list", "data.json", _lines(_ROW, _ROW), FINE, FINE),
    file("a list may be packed", "data.json.gz", gzip.compress(b"[" + line(_ROW) + b"]"), FINE),
    file(
        "of a list, elements that are none are named",
        "data.json",
        json.dumps([_ROW, None, 7, [], "a", _ROW]),
        FINE,
        *[Quarantined("row is a JSON ", "Write one JSON object a row")] * 4,
        FINE,
    ),
    file(
        "of a list, an element 5,000 deep is named and its neighbours train",
        "data.json",
        b"[" + b",".join([line(_ROW), _DEEP, line(_ROW)]) + b"]",
        FINE,
        Quarantined("row is not JSON (maximum recursion"),
        FINE,
    ),
    file(
        "of a list, a comma too many is a row too many",
        "data.json",
        b"[" + line(_ROW) + b",]",
        FINE,
        Quarantined("row is left out", "Write one JSON object"),
    ),
    file(
        "brackets and quotes within texts divide nothing",
        "data.json",
        json.dumps([asks("good.jpg", ask='],[{"a": "\\'), _ROW]),
        FINE,
        FINE,
    ),
    file(
        "an empty file holds no rows",
        "data.jsonl",
        b"",
        Refused("holds no rows", "Give a data set with rows"),
    ),
    file("a file of blank lines alone has not one row", "data.jsonl", b"\n\n  \n"),
    file("an empty list holds no rows", "data.json", b"[ \n ]", Refused("holds no rows")),
    file(
        "a list that is not closed is refused, and how to save the rest said",
        "data.json",
        b"[" + line(_ROW) + b",",
        Refused("is not JSON (", "write one object a line (JSONL)"),
    ),
    file(
        "two lists in one file are refused",
        "data.json",
        b"[" + line(_ROW) + b"]\n[]",
        Refused("is not JSON ("),
    ),
    file(
        "one object over several lines is refused",
        "data.json",
        json.dumps({"data": [_ROW]}, indent=2),
        Refused("is one JSON object, not a list of rows", "Write a list of objects"),
    ),
    file(
        "a list in UTF-16 is refused with the remedy",
        "data.json",
        json.dumps([_ROW]).encode("utf-16"),
        Refused("is UTF-16 text", "Save it as UTF-8"),
    ),
    file(
        "an error page is no data",
        "data.json",
        b"<!DOCTYPE html>",
        Refused("is of no kind that is read", "JSON"),
    ),
    file(
        "a pickle is never opened",
        "data.pkl",
        pickle.dumps([_ROW]),
        Refused("is of no kind that is read"),
    ),
    file("a workbook is no data", "data.xlsx", _zip(), Refused("is of no kind that is read")),
    file(
        "a packed file that is cut short is refused",
        "data.json.gz",
        gzip.compress(b"[" + line(_ROW) * 99 + b"]")[:-20],
        Refused("cannot be read ("),
    ),
    file(
        "a file of other columns is refused with those it has",
        "data.jsonl",
        _lines({"question": "a", "label": "b"}),
        Refused(
            "nor instruction and output, but label, question",
            "Say what they are under columns",
        ),
    ),
    file(
        "preferences are refused with the remedy",
        "data.jsonl",
        _lines({"conversations": talk()[:1], "chosen": talk()[1], "rejected": talk()[1]}),
        Refused("holds preferences (chosen, rejected)", "Name the chosen answers"),
    ),
    file(
        "wanted and unwanted answers side by side are refused",
        "data.jsonl",
        _lines({**_ROW, "kto_tag": True}),
        Refused("holds marks of what is wanted (kto_tag)", "Keep the rows with wanted answers"),
    ),
    FileCase(
        "a file that is not there is refused",
        lambda folder: folder / "none.json",
        Refused("cannot be read (No such file", "Give the path of a data file"),
    ),
    FileCase(
        "a folder without data is refused with what it holds",
        lambda folder: (folder / good(folder)).parent,
        Refused("is a folder without a data file; it holds good.jpg", "Put JSON"),
    ),
    FileCase(
        "a pattern that matches nothing is refused",
        lambda folder: folder / "*.jsonl",
        Refused("matches no file", "Correct the pattern"),
    ),
)


CSV_FILES = (
    file(
        "of a CSV, rows of too many and too few cells are named",
        "data.csv",
        f"images,conversations\ngood.jpg,{_CELL}\ngood.jpg\ngood.jpg,{_CELL},more\ngood.jpg,{_CELL}\n",
        FINE,
        Quarantined("row has 1 cells, and the header 2 names", "Write a cell for each name"),
        Quarantined("row has 3 cells, and the header 2 names"),
        FINE,
    ),
    file(
        "of a CSV, a row that is no UTF-8 is named",
        "data.csv",
        f"images,conversations\ngood.jpg,{_CELL}\n".encode() + b"caf\xe9.jpg,[]\n",
        FINE,
        Quarantined("row is not UTF-8", "Write a cell for each name"),
    ),
    file(
        "a CSV as spreadsheets save it, marked and with semicolons, is read",
        "data.csv",
        f"\ufeffimages;conversations\r\ngood.jpg;{_CELL}\r\n",
        FINE,
    ),
    file(
        "a CSV may have a list in a cell, in Python's way",
        "data.csv",
        "images,instruction,output\n\"['good.jpg']\",Which?,The first.\n",
        FINE,
    ),
    file(
        "an empty cell is nothing",
        "data.csv",
        "images,instruction,output\ngood.jpg,Which?,\n,Which?,The first.\n",
        Quarantined("no label: no assistant turn with text"),
        Trained(pictures=0),
    ),
    file(
        "of a CSV, a quote in an open cell is a bad row",
        "data.csv",
        f'images,conversations\ngood.jpg,{_CELL}\n"a"b,c\ngood.jpg,{_CELL}\n',
        FINE,
        Quarantined("row is not CSV ("),
        FINE,
    ),
    file(
        "a CSV with a quote that is never closed is refused with its line",
        "data.csv",
        f'images,conversations\ngood.jpg,{_CELL}\n"good.jpg,[]\n',
        Refused("opens a quote in the row of line 3 that is never closed", "Close it"),
    ),
    file(
        "a CSV in which two columns have one name is refused",
        "data.csv",
        "images,images\na,b\n",
        Refused(
            "has no header that can be used (two columns have one name)",
            "Write the columns' names",
        ),
    ),
    file(
        "a CSV of a header alone holds no rows",
        "data.csv",
        "images,conversations\n",
        Refused("holds no rows"),
    ),
    file(
        "a cell of 10,000 brackets is named",
        "data.csv",
        f"images,conversations\ngood.jpg,{'[' * 10_000}\n",
        Quarantined("'conversations' is '[[[", "Write a list of turns"),
    ),
)
