"""The summary page: whole, small, and safe against whatever the data say."""

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestrator.data.bad_sample import BadRow, BadSampleError
from orchestrator.data.lint.checks import lint
from orchestrator.data.lint.finding import ExampleMedium, Finding, LintLimits
from orchestrator.data.lint.page import write_page
from orchestrator.errors import StorageError
from tests.unit.data.lint.conftest import Row, WriteTables, sample

EVIL = "\"'><script>alert(1)</script><img src=http://evil.example/x onerror=alert(2)>\u202e\0"
VOID = {"meta", "img", "line", "path"}


class Reader(HTMLParser):
    """Reads a page strictly: every tag closed in order, its attributes kept."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def picture(kind: str = "JPEG", side: int = 16) -> bytes:
    noise_HWC = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise_HWC).save(written, kind)
    return written.getvalue()


def no_thumbnail(_medium: ExampleMedium) -> bytes | None:
    return None


def hostile(row: int) -> Row:
    names = [f"{EVIL}{row}", "b.jpg"]
    return sample(row, names, id=EVIL, file=EVIL, question=EVIL, notes=[EVIL], says_count=False)


def test_a_page_shows_findings_figures_samples_and_what_was_set_aside(
    tmp_path: Path, write_tables: WriteTables, limits: LintLimits
) -> None:
    bad = [
        BadRow("train.jsonl", 30 + n, f"b{n}", f"image '{n}' not found", "Put it there")
        for n in range(3)
    ]
    train = write_tables(
        [sample(row, says_count=False) for row in range(27)], bad, datasets=("home", "家")
    )
    held_out = write_tables([sample(row) for row in range(90, 95)], name="held-out")
    findings = lint(train, held_out, limits, lambda *_: None)
    page = write_page(tmp_path, train, held_out, findings, no_thumbnail)
    assert page == tmp_path / "summary.html"
    assert [path.name for path in tmp_path.glob("summary*")] == ["summary.html"]
    text = read(page).text
    for words in (
        *("27", "samples to learn from", "5", "samples held out", "rows set aside (10%)"),
        *("Instructions that never say", "27 groups, 100%", "5 examples", "train.jsonl, row 0"),
        *("Images in a group", "megapixels, as stored", "label tokens in a sample", "家"),
        *("What differs?", "2 images, 168 tokens, 8 of them learned", "sample-0"),
        *("image … not found", "image '0' not found", "Put it there", "3 rows of 30"),
    ):
        assert words in text, words


def test_nothing_that_data_say_becomes_markup(
    tmp_path: Path, write_tables: WriteTables, limits: LintLimits
) -> None:
    bad = [BadRow(EVIL, 3, EVIL, EVIL, EVIL), BadRow("x", 4, "\ud800", "too \ud800", "y")]
    train = write_tables([hostile(row) for row in range(9)], bad, datasets=(EVIL, EVIL + "2"))
    held_out = write_tables([hostile(3)], bad, name="held-out")
    findings = lint(train, held_out, limits, lambda *_: None)
    findings.append(Finding(EVIL, 1, 2.0, (), EVIL, "note", EVIL, EVIL))
    reader = read(write_page(tmp_path, train, held_out, findings, lambda _: picture()))
    assert "alert(1)" in reader.text
    assert "\0" not in reader.text
    assert "\u202e" not in reader.text
    for tag, attributes in reader.tags:
        assert tag not in {"script", "link", "iframe", "object", "a", "form", "base"}
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "img" or str(attributes["src"]).startswith("data:image/jpeg;base64,")


def test_a_page_forbids_itself_scripts_and_requests(
    tmp_path: Path, write_tables: WriteTables
) -> None:
    page = write_page(tmp_path, write_tables([sample(1)]), None, [], no_thumbnail)
    reader = read(page)
    policies = [given for _, given in reader.tags if "http-equiv" in given]
    assert [given["content"] for given in policies] == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    ]
    assert not re.search(r"https?://|url\(|@import", page.read_text(encoding="utf-8"))
    assert "Nothing that would be worth a word" in reader.text


@pytest.mark.parametrize(
    ("content", "is_shown"),
    [
        (picture("JPEG"), True),
        (picture("PNG"), True),
        (picture("WEBP"), True),
        (b"<svg onload='alert(1)'/>", False),
        (b"", False),
        (None, False),
        (picture("PNG", side=200), False),
    ],
    ids=["jpeg", "png", "webp", "svg", "empty", "none", "too large"],
)
def test_only_small_pictures_of_known_kinds_are_shown(
    tmp_path: Path, write_tables: WriteTables, *, content: bytes | None, is_shown: bool
) -> None:
    page = write_page(tmp_path, write_tables([sample(1, "a")]), None, [], lambda _: content)
    reader = read(page)
    assert ("img" in [tag for tag, _ in reader.tags]) == is_shown
    assert ("not shown" in reader.text) != is_shown


@pytest.mark.parametrize(
    "error",
    [BadSampleError("cut short", "Write it"), StorageError("is silent", "s3://b", "Wait")],
)
def test_a_picture_that_cannot_be_made_is_not_shown_and_ends_nothing(
    tmp_path: Path, write_tables: WriteTables, error: Exception
) -> None:
    def broken(_medium: ExampleMedium) -> bytes | None:
        raise error

    page = write_page(tmp_path, write_tables([sample(1)]), None, [], broken)
    assert "not shown" in read(page).text


def test_a_page_stays_below_three_megabytes_whatever_it_is_given(
    tmp_path: Path, write_tables: WriteTables, limits: LintLimits
) -> None:
    long = "\"<&'" * 500
    rows = [
        sample(
            n,
            [f"{n}-{k}{long}" for k in range(9)],
            id=long,
            file=long,
            question=long,
            notes=[long],
            says_count=False,
        )
        for n in range(30)
    ]
    bad = [BadRow(long, n, long, chr(0x4E00 + n) + long, long) for n in range(300)]
    train = write_tables(rows, bad, datasets=tuple(long + str(n) for n in range(200)))
    held_out = write_tables(rows[:3], bad, name="held-out")
    findings = lint(train, held_out, limits, lambda *_: None)
    large = picture("JPEG", side=220)
    assert 20_000 < len(large) < 48_000
    page = write_page(tmp_path, train, held_out, findings, lambda _: large)
    assert 2_000_000 < page.stat().st_size < 3_000_000


def test_a_group_of_many_images_shows_some_and_counts_the_rest(
    tmp_path: Path, write_tables: WriteTables
) -> None:
    train = write_tables([sample(1, "abcdefgh"), sample(2, "abcdefghi")])
    reader = read(write_page(tmp_path, train, None, [], lambda _: picture()))
    assert [tag for tag, _ in reader.tags].count("img") == 8 + 7
    assert "2 more" in reader.text
