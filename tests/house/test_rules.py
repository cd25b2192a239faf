"""Rules that no linter knows."""

import ast
import subprocess
from pathlib import Path

import pytest

from orchestrator.config.load import load_job
from orchestrator.config.problems import dotted, sections_by_path
from orchestrator.config.section import Section

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "orchestrator").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
JOBS = sorted((ROOT / "jobs").glob("*.yaml"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project_files() -> list[Path]:
    """What is or could be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def imported(tree: ast.Module) -> set[str]:
    """Top-level names of all packages that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", [*PACKAGE, *TESTS], ids=name_of)
def test_a_module_says_what_it_is_for_and_fits_in_one_reading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path in TESTS or ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_module_is_safe_to_run_on_strangers_files(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not imported(tree) & {"pickle", "cloudpickle", "dill", "marshal", "shelve"}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            assert isinstance(node.value, ast.Constant)
            assert node.value.value is False
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) != ("torch", "load")


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_ray_and_torchft_stay_inside_cluster(path: Path) -> None:
    if path.is_relative_to(ROOT / "orchestrator/cluster"):
        return
    assert not imported(ast.parse(path.read_text(encoding="utf-8"))) & {"ray", "torchft"}


def test_unit_tests_mirror_the_package() -> None:
    folders = {
        path.parent.relative_to(ROOT / "tests/unit") for path in TESTS if "unit" in path.parts
    }
    packages = {path.parent.relative_to(ROOT / "orchestrator") for path in PACKAGE}
    assert folders <= packages


@pytest.mark.parametrize("path", JOBS, ids=name_of)
def test_a_job_file_loads_and_tells_editors_its_schema(path: Path) -> None:
    assert load_job(path).name == path.stem
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./job.schema.json"


def test_every_field_is_set_by_some_job_file() -> None:
    # Held-out data is written like data to learn from.
    fields = {
        dotted(path)
        for path, section in sections_by_path()
        if section is None and path[:2] != ("data", "eval")
    }
    assert fields - {name for path in JOBS for name in written_fields(load_job(path))} == set()


def written_fields(section: Section, prefix: str = "") -> list[str]:
    """The fields that a file sets itself, dotted."""
    names: list[str] = []
    for name in section.model_fields_set:
        value = getattr(section, name)
        for one in value if isinstance(value, tuple) else (value,):
            names += written_fields(one, f"{prefix}{name}.") if isinstance(one, Section) else []
        names.append(prefix + name)
    return names


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    # Put together here, or this file would be the one that is found.
    place = "/" + "work" + "/"
    found = [name_of(path) for path in project_files() if place.encode() in path.read_bytes()]
    assert found == []
