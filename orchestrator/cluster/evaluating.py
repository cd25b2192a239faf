"""``orchestrator evaluate``: what was learned, on held-out groups, with images and without."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray

from orchestrator.cluster.handout import Course, Stream
from orchestrator.cluster.indexing import build_index
from orchestrator.cluster.prepare import course
from orchestrator.cluster.rendering import render_alone
from orchestrator.cluster.resolving import settle
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.variants import Images
from orchestrator.errors import InputError
from orchestrator.models.device import pick_device
from orchestrator.models.fusing import untuned
from orchestrator.models.lora import trained_tensors
from orchestrator.models.unfreezing import keep_published
from orchestrator.storage import Store
from orchestrator.train.background import STATE
from orchestrator.train.checkpoint import latest_checkpoint
from orchestrator.train.crew import score_units
from orchestrator.train.exact import LOSS_EXPONENT
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.state import Replica

IN_FLIGHT = 2
"""Micro-batches that wait at each evaluator, so that none of them idles."""


@dataclass(frozen=True, slots=True)
class Question:
    """One evaluation: which images the samples keep, and whether the adapter is on."""

    images: Images
    tuned: bool


ALL_QUESTIONS = (
    Question("all", tuned=True),
    Question("all", tuned=False),
    Question("first", tuned=True),
    Question("swapped", tuned=True),
)
"""What was learned, what was known before, and whether the answers come from the images."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one evaluation found."""

    images: Images
    tuned: bool
    samples: int
    accuracy: float
    """Share of samples of which every label token is the most likely one: greedy decoding
    would write exactly the answer."""
    loss: float
    """Mean over label tokens, in nats."""
    empty_slots: int
    """Samples whose pictures turned out to be broken."""


class Evaluator:
    """The tuned model in an actor.

    Args:
        job_json: The resolved job.
        state: A checkpoint's state.
    """

    def __init__(self, job_json: str, state: bytes) -> None:
        job = Job.model_validate_json(job_json)
        self._learner = VisionLanguageLearner.load(job, pick_device(job.scale.gpu))
        # What was known before is among the questions.
        keep_published(self._learner.model)
        Replica(trained_tensors(self._learner.model), weight_decay=0.0).load_bytes(state)

    def score(self, table: pa.Table, *, tuned: bool) -> list[int]:
        """Loss units, label tokens, samples, correct ones, and empty slots."""
        batch = MicroBatch.from_table(table)
        if tuned:
            sums = score_units(self._learner, batch)
        else:
            with untuned(self._learner.model):
                sums = score_units(self._learner, batch)
        return [*sums.tolist(), len(batch.faults)]


def evaluate(
    job: Job, questions: Sequence[Question], progress: Callable[[int, int], None]
) -> list[Answer]:
    """Answer questions about a run, from its newest checkpoint.

    Args:
        job: The resolved job. A Ray session is open.
        questions: What to evaluate; one model answers all.
        progress: Told how many micro-batches are done, of how many.

    Raises:
        InputError: The job has no held-out data, or its run no checkpoint.
    """
    if not job.data.held_out:
        raise InputError(
            "the job has no held-out data", "data.eval", "Name a file of conversations there"
        )
    store = Store.open(job.storage.path).child(job.name)
    checkpoint, _ = latest_checkpoint(store)
    if checkpoint is None:
        raise InputError(
            "the run has no checkpoint yet", store.url, "Train first: orchestrator train"
        )
    streams = {
        images: Stream(_course_of(job, images), frozenset())
        for images in {question.images for question in questions}
    }
    pool = _start_pool(job, checkpoint.files[STATE])
    work = [
        (number, request, question)
        for number, question in enumerate(questions)
        for request in _requests(streams[question.images])
    ]
    sums = [[0] * 5 for _ in questions]
    for done, (number, counts) in enumerate(_scored(pool, streams, work), start=1):
        sums[number] = [a + b for a, b in zip(sums[number], counts, strict=True)]
        progress(done, len(work))
    for actor in pool:
        ray.kill(actor)
    return [_answer(question, *found) for question, found in zip(questions, sums, strict=True)]


def _course_of(job: Job, images: Images) -> Course:
    index = build_index(job, "eval", images=images).index
    # Other images may make a sample longer than any that the budget was picked for; to score
    # it takes less than to train on it.
    budget = max(settle(job, [index]), index.summary.longest)
    return course(job, "eval", index, budget)


def _start_pool(job: Job, state: bytes) -> list[Any]:
    gpus = int(ray.cluster_resources().get("GPU", 0)) if job.scale.gpu is not False else 0
    cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    # Counted by node, and one CPU a node left for rendering: an evaluator that finds no place,
    # or leaves none, would have both sides wait for ever.
    fitting = sum(max(0, num - 1) // job.scale.cpus_per_worker for num in cpus)
    room = max(1, min(gpus, fitting) if gpus else fitting)
    needs = {"num_cpus": job.scale.cpus_per_worker, "num_gpus": 1 if gpus else 0}
    actor = ray.remote(Evaluator).options(**needs)
    shared = ray.put(state)
    return [
        actor.remote(job.model_dump_json(), shared)
        for _ in range(min(room, job.scale.workers[1]))
    ]


def _requests(stream: Stream) -> Iterator[pa.Table]:
    for plan in stream.plan.steps_from(0):
        for micro in range(len(plan.micros)):
            yield stream.request(plan, micro)


def _scored(
    pool: list[Any],
    streams: dict[Images, Stream],
    work: list[tuple[int, pa.Table, Question]],
) -> Iterator[tuple[int, list[int]]]:
    """Render and score, a few micro-batches at a time on each evaluator."""
    waiting = iter(work)
    under_way: dict[Any, tuple[int, Any]] = {}

    def send(actor: Any) -> None:  # noqa: ANN401 - an actor's handle
        if item := next(waiting, None):
            number, request, question = item
            table = render_alone.remote(request, streams[question.images].spec)
            under_way[actor.score.remote(table, tuned=question.tuned)] = (number, actor)

    for actor in pool * IN_FLIGHT:
        send(actor)
    while under_way:
        [ready], _ = ray.wait(list(under_way), num_returns=1)
        number, actor = under_way.pop(ready)
        send(actor)
        yield number, ray.get(ready)


def _answer(
    question: Question,
    loss_units: int,
    label_tokens: int,
    samples: int,
    correct: int,
    empty_slots: int,
) -> Answer:
    return Answer(
        images=question.images,
        tuned=question.tuned,
        samples=samples,
        accuracy=correct / max(1, samples),
        loss=loss_units / (1 << LOSS_EXPONENT) / max(1, label_tokens),
        empty_slots=empty_slots,
    )
