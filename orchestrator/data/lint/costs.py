"""What samples cost: answers of great length, uneven costs, micro-batches left part empty.

Letters: N samples.
"""

from collections.abc import Iterator

import numpy as np

from orchestrator.data.lint.finding import NUM_EXAMPLES, Draft, Finding, LintLimits, Pick
from orchestrator.data.lint.survey import Survey
from orchestrator.data.lint.words import of
from orchestrator.plan.steps import Plan

_COSTLY_SHARE = 0.2
_COSTLY_RATIO = 50.0
_FEW_SAMPLES = 100
"""Below this, one sample is more than the costliest hundredth."""

_UNUSED_SHARE = 0.25
_STEPS_LOOKED_AT = 64


def check_costs(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    """Look for long answers, costs that few samples carry, and micro-batches half empty."""
    if not found.num_samples:
        return
    yield from _long_answers(found, limits)
    yield from _uneven_costs(found)
    yield from _unused_room(found, limits)


def _long_answers(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    label_tokens_N = found.arrays.label_tokens_N
    long_N = np.flatnonzero(label_tokens_N > limits.answer_share * limits.micro_tokens)
    if not len(long_N):
        return
    longest_first = long_N[np.argsort(-label_tokens_N[long_N], kind="stable")]
    finding = Finding(
        name="Answers that take most of a micro-batch",
        count=len(long_N),
        share=len(long_N) / found.num_samples,
        examples=(),
        remedy="Look whether the answers are what you mean; if so, raise train.micro_tokens",
        severity="note",
        detail=f"Each is longer than {limits.answer_share:.0%} of train.micro_tokens "
        f"({limits.micro_tokens:,}). None is cut: a sample is used whole or set aside.",
    )
    yield Draft(
        finding,
        tuple(
            Pick(int(sample), of(label_tokens_N[sample], "label token"))
            for sample in longest_first[:NUM_EXAMPLES]
        ),
    )


def _uneven_costs(found: Survey) -> Iterator[Draft]:
    cost_N = found.arrays.cost_N
    costliest_first = np.argsort(-cost_N, kind="stable")
    num_top = -(-len(cost_N) // 100)
    top_share = float(cost_N[costliest_first[:num_top]].sum() / max(cost_N.sum(), 1e-9))
    median = float(np.median(cost_N))
    ratio = float(cost_N.max() / max(median, 1e-9))
    is_carried = len(cost_N) >= _FEW_SAMPLES and top_share > _COSTLY_SHARE
    if not is_carried and ratio <= _COSTLY_RATIO:
        return
    finding = Finding(
        name="Costs are wildly uneven",
        count=num_top,
        share=num_top / len(cost_N),
        examples=(),
        remedy="Look at the costliest samples; thin or shorten them (images.select, "
        "images.max_pixels) if they are not worth it",
        severity="warning",
        detail=f"The costliest 1% carry {top_share:.0%} of all cost, and the costliest sample "
        f"costs {ratio:,.0f} times the median one: steps will take very unequal times.",
    )
    yield Draft(
        finding,
        tuple(
            Pick(
                int(sample), f"costs {cost_N[sample] / max(median, 1e-9):,.0f} times the median"
            )
            for sample in costliest_first[: min(num_top, NUM_EXAMPLES)]
        ),
    )


def _unused_room(found: Survey, limits: LintLimits) -> Iterator[Draft]:
    """Plan some steps of an epoch, and see what of the micro-batches' room stays unused."""
    arrays = found.arrays
    if arrays.tokens_N.max() > limits.micro_tokens:
        return  # made for other limits: such a sample is in no plan of these
    plan = Plan(
        tokens_N=arrays.tokens_N,
        cost_N=arrays.cost_N,
        epochs=1,
        global_batch=min(limits.global_batch, found.num_samples),
        micro_tokens=limits.micro_tokens,
        seed=0,
    )
    steps = [plan.step(number) for number in range(min(_STEPS_LOOKED_AT, plan.num_steps))]
    micros = [micro for step in steps for micro in step.micros]
    unused = 1.0 - sum(micro.tokens for micro in micros) / (len(micros) * limits.micro_tokens)
    if unused <= _UNUSED_SHARE or len(micros) <= len(steps):
        return
    finding = Finding(
        name="Micro-batches are left part empty",
        count=len(micros),
        share=unused,
        examples=(),
        remedy="Raise train.micro_tokens or train.global_batch: more samples then fit together",
        severity="note",
        counted="micro-batch",
        detail=f"{unused:.0%} of their room stays unused in {of(len(steps), 'step')}. "
        "Nothing is padded, so this costs some speed and no memory.",
    )
    yield Draft(finding)
