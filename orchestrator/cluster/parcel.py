"""What a submitted job takes along to the cluster: its job file and our own code.

Chosen by naming what goes, never by leaving out what must not: data, secrets and whatever else
lies in a folder stay where they are. No Ray here; ``submitting`` sends what is chosen.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from orchestrator.config.places import absolute_if_file, absolute_if_folder
from orchestrator.config.problems import joined
from orchestrator.errors import ConfigError, InputError

JOB_FILE = "job.yaml"
CODE_ENDINGS = (".py", ".txt")
"""What our code consists of; nothing else of its folder is sent."""
MOST_BYTES = 20 << 20
"""Of code. Ours has about one megabyte; every machine of the cluster fetches it."""
LARGEST_NAMED = 5

_SQLITE = "sqlite:///"
_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_SHARED = "Put it into a bucket, or a folder that all machines share, and give its full path"


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent, and what a person should know of it."""

    job_yaml: str
    code: dict[str, Path]
    """Our code's files, by their names below the package's folder; empty: the cluster's own
    installation is used."""

    left_out: tuple[str, ...] = ()
    """Files in the package's folder that are not sent."""

    shared: tuple[str, ...] = ()
    """Folders and files that every machine of the cluster has to have at the same place."""

    @property
    def num_bytes(self) -> int:
        """Of all that is sent, before it is compressed."""
        return len(self.job_yaml) + sum(path.stat().st_size for path in self.code.values())

    def write(self, folder: Path) -> tuple[Path, Path | None]:
        """Lay it out, for Ray to send.

        Returns:
            The folder with the job file, and the package's, if there is one.
        """
        job = folder / "job"
        job.mkdir()
        (job / JOB_FILE).write_text(self.job_yaml)
        for name, path in self.code.items():
            copy = folder / "orchestrator" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        return job, folder / "orchestrator" if self.code else None


def pack(job: Job, cwd: Path, package: Path | None) -> Parcel:
    """Choose what a job takes along.

    Args:
        job: As written: its relative paths still are.
        cwd: Where they are seen from.
        package: The folder of our own code; None to use what the cluster has.

    Raises:
        ConfigError: The cluster could not reach something that the job names, or the job holds
            a password; everything that is wrong has a line of its own.
        InputError: The code is larger than code can be.
    """
    places = [*_places(job)]
    problems = [found for field, place in places if (found := _problem(field, place, cwd))]
    if problems:
        raise joined(problems)
    code, left_out = code_files(package) if package else ({}, ())
    _check_size(code)
    shared = {place.removeprefix(_SQLITE) for _, place in places}
    return Parcel(
        job_yaml=yaml.safe_dump(job.model_dump(mode="json"), sort_keys=False),
        code=code,
        left_out=left_out,
        shared=tuple(sorted(place for place in shared if place.startswith("/"))),
    )


def code_files(package: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Our code's files, and what lies beside them that is not sent.

    In a git checkout, what git ignores is not even looked at.
    """
    code, left_out = {}, []
    for name in _names(package):
        path = package / name
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        # A link may lead anywhere.
        if path.suffix in CODE_ENDINGS and not path.is_symlink():
            code[name] = path
        else:
            left_out.append(name)
    return code, tuple(left_out)


def _names(package: Path) -> list[str]:
    wanted = ("--cached", "--others", "--exclude-standard", "-z")
    command = ["git", "-C", str(package), "ls-files", *wanted]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        listed = None
    if listed is not None and listed.returncode == 0 and listed.stdout:
        return sorted(listed.stdout.rstrip("\0").split("\0"))
    # Installed, and not a checkout.
    return sorted(path.relative_to(package).as_posix() for path in package.rglob("*"))


def _check_size(code: dict[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in code.items()}
    total = sum(sizes.values())
    if total <= MOST_BYTES:
        return
    largest = sorted(sizes, key=lambda name: -sizes[name])[:LARGEST_NAMED]
    named = ", ".join(f"{name} ({sizes[name] / 1e6:.1f} MB)" for name in largest)
    raise InputError(
        f"{total / 1e6:.1f} MB of code, at most {MOST_BYTES / 1e6:.1f}; the largest: {named}",
        "submit",
        "Move what is no code out of the package's folder, or have git ignore it",
    )


def _places(job: Job) -> Iterator[tuple[str, str]]:
    """Everything in a job that may be a place, by its field."""
    yield "model.path", job.model.path
    yield from _of_sources("data.train", job.data.training)
    yield from _of_sources("data.eval", job.data.held_out)
    for root in job.data.roots:
        yield "data.roots", root
    yield "tracking.uri", job.tracking.uri
    yield "storage.path", job.storage.path


def _of_sources(field: str, sources: Sequence[DataSource]) -> Iterator[tuple[str, str]]:
    for source in sources:
        yield f"{field}.path", source.path
        if source.media_dir is not None:
            yield f"{field}.media_dir", source.media_dir
        if source.template is not None:
            yield f"{field}.template", source.template


def _problem(field: str, place: str, cwd: Path) -> ConfigError | None:
    if _PASSWORD.search(place):
        # The job file is kept beside the run, and shown by Ray's dashboard.
        return ConfigError(
            "holds a password",
            field,
            "Give it to the cluster's machines: MLFLOW_TRACKING_USERNAME and _PASSWORD, a role",
        )
    if not _is_local(field, place, cwd):
        return None
    return ConfigError(f"the cluster cannot reach {place!r} on this machine", field, _SHARED)


def _is_local(field: str, place: str, cwd: Path) -> bool:
    """Whether a place means something on this machine only."""
    if field == "model.path":
        return place.startswith(("~", ".")) or _moves(absolute_if_folder(place, cwd), place)
    if field.endswith(".template"):
        return place.startswith("~") or _moves(absolute_if_file(place, cwd), place)
    if place.startswith(_SQLITE):
        return not place.removeprefix(_SQLITE).startswith("/")
    return "://" not in place and not place.startswith(("/", "databricks"))


def _moves(absolute: str, place: str) -> bool:
    return absolute != place
