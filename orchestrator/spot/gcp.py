"""Google Compute Engine: 30 seconds' notice, of which the service names no end.

Source: Compute Engine documentation, "Detect if a VM was preempted".
"""

from dataclasses import dataclass

from orchestrator.spot.metadata import Answer, Metadata, NoAnswerError
from orchestrator.spot.notice import Notice

EVERY_S = 1.0
LEAD_S = 30.0
PREEMPTED_PATH = "/computeMetadata/v1/instance/preempted"
FLAVOR = {"Metadata-Flavor": "Google"}


@dataclass(frozen=True, slots=True)
class GcpSource:
    """Asks Compute Engine whether this machine is being preempted."""

    metadata: Metadata

    def look(self) -> tuple[Notice, ...]:
        """All that is announced now; the deadline counts from this look.

        Raises:
            NoAnswerError: Nothing is known.
        """
        answer = self.metadata.ask(PREEMPTED_PATH, _headers())
        said = answer.body.strip()
        if not _is_google(answer) or answer.status != 200 or said not in (b"TRUE", b"FALSE"):
            raise NoAnswerError(f"it says neither TRUE nor FALSE (status {answer.status})")
        if said == b"FALSE":
            return ()
        deadline_s = self.metadata.clock.now_s() + LEAD_S
        return (
            Notice(
                kind="interruption", id="preempted", action="preempt", deadline_s=deadline_s
            ),
        )


def is_gcp(metadata: Metadata) -> bool:
    """Whether this is a machine of Compute Engine; where nobody answers, it is not."""
    try:
        return _is_google(metadata.ask("/", _headers()))
    except NoAnswerError:
        return False


def _headers() -> dict[str, str]:
    # Asked by address, so that a name server has no say; the name goes along all the same.
    return {**FLAVOR, "Host": "metadata.google.internal"}


def _is_google(answer: Answer) -> bool:
    return answer.headers.get("Metadata-Flavor") == "Google"
