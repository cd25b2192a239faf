"""A run on three machines, submitted from a fourth, through all that happens to a network.

One training is told in one story, for starting clusters takes longer than all else; each test
holds a part of what was seen against what is promised.
"""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.job import Job
from tests.launch.clusters import Machines, Run, settings, until
from tests.launch.conftest import CHECKPOINT_EVERY, EPOCHS, ROWS, MakeFarJob, write_job
from tests.launch.open_ports import is_listed
from tests.launch.worlds import World, end, world

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(900)]

CUT_S = 3.0
"""Long enough to be missed; Ray holds a node for dead after some thirty."""
LOSS = "0.05"
STEPS = 6
"""That are done between one thing and the next."""


@dataclass
class Story:
    """What was seen."""

    log: Path
    """Of the command that submitted the run, and followed it."""

    run: Run
    python_path: str = ""
    """Of the driver, on the head."""

    ports: list[dict[str, Any]] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    detached: str = ""
    detached_code: int = 0
    cut_at: int = 0
    mended_at: int = 0
    lossy_steps: int = 0
    lossy_s: float = 0.0
    head_lost_at: int = 0
    finished_code: int = -1
    stopped: dict[str, Any] = field(default_factory=dict)

    def said(self) -> str:
        return self.log.read_text()


@pytest.fixture(scope="module")
def story(
    hosts_allowed: None,
    far_job: MakeFarJob,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    del hosts_allowed
    folder = tmp_path_factory.mktemp("hosts")
    with world(**settings(folder)) as made:
        yield Teller(made, folder, far_job("far", 2, EPOCHS)).tell()


class Teller:
    """Has everything happen, in order."""

    def __init__(self, made: World, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job
        self.world = made
        self.machines = Machines(made, folder)
        self.head, self.one = made.host("head", 1), made.host("one", 2)
        self.two = made.host("two", 3, wired=False)
        self.loss = folder / "loss"
        self.loss.write_text("0")
        made.lossy_wire("two", self.loss, folder / "wire.log")
        self.file = write_job(job, folder)
        self.story = Story(folder / "submit.log", Run(Path(job.storage.path) / job.name))

    def tell(self) -> Story:
        self._tell()
        return self.story

    def _tell(self) -> None:
        story, run = self.story, self.story.run
        self.machines.start_head(self.head, "--num-cpus=2")
        self.machines.start_workers(self.head, self.one, self.two)
        self._do("submit", self.file, "--no-wait")
        # The laptop was closed; the same command again follows what is there.
        submit = self._submit()
        self._wait(lambda: run.wait_for_workers(2))
        story.python_path = self._python_path()
        self._listen()
        story.status = self.machines.answer(self.head, "status", self.job.name)
        self._attach_and_detach()
        self._cut()
        self._lose()
        self._lose_the_head()
        story.finished_code = submit.wait(240)
        self._stop_another()

    def _do(self, *words: str) -> None:
        """Type a command that ends by itself."""
        log = self.folder / f"{words[0]}-once.log"
        command = self.machines.orchestrator(self.head, *words, log=log)
        assert command.wait(120) == 0, log.read_text()

    def _submit(self) -> Any:
        words = ("submit", self.file, "--json")
        return self.machines.orchestrator(self.head, *words, log=self.story.log)

    def _stop_another(self) -> None:
        """Submit one more, and end it."""
        self._do("submit", self.file, "--set", "name=unwanted", "--no-wait")
        leases = self.story.run.folder.parent / "unwanted" / "lease"
        until(leases.exists, lambda: "no driver took the run", 90)
        self._do("stop", "unwanted")
        self.story.stopped = self.machines.answer(self.head, "status", "unwanted")

    def _wait(self, wait: Callable[[], Any]) -> None:
        try:
            wait()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story.said()}") from error

    def _python_path(self) -> str:
        """Where the driver looks for code first."""
        look = (
            "for p in /proc/[0-9]*; do grep -qs 'import [d]rive; drive' $p/cmdline && "
            "tr '\\0' '\\n' < $p/environ | grep ^PYTHONPATH= && exit; done"
        )
        found = self.head.run("sh", "-c", look).stdout
        return found.strip().removeprefix("PYTHONPATH=").split(":")[0]

    def _listen(self) -> None:
        """A machine that is no part of the cluster tries every port of those that are."""
        stranger = self.world.host("stranger", 9)
        for host in (self.head, self.one, self.two):
            found = host.run(sys.executable, "-m", "tests.launch.listening")
            assert found.returncode == 0, found.stderr
            self.story.ports += [
                {**port, "place": f"{host.address}:{port['port']}"}
                for port in json.loads(found.stdout)
            ]
        places = sorted({port["place"] for port in self.story.ports})
        command = [sys.executable, "-m", "tests.launch.stranger", *places]
        asked = stranger.run(*command, within_s=120)
        assert asked.returncode == 0, asked.stderr
        self.story.verdicts = json.loads(asked.stdout)

    def _attach_and_detach(self) -> None:
        log = self.folder / "attach.log"
        attached = self.machines.orchestrator(self.head, "attach", self.job.name, log=log)
        until(lambda: "joined after step" in log.read_text(), log.read_text, 60)
        self.story.detached_code = end(attached, signal.SIGINT)
        self.story.detached = log.read_text()

    def _cut(self) -> None:
        """Pull the cable of one, and put it back."""
        run = self.story.run
        self.story.cut_at = run.step()
        self.world.cut("one")
        self._wait(lambda: run.wait_for_workers(1))
        time.sleep(CUT_S)
        self.story.mended_at = run.step()
        self.world.mend("one")
        self._wait(lambda: run.wait_for_workers(2))

    def _lose(self) -> None:
        """Lose frames on the way to two."""
        run = self.story.run
        begun_s, begun = time.monotonic(), run.step()
        self.loss.write_text(LOSS)
        self._wait(lambda: run.wait_for_step(begun + STEPS))
        self.loss.write_text("0")
        self.story.lossy_s = time.monotonic() - begun_s
        self.story.lossy_steps = run.step() - begun

    def _lose_the_head(self) -> None:
        """Kill all of the head at once, and bring up another, as a launcher does."""
        run = self.story.run
        self._wait(lambda: run.wait_for_workers(2))
        self.story.head_lost_at = run.step()
        self.head.end_all()
        time.sleep(1.0)
        for host in (self.one, self.two):
            host.end_all()
        self.machines.start_head(self.head, "--num-cpus=2")
        self.machines.start_workers(self.head, self.one, self.two)
        # A head, a driver and workers start anew, all on this one machine.
        again = self.story.head_lost_at + STEPS
        self._wait(lambda: run.wait_for_step(again, within_s=240))


def test_weights_are_those_of_an_undisturbed_run(
    story: Story, undisturbed: Callable[[int], str]
) -> None:
    assert story.finished_code == 0, story.said()
    result = story.run.result()
    assert result["weights_sha256"] == undisturbed(EPOCHS)
    assert result["samples_used"] == ROWS * EPOCHS
    assert result["exact"]
    assert result["weights_sha256"] in story.said()


def test_a_pulled_cable_costs_the_others_a_round_and_its_worker_comes_back(
    story: Story,
) -> None:
    events = story.run.events("step", "lost", "joined", "resumed")
    sizes = [
        event["world_size"]
        for event in events
        if event["kind"] == "step" and int(event["step"] or 0) >= story.cut_at
    ]
    assert sizes[sizes.index(1) :].index(2)
    assert story.mended_at > story.cut_at
    before = events[: events.index(next(e for e in events if e["kind"] == "resumed"))]
    steps = [event["step"] for event in before if event["kind"] == "step"]
    assert steps == sorted(set(steps)), "a step was done again though somebody lived"


def test_frames_that_are_lost_slow_a_run_down_and_change_nothing(story: Story) -> None:
    assert story.lossy_steps >= STEPS


def test_a_strangers_every_port_is_refused_closed_or_listed_with_its_reason(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = {place: said for place, said in story.verdicts.items() if "open" in said}
    roles = {
        place: {port["role"] for port in story.ports if port["place"] == place}
        for place in answered
    }
    with capsys.disabled():
        for place, said in sorted(answered.items()):
            print(f"\n{place} ({', '.join(roles[place])}): {said}", end="")
        kinds = [said.partition(":")[0] for said in story.verdicts.values()]
        print("\n" + ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds))))
    unlisted = {
        place: (roles[place], said)
        for place, said in answered.items()
        if not is_listed(roles[place], said)
    }
    assert not unlisted
    closed = [said for said in story.verdicts.values() if said.startswith("closed")]
    assert len(closed) >= 10, story.verdicts


