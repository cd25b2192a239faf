"""All of lint together: findings in order, with examples that lead back to the data."""

from orchestrator.data.bad_sample import BadRow
from orchestrator.data.lint.checks import lint
from orchestrator.data.lint.finding import ExampleMedium, LintLimits
from tests.unit.data.lint.conftest import WriteTables, only, sample


def unread(url: str, offset: int, length: int | None) -> str | None:
    raise AssertionError(f"{url} was read at {offset}, {length}")


def test_sound_data_give_no_finding(write_tables: WriteTables, limits: LintLimits) -> None:
    train = write_tables([sample(row) for row in range(1, 40)])
    held_out = write_tables([sample(row) for row in range(50, 60)], name="held-out")
    assert lint(train, held_out, limits, unread) == []
    assert lint(train, None, limits, unread) == []


def test_warnings_come_first_and_the_larger_share_before_the_smaller(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(row, says_count=False) for row in range(1, 9)]
    rows += [sample(9, "abcdefg"), sample(10, urls=["/media/1/a.jpg", "/media/1/b.jpg"])]
    rows[-1]["text_hash"] = "text-1"
    train = write_tables(rows, [BadRow("train.jsonl", 11, "11", "no label", "Add it")])
    found = [(each.severity, each.name[:9]) for each in lint(train, None, limits, unread)]
    assert found == [
        ("warning", "Duplicate"),
        ("warning", "Rows with"),
        ("note", "Instructi"),
        ("note", "More than"),
    ]


def test_examples_name_file_row_id_and_the_other_one(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    train = write_tables([sample(row, file=f"{row}.jsonl") for row in range(1, 8)])
    held_out = write_tables([sample(5, file="eval.csv")], name="held-out")
    finding = only(lint(train, held_out, limits, unread), "Training samples that are in")
    (example,) = finding.examples
    assert (example.file, example.row, example.id) == ("5.jsonl", 5, "sample-5")
    assert example.what == "is also row 5 of eval.csv"
    assert example.media == (
        ExampleMedium("image", "a.jpg", "/media/5/a.jpg", 0, None),
        ExampleMedium("image", "b.jpg", "/media/5/b.jpg", 0, None),
    )


def test_an_example_about_one_image_shows_that_one(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(1, "ab", widths=[10, 9000], heights=[10, 9000], lengths=[5, -1])]
    finding = only(lint(write_tables(rows), None, limits, unread), "Images far larger")
    assert finding.examples[0].what == "b: 81 megapixels, resized to 0.49"
    assert finding.examples[0].media == (ExampleMedium("image", "b", "/media/1/b", 0, None),)


def test_a_finding_shows_five_examples_that_lie_apart(
    write_tables: WriteTables, limits: LintLimits
) -> None:
    rows = [sample(row, says_count=False) for row in range(100)]
    (finding,) = lint(write_tables(rows, a_group=7), None, limits, unread)
    assert [example.row for example in finding.examples] == [0, 20, 40, 60, 80]
