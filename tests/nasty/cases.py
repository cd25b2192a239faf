"""All nasty inputs, and what has to become of each."""

from tests.nasty.broken_pictures import BROKEN
from tests.nasty.films import FILMS
from tests.nasty.outcomes import Case, FileCase
from tests.nasty.paths import INLINE, PATHS
from tests.nasty.pictures import USABLE
from tests.nasty.shards import TARS
from tests.nasty.tables import TABLES
from tests.nasty.text_files import CSV_FILES, TEXT_FILES
from tests.nasty.texts import IDS, NOT_JSON, PEER, TEXTS
from tests.nasty.turns import COLUMNS, TURNS

ROWS: tuple[Case, ...] = (
    *PEER, *USABLE, *BROKEN, *NOT_JSON, *TEXTS, *IDS, *TURNS, *COLUMNS, *PATHS, *INLINE, *FILMS,
)  # fmt: skip
"""Rows that can stand side by side in one file of lines."""

FILES: tuple[FileCase, ...] = (*TEXT_FILES, *CSV_FILES, *TABLES, *TARS)
"""Data files of every format."""
