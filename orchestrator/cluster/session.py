"""A connection to Ray: a running cluster by its address, or a private one on this machine."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from orchestrator.cluster.internals import check_version, require_token
from orchestrator.errors import FaultError, InputError


@contextmanager
def open_session(address: str | None, *, cpus: int) -> Iterator[None]:
    """Connect to Ray, and disconnect afterwards; a private cluster ends with the session.

    Args:
        address: A running cluster's address, or None: ``RAY_ADDRESS`` if it is set, else a
            private cluster on this machine, on loopback and behind a token of its own.
        cpus: CPUs that a private cluster offers at least, whatever this machine has: with
            fewer, a job could never start.

    Raises:
        InputError: There is no cluster at the address.
        FaultError: The cluster was lost; in the place of any error of Ray's own. What a task or
            an actor of ours raised comes as it was raised there.
    """
    check_version()
    quieten()
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        _start_private(cpus)
    else:
        _join(address)
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        problem = f"the cluster is lost ({type(error).__name__})"
        again = "Run the same command again: it resumes from the last checkpoint"
        raise FaultError(problem, "cluster", again) from error
    finally:
        ray.shutdown()


def quieten() -> None:
    """Keep Ray's own talk out of a person's sight: it is in Ray's log folder."""
    os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    for name in ("ray", "ray.data", "ray.train", "ray.tune"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"ray(\..*)?")


def _start_private(cpus: int) -> None:
    require_token()
    ray.init(
        address="local",
        num_cpus=max(cpus, os.cpu_count() or 1),
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _join(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Ray cluster answers at {address} ({str(error).splitlines()[0]})",
            "--address",
            "Start one with ray start --head, or leave the address out",
        ) from error
