"""What a job file may say, and what its errors say."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestrator.config.load import load_job
from orchestrator.errors import ConfigError

WriteJob = Callable[[str], Path]


def error_lines(path: Path, overrides: Sequence[str] = ()) -> list[str]:
    """The lines of the error, without the file's folder."""
    with pytest.raises(ConfigError) as caught:
        load_job(path, overrides)
    return str(caught.value).replace(f"{path.parent}/", "").splitlines()


def test_three_lines_make_a_job_and_the_rest_has_defaults(write_job: WriteJob) -> None:
    job = load_job(write_job(""))
    assert job.train.global_batch == 16
    assert job.scale.workers == (1, 1)
    assert job.data.eval is None


def test_workers_are_counted_over_all_cells(write_job: WriteJob) -> None:
    assert load_job(write_job("scale: {workers: [2, 5]}")).scale.cells == (2, 5)
    crews = write_job("scale: {workers: [2, 6], workers_per_cell: 2}")
    assert load_job(crews).scale.cells == (1, 3)


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (
            "train: {global_batch: '8'}",
            "train.global_batch: input should be a valid integer, got '8'",
        ),
        (
            "train: {global_batch: 0}",
            "train.global_batch: input should be greater than 0, got 0",
        ),
        (
            "train: {global_bach: 8}",
            "train.global_bach: unknown field (did you mean global_batch?)",
        ),
        ("epochs: 3", "epochs: unknown field (did you mean train.epochs?)"),
        ("trian: {epochs: 3}", "trian: unknown field (did you mean train?)"),
        (
            "zzz: 1",
            "zzz: unknown field (there are name, model, data, images, videos, fusion, lora, "
            "train, scale, tracking, storage, search)",
        ),
        (
            "lora: {lr: 1}",
            "lora.lr: unknown field (there are rank, alpha, dropout)",
        ),
        (
            "scale: {gpu: maybe}",
            "scale.gpu: input should be 'auto' or a valid boolean, got 'maybe'",
        ),
        ("scale: {workers: [0, 3]}", "scale.workers.0: input should be greater than 0, got 0"),
        ("scale: {workers: [3, 1]}", "scale: workers: the least (3) is above the most (1)"),
        (
            "scale: {workers: [1, 4], workers_per_cell: 2}",
            "scale: workers: 1 and 4 have to be multiples of workers_per_cell (2)",
        ),
        (
            "images: {max_pixels: 100}",
            "images: min_pixels (3136) is above max_pixels (100)",
        ),
        (
            "storage: {path: ''}",
            "storage.path: string should have at least 1 character, got ''",
        ),
        ("lora:", "lora: input should be a section, got null"),
        (
            "fusion: {narrow: 96, heads: 5}",
            "fusion: narrow (96) has to be a multiple of heads (5)",
        ),
        (
            "fusion: {narrow: 12, heads: 2}",
            "fusion: narrow (12) has to be a multiple of 8",
        ),
        (
            "images: {max_images: 9}\nfusion: {budget: 17, floor: 2}",
            "fusion: budget (17) has no room for images.max_images (9) with floor (2) tokens "
            "each",
        ),
        ("lora: {dropout: 1.0}", "lora.dropout: input should be less than 1, got 1.0"),
        (
            "train: {learning_rate: .nan}",
            "train.learning_rate: input should be a finite number, got nan",
        ),
        ("data: {}", ":4: key 'data' is written twice, first in line 3"),
    ],
)
def test_one_mistake_is_one_line_with_field_value_and_remedy(
    write_job: WriteJob, extra: str, line: str
) -> None:
    joint = "" if line.startswith(":") else ": "
    expected = f"job.yaml{joint}{line}. Compare jobs/demo.yaml."
    assert error_lines(write_job(extra)) == [expected]


def test_all_mistakes_are_named_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: my run\ntrain: {epochs: many, sede: 1}\ndata: {train: {}}\n")
    assert [line.split(": ")[1] for line in error_lines(path, ["train.epoch=2"])] == [
        "unknown field 'train.epoch' (did you mean epochs?). Compare jobs/demo.yaml.",
        "name",
        "model",
        "data.train.path",
        "train.epochs",
        "train.sede",
    ]


