"""Ray Jobs: send a parcel to a cluster's head, find what runs there, read on, end it.

All goes through the dashboard's address, which is on the head's loopback: a person comes
through a tunnel, and with the cluster's token.
"""

import asyncio
import hashlib
import os
import queue
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from orchestrator.cluster.following import Submitted
from orchestrator.cluster.internals import check_version
from orchestrator.cluster.job_internals import job_client, use_token
from orchestrator.cluster.parcel import JOB_FILE, Parcel
from orchestrator.cluster.resubmitting import State
from orchestrator.cluster.session import quieten
from orchestrator.cluster.supervise import STOP_S
from orchestrator.errors import FaultError, InputError

ENTRYPOINT = f"python -m orchestrator train {JOB_FILE}"
"""On the head, where Ray puts the commands of jobs. ``RAY_ADDRESS`` is set for it by Ray."""
QUIET_S = 20.0
"""A log that is silent for so long is asked after: a dead line says nothing either."""
STOP_WAIT_S = STOP_S + 10.0
"""How long Ray waits for a command that it ends, which may clear up for ``STOP_S``."""
_OURS = "orchestrator"
_STATES: dict[str, State] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TUNNEL = "Open the tunnel: ssh -N -L 8265:127.0.0.1:8265 HEAD, or ray dashboard cluster.yaml"

T = TypeVar("T")


@dataclass
class Head:
    """A cluster's head, as ``following.Jobs`` wants it. Connects when it is first asked."""

    address: str
    token_file: Path | None = None
    _client: Any = field(default=None, init=False)

    @property
    def warning(self) -> str | None:
        """What is to be said of the way there."""
        where = urlsplit(_url(self.address))
        if where.scheme == "http" and where.hostname not in _LOOPBACK:
            return f"the cluster's token goes to {where.hostname} in the clear. {_TUNNEL}"
        return None

    def submit(self, parcel: Parcel, run: str, storage: str, *, as_json: bool) -> str:
        """Send a parcel, and have the head start it.

        Returns:
            The submission's name.

        Raises:
            FaultError: The head does not answer, or not with leave to submit.
            InputError: The head refuses the token.
        """
        submission = f"{run}-{secrets.token_hex(4)}"
        with tempfile.TemporaryDirectory(prefix="orchestrator-") as folder:
            job, code = parcel.write(Path(folder))
            environment: dict[str, Any] = {
                "working_dir": str(job),
                "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": f"{STOP_WAIT_S:.0f}"},
            }
            if code is not None:
                # Named by its content: what the cluster has is not sent again.
                environment["py_modules"] = [str(code)]
            ours = {
                _OURS: "train",
                "run": run,
                "storage": storage,
                "digest": digest_of(parcel),
            }
            self._ask(
                lambda client: client.submit_job(
                    entrypoint=ENTRYPOINT + (" --json" if as_json else ""),
                    submission_id=submission,
                    runtime_env=environment,
                    metadata=ours,
                )
            )
        return submission

    def all(self) -> list[Submitted]:
        """All jobs that we have submitted to this head, the newest last.

        Raises:
            FaultError: The head does not answer.
            InputError: The head refuses the token.
        """
        found = self._ask(lambda client: client.list_jobs())
        ours = [_submitted(job) for job in found if _OURS in (job.metadata or {})]
        return sorted(ours, key=lambda job: job.started_s)

    def newest(self, run: str) -> Submitted | None:
        """The newest submission of a run.

        Raises:
            FaultError: The head does not answer.
            InputError: The head refuses the token.
        """
        return next((job for job in reversed(self.all()) if job.run == run), None)

    def find(self, submission: str, /) -> Submitted | None:
        return next((job for job in self.all() if job.id == submission), None)

    def stop(self, submission: str) -> None:
        """Have a job ended; it may clear up first, so it is over a little later.

        Raises:
            FaultError: The head does not answer.
            InputError: The head refuses the token.
        """
        self._ask(lambda client: client.stop_job(submission))

    def log(self, submission: str, /) -> Iterator[str]:
        lines: queue.Queue[str | Exception | None] = queue.Queue()
        with _tailing(self._connected(), submission, lines):
            while True:
                try:
                    text = lines.get(timeout=QUIET_S)
                except queue.Empty:
                    job = self.find(submission)
                    if job is None or job.is_over:
                        return
                    continue
                if text is None:
                    return
                if isinstance(text, Exception):
                    raise _no_answer(self.address, text) from text
                yield text

    def _connected(self) -> Any:  # noqa: ANN401 - Ray ships no types
        if self._client is None:
            check_version()
            quieten()
            use_token(self.token_file)
            url = _url(self.address)
            _go_straight(url)
            self._client = _heard(self.address, lambda: job_client(url))
        return self._client

    def _ask(self, question: Callable[[Any], T]) -> T:
        client = self._connected()
        return _heard(self.address, lambda: question(client))


def digest_of(parcel: Parcel) -> str:
    """Equal for equal job files."""
    return hashlib.sha256(parcel.job_yaml.encode()).hexdigest()


def _submitted(job: Any) -> Submitted:  # noqa: ANN401 - Ray ships no types
    said = job.metadata or {}
    return Submitted(
        id=str(job.submission_id),
        run=said.get("run", ""),
        state=_STATES[str(job.status.value)],
        exit_code=job.driver_exit_code,
        why=(job.message or "").strip().partition("\n")[0],
        started_s=(job.start_time or 0) / 1000,
        ended_s=job.end_time / 1000 if job.end_time else None,
        digest=said.get("digest", ""),
        storage=said.get("storage", ""),
    )


def _go_straight(url: str) -> None:
    """Have nothing in the environment lead the token elsewhere."""
    # Ray would take this address before the one that it is given.
    os.environ["RAY_API_SERVER_ADDRESS"] = url
    for name in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(name, "")
        os.environ[name] = ",".join(filter(None, (known, urlsplit(url).hostname)))


def _url(address: str) -> str:
    return (address if "://" in address else f"http://{address}").rstrip("/")


def _heard(address: str, question: Callable[[], T]) -> T:
    from ray.exceptions import AuthenticationError  # noqa: PLC0415 - Ray is slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        return question()
    except AuthenticationError as error:
        raise InputError(
            "the cluster refuses this token, or wants one",
            address,
            "Copy the head's token file (~/.ray/auth_token there) and give --token-file",
        ) from error
    except (ConnectionError, RequestException, RuntimeError) as error:
        raise _no_answer(address, error) from error


def _no_answer(address: str, error: Exception) -> FaultError:
    why = str(error).strip().partition("\n")[0]
    # What requests and aiohttp say of a connection names objects of theirs.
    short = type(error).__name__ if not why or "object at 0x" in why or "Pool(" in why else why
    return FaultError(f"no answer from the head at {address} ({short})", "submit", _TUNNEL)


@contextmanager
def _tailing(
    client: Any,  # noqa: ANN401
    submission: str,
    lines: "queue.Queue[str | Exception | None]",
) -> Iterator[None]:
    """Fill a queue from a job's log; None is its end."""
    loop = asyncio.new_event_loop()

    async def tail() -> None:
        try:
            async for text in client.tail_job_logs(submission):
                lines.put(text)
        except Exception as error:  # noqa: BLE001 - aiohttp's, Ray's: all mean a broken line
            lines.put(error)
        lines.put(None)

    task = loop.create_task(tail())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(RuntimeError):
            # The loop has closed where the log ended by itself.
            loop.call_soon_threadsafe(task.cancel)
        thread.join(5.0)