def test_the_dashboard_is_on_loopback_and_asks_for_the_token(story: Story) -> None:
    [dashboard] = [port for port in story.ports if port["port"] == 8265]
    assert dashboard["address"] == "127.0.0.1"
    assert story.verdicts[dashboard["place"]].startswith("refused")


def test_what_runs_on_the_head_is_the_code_that_was_sent(story: Story) -> None:
    assert "/runtime_resources/py_modules_files/_ray_pkg_" in story.python_path


def test_status_says_how_far_a_run_is(story: Story) -> None:
    assert story.status["state"] == "running"
    assert story.status["run"] == "far"
    assert story.status["step"] > 0


def test_the_same_submit_again_follows_the_run_that_is_there(story: Story) -> None:
    assert story.said().startswith("far runs already, as far-")


def test_ctrl_c_detaches_and_the_run_goes_on(story: Story) -> None:
    assert story.detached_code == 130
    assert "orchestrator attach far follows it again" in story.detached
    assert story.head_lost_at > 0


def test_a_lost_heads_run_is_submitted_again_and_resumes_from_its_checkpoint(
    story: Story,
) -> None:
    said = story.said()
    assert "the head knows no job far-" in said
    assert said.count("-- submitted again, as far-") == 1
    result = story.run.result()
    assert result["restarts"] == 1
    assert 0 <= result["steps_replayed"] <= CHECKPOINT_EVERY + 1


def test_a_run_that_is_stopped_is_over(story: Story) -> None:
    assert story.stopped["state"] == "stopped"
