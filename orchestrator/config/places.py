"""Turn what a job file calls a place into one that means the same from every process.

A worker of the cluster has a working directory of its own, so a relative path must be made
absolute before it travels.
"""

from pathlib import Path

_SQLITE = "sqlite:///"


def absolute(place: str, cwd: Path) -> str:
    """A path seen from ``cwd``; a URL (``s3://``, ``gs://``) as it is."""
    if "://" in place:
        return place
    return str(cwd.absolute() / Path(place).expanduser())


def absolute_if_folder(place: str, cwd: Path) -> str:
    """The folder's absolute path where there is one; else ``place``, which is then a hub id."""
    path = absolute(place, cwd)
    return path if Path(path).is_dir() else place


def absolute_if_file(place: str, cwd: Path) -> str:
    """The file's absolute path where there is one; else ``place``, which is then a name."""
    path = absolute(place, cwd)
    return path if Path(path).is_file() else place


def absolute_uri(uri: str, cwd: Path) -> str:
    """An MLflow URI whose SQLite file, if it names one, is seen from ``cwd``."""
    if uri.startswith(_SQLITE) and ":memory:" not in uri:
        return _SQLITE + absolute(uri.removeprefix(_SQLITE), cwd)
    # MLflow's own word for a workspace, which is no folder.
    if uri.startswith("databricks"):
        return uri
    return absolute(uri, cwd)