def test_a_long_value_is_shown_in_short(write_job: WriteJob) -> None:
    (line,) = error_lines(write_job(f"train: {{epochs: {'x' * 5000}}}"))
    assert len(line) < 200


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("name: [1, 2\n", "job.yaml:2: expected ',' or ']'"),
        ("name: a: b\n", "job.yaml:1: mapping values are not allowed here"),
        ("a: 1\nname: x\nname: y\n", "job.yaml:3: key 'name' is written twice"),
        ("", "job.yaml: holds nothing where sections should be"),
        ("- a\n", "job.yaml: holds a list where sections should be"),
        ("name: !!set {a}\n", "job.yaml: holds more than plain values"),
        ("name: &a [*a]\n", "job.yaml: holds more than plain values"),
        ("name: !!python/object:os.system {}\n", "job.yaml:1: could not determine a construct"),
        ("name: \0\n", "job.yaml:1: unacceptable character"),
    ],
)
def test_text_that_is_no_job_is_refused_with_its_line(
    tmp_path: Path, text: str, start: str
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    (line,) = error_lines(path)
    assert line.startswith(start)


def test_a_missing_file_a_folder_and_another_encoding_are_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    assert error_lines(missing) == ["none.yaml: no such file. Check the path to the job file."]
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "cannot be read (Is a directory)" in error_lines(folder)[0]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: Grüße".encode("latin-1"))
    assert "not UTF-8 text" in error_lines(latin)[0]


def test_overrides_win_over_the_file_and_the_last_one_over_the_others(
    write_job: WriteJob,
) -> None:
    job = load_job(
        write_job("train: {epochs: 2}"),
        [
            "train.epochs=3",
            "train.epochs=4",
            "train.learning_rate=1e-4",
            "scale.workers=[2, 5]",
            "train.max_grad_norm=null",
            "data.eval.path=held out.json",
            "lora={rank: 8}",
            "tracking.uri=http://host:5000/?a=b",
        ],
    )
    assert (job.train.epochs, job.train.learning_rate) == (4, 1e-4)
    assert job.scale.workers == (2, 5)
    assert job.train.max_grad_norm is None
    assert job.data.eval is not None
    assert job.data.eval.path == "held out.json"
    assert job.lora.rank == 8
    assert job.tracking.uri == "http://host:5000/?a=b"


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("train.epochs", "no '=' in it. Write --set section.field=value."),
        (
            "lora.lr=3",
            "unknown field 'lora.lr' (there are rank, alpha, dropout). Compare jobs/demo.yaml.",
        ),
        (
            "train.global_bach=3",
            "unknown field 'train.global_bach' (did you mean global_batch?)."
            " Compare jobs/demo.yaml.",
        ),
        (
            "train.epochs=many",
            "input should be a valid integer, got 'many'. Compare jobs/demo.yaml.",
        ),
        (
            "train.epochs=[1",
            "not a YAML value: expected ',' or ']', but got '<stream end>'."
            " Put the value in quotes if it is meant as text.",
        ),
        (
            "lora.rank.x=3",
            "unknown field 'lora.rank.x'. Compare jobs/demo.yaml.",
        ),
        (
            "images.min_pixels=9000000",
            "min_pixels (9000000) is above max_pixels (1003520). Compare jobs/demo.yaml.",
        ),
        (
            "images={pre_resized: true, exact_pixels: true}",
            "pre_resized copies are JPEG, and exact_pixels wants none of its loss. "
            "Compare jobs/demo.yaml.",
        ),
    ],
)
def test_a_wrong_override_is_cited_as_it_was_typed(
    write_job: WriteJob, typed: str, line: str
) -> None:
    assert error_lines(write_job(""), [typed]) == [f"--set {typed}: {line}"]


def test_an_override_into_what_is_no_section_is_refused(write_job: WriteJob) -> None:
    lines = error_lines(write_job("lora: 3"), ["lora.rank=8"])
    assert lines[0] == (
        "--set lora.rank=8: lora is no section in the job file. Compare jobs/demo.yaml."
    )


@given(st.text(max_size=40))
@settings(deadline=None)
def test_any_text_as_an_override_is_a_job_or_a_config_error(typed: str) -> None:
    path = Path(__file__).parents[3] / "jobs/demo.yaml"
    try:
        load_job(path, [typed, f"train.epochs={typed}"])
    except ConfigError as error:
        assert str(error).startswith("--set")  # noqa: PT017 - either outcome is right


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
@settings(deadline=None)
@example(b"[" * 1000)
@example(b"name: 1" + b"0" * 5000)
def test_any_bytes_as_a_file_are_a_job_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"any\.yaml"):
        load_job(path)


def test_data_sets_are_one_or_a_list_of_them(write_job: WriteJob) -> None:
    one = load_job(write_job(""))
    assert [source.path for source in one.data.training] == ["data/train.jsonl"]
    assert one.data.held_out == ()
    many = load_job(write_job(""), ["data.train=[{path: a.csv, weight: 0.5}, {path: b.tar}]"])
    assert [(source.path, source.weight) for source in many.data.training] == [
        ("a.csv", 0.5),
        ("b.tar", 1.0),
    ]


@pytest.mark.parametrize(
    ("train", "line"),
    [
        ("[{path: a, wieght: 1}]", "data.train.0.wieght: unknown field (did you mean weight?)"),
        ("[]", "data.train: an empty list, where a data set should be, got []"),
        (
            "[{path: a}, {path: b, weight: 0}]",
            "data.train.1.weight: input should be greater than 0, got 0",
        ),
        ("{path: a, weight: 0}", "data.train.weight: input should be greater than 0, got 0"),
        ("a.json", "data.train: input should be a section, got 'a.json'"),
    ],
)
def test_a_mistake_in_one_of_several_data_sets_is_named_by_its_place(
    tmp_path: Path, train: str, line: str
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"name: mine\nmodel: {{path: m}}\ndata: {{train: {train}}}\n")
    assert error_lines(job) == [f"job.yaml: {line}. Compare jobs/demo.yaml."]
