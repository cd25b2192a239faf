"""Samples that are there more than once, and what is read to be sure."""

import pytest

from orchestrator.data.lint.compare import Comparer
from orchestrator.data.lint.duplicates import check_duplicates
from orchestrator.data.lint.finding import Draft
from orchestrator.data.lint.survey import survey
from tests.unit.data.lint.conftest import Row, WriteTables, sample

SAME_FILES = {"text_hash": "t", "urls": ["/m/a", "/m/b"], "media_keys": ["10:1", "20:1"]}
COPIES = {"text_hash": "t", "media_keys": ["10:1", "20:1"]}


class Store:
    """Contents by place, and what of it was read."""

    def __init__(self, contents: dict[str, str | None] | None = None) -> None:
        self.contents = contents
        self.read: list[str] = []

    def digest(self, url: str, offset: int, length: int | None) -> str | None:
        assert offset == 0
        assert length is None
        self.read.append(url)
        # By default, what has the same name has the same content.
        return url.rpartition("/")[2] if self.contents is None else self.contents[url]


def checked(
    write_tables: WriteTables, rows: list[Row], store: Store, most: int = 100
) -> list[Draft]:
    tables = write_tables(rows)
    return list(check_duplicates(survey(tables), tables, Comparer(store.digest, most)))


def test_the_same_files_with_the_same_words_are_found_without_reading_them(
    write_tables: WriteTables,
) -> None:
    store = Store()
    rows = [sample(1), sample(2, **SAME_FILES), sample(3), sample(4, **SAME_FILES)]
    (draft,) = checked(write_tables, rows, store)
    assert (draft.finding.count, draft.finding.share) == (1, 0.25)
    assert [(pick.sample, pick.twin) for pick in draft.picks] == [(3, 1)]
    assert store.read == []


def test_their_order_is_no_matter(write_tables: WriteTables) -> None:
    turned = {name: SAME_FILES[name][::-1] for name in ("urls", "media_keys")}
    rows = [sample(1, **SAME_FILES), sample(2, text_hash="t", **turned)]
    (draft,) = checked(write_tables, rows, Store())
    assert draft.finding.count == 1


def test_copies_in_other_places_are_found_by_their_content(write_tables: WriteTables) -> None:
    store = Store()
    rows = [sample(1, **COPIES), sample(2), sample(3, **COPIES), sample(4, **COPIES)]
    (draft,) = checked(write_tables, rows, store)
    assert draft.finding.count == 2
    assert [(pick.sample, pick.twin) for pick in draft.picks] == [(2, 0), (3, 0)]
    assert len(store.read) == 6


@pytest.mark.parametrize(
    "changes",
    [
        {"text_hash": "another"},
        {"media_keys": ["11:1", "20:1"]},
        {"widths": [1001, 1000]},
        {"uris": ["a"], "media_keys": ["10:1"]},
    ],
)
def test_what_differs_in_words_bytes_or_pixels_is_not_even_read(
    write_tables: WriteTables, changes: Row
) -> None:
    uris = changes.get("uris", ["a", "b"])
    other = sample(3, uris) | COPIES | changes
    store = Store()
    assert checked(write_tables, [sample(1, **COPIES), other], store) == []
    assert store.read == []


@pytest.mark.parametrize("content", ["another", None])
def test_equal_sizes_alone_are_no_duplicate(
    write_tables: WriteTables, content: str | None
) -> None:
    contents = {"/media/1/a": "a", "/media/1/b": "b", "/media/2/a": "a", "/media/2/b": content}
    rows = [sample(row, "ab", **COPIES) for row in (1, 2)]
    assert checked(write_tables, rows, Store(contents)) == []


def test_texts_without_images_are_compared_as_texts(write_tables: WriteTables) -> None:
    rows = [sample(1, "", text_hash="t"), sample(2, "", text_hash="t"), sample(3, "")]
    (draft,) = checked(write_tables, rows, Store())
    assert draft.finding.count == 1


def test_no_more_is_read_than_allowed_and_the_rest_is_named(write_tables: WriteTables) -> None:
    store = Store()
    rows = [sample(row, **COPIES) for row in range(10)]
    (draft,) = checked(write_tables, rows, store, most=6)
    assert len(store.read) == 6
    assert draft.finding.count == 2
    assert "7 more samples may be" in draft.finding.detail


def test_media_named_by_their_store_are_suspected_by_that_name(
    write_tables: WriteTables,
) -> None:
    tagged = {"text_hash": "t", "media_keys": ["etag-1", "etag-2"]}
    rows = [sample(1, **tagged), sample(2, **tagged), sample(3, text_hash="t")]
    (draft,) = checked(write_tables, rows, Store())
    assert [(pick.sample, pick.twin) for pick in draft.picks] == [(1, 0)]
