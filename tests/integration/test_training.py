"""The whole way on real input, on a private Ray of this machine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from orchestrator.cluster.evaluating import ALL_QUESTIONS, evaluate
from orchestrator.cluster.prepare import prepare
from orchestrator.cluster.training import TrainResult
from orchestrator.config.data import DataSource
from orchestrator.config.job import Job
from orchestrator.data.micro_batch import MicroBatch
from orchestrator.data.render import render
from orchestrator.errors import ConfigError, JobError
from orchestrator.models.export import quiet_peft
from orchestrator.plan.steps import Address
from orchestrator.storage import Store
from orchestrator.train.background import STATE
from orchestrator.train.checkpoint import latest_checkpoint
from orchestrator.train.learner import VisionLanguageLearner
from orchestrator.train.result import export_run
from orchestrator.train.state import Replica
from tests.made_job import write_picture

Run = Callable[[Job], TrainResult]
MakeJob = Callable[..., Job]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def finished_job(make_job: MakeJob) -> Job:
    return make_job("finished")


def test_a_training_uses_every_sample_once_an_epoch_and_leaves_everything_behind(
    finished_job: Job, run_job: Run, events: list[dict[str, Any]]
) -> None:
    result = run_job(finished_job)
    assert result.figures.samples_used == 40 * 3
    assert result.figures.steps == 9
    assert [event["kind"] for event in events[:2]] == ["lighthouse", "started"]
    run = Path(result.run_dir)
    assert (run / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "adapter" / "adapter_model.safetensors").exists()
    assert (run / "mlflow_run_id").exists()
    assert len(list((run / "checkpoints").iterdir())) <= 3


def test_a_finished_run_says_so_instead_of_training_again(
    finished_job: Job, run_job: Run, events: list[dict[str, Any]]
) -> None:
    result = run_job(finished_job)
    assert result.was_finished
    assert result.figures.steps == 9
    assert events == []


def test_a_changed_job_of_the_same_name_is_refused_with_the_remedy(
    make_job: MakeJob, run_job: Run
) -> None:
    with pytest.raises(ConfigError, match=r"(?s)train.learning_rate: 0.5.*new name"):
        run_job(make_job("finished", train={"learning_rate": 0.5}))


def test_evaluation_finds_what_training_found_and_counts_every_control(
    finished_job: Job, session: None, run_job: Run
) -> None:
    del session
    trained = run_job(finished_job).figures.evals[-1]
    answers = evaluate(finished_job, ALL_QUESTIONS, lambda _done, _total: None)
    assert [(a.images, a.tuned) for a in answers] == [
        ("all", True),
        ("all", False),
        ("first", True),
        ("swapped", True),
    ]
    assert answers[0].loss == pytest.approx(trained.loss, abs=1e-6)
    assert answers[0].accuracy == trained.accuracy
    assert answers[1].loss > answers[0].loss
    assert {answer.samples for answer in answers} == {12}


def test_the_exported_adapter_gives_stock_peft_the_logits_that_training_saw(
    finished_job: Job, run_job: Run, tmp_path: Path
) -> None:
    run_job(finished_job)
    assert "adapter_model.safetensors" in export_run(finished_job, tmp_path / "a", merged=False)
    batch, learner = first_batch(finished_job)
    layout, images = learner._row(batch)
    with torch.no_grad():
        ours = learner.model.get_base_model()(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            mm_encoder_outputs={"image": images},
            segment_lengths=layout.lengths_S,
            use_cache=False,
        ).logits
        base = AutoModelForImageTextToText.from_pretrained(finished_job.model.path)
        with quiet_peft():
            stock = peft.PeftModel.from_pretrained(base, str(tmp_path / "a")).eval()
        theirs = stock.get_base_model()(
            input_ids=layout.input_ids,
            position_ids=layout.position_ids,
            mm_encoder_outputs={"image": images},
            use_cache=False,
        ).logits
    assert torch.allclose(ours, theirs, atol=1e-5)


def first_batch(job: Job) -> tuple[MicroBatch, VisionLanguageLearner]:
    """One sample of the training data, and the model as the run left it."""
    course = prepare(job).courses["train"]
    index, _ = course.open()
    batch = render(index.rows([1]), Address(0, 0, 0), course.spec)
    learner = VisionLanguageLearner.load(job, torch.device("cpu"))
    tensors = {n: p for n, p in learner.model.named_parameters() if p.requires_grad}
    checkpoint, _ = latest_checkpoint(Store.open(job.storage.path).child(job.name))
    assert checkpoint is not None
    Replica(tensors, weight_decay=0.0).load_bytes(checkpoint.files[STATE])
    return batch, learner


def test_the_plainest_form_trains_word_for_word(
    make_job: MakeJob, run_job: Run, tmp_path: Path
) -> None:
    row = (
        '{"images": ["path1.jpg", "path2.png"], "conversations": [{"role": "human", '
        '"content": "描述这两张图片的差异"}, {"role": "assistant", '
        '"content": "第一张显示...第二张..."}]}'
    )
    (tmp_path / "plain.json").write_text(f"[{row}]", encoding="utf-8")
    write_picture(tmp_path / "path1.jpg", seed=1)
    write_picture(tmp_path / "path2.png", seed=2)
    job = plain_job(make_job, "plain", tmp_path / "plain.json", epochs=2)
    result = run_job(job)
    assert result.figures.samples_used == 2
    assert result.quarantined == 0
    assert result.figures.final_loss is not None
    assert result.figures.first_loss is not None
    assert result.figures.final_loss < result.figures.first_loss


def test_a_budget_that_was_picked_stays_whatever_the_next_device_has(
    make_job: MakeJob, run_job: Run
) -> None:
    job = make_job("picked", train={"micro_tokens": "auto", "epochs": 1})
    result = run_job(job)
    told = json.loads((Path(result.run_dir) / "run.json").read_text())
    assert told["job"]["train"]["micro_tokens"] == "auto"
    # A device with room for nothing at all: a new run would be refused.
    scale = job.scale.model_copy(update={"device_memory_gib": 1e-6})
    moved = job.model_copy(update={"scale": scale})
    assert prepare(moved).micro_tokens == told["micro_tokens"]
    assert run_job(moved).was_finished
    with pytest.raises(ConfigError, match="longest sample"):
        prepare(moved.model_copy(update={"name": "another"}))


def plain_job(make_job: MakeJob, name: str, path: Path, **recipe: Any) -> Job:
    job = make_job(name, train={"micro_tokens": 256, **recipe})
    source = DataSource(path=str(path), media_dir=str(path.parent))
    data = job.data.model_copy(update={"train": source, "eval": None})
    return job.model_copy(update={"data": data})


def talk(images: list[str], question: str, answer: str = "yes") -> dict[str, Any]:
    return {
        "images": images,
        "conversations": [
            {"from": "human", "value": question},
            {"from": "gpt", "value": answer},
        ],
    }


def write_bad_data(folder: Path) -> Path:
    """Eight good rows, and one of every kind of bad one."""
    for number in range(8):
        write_picture(folder / f"good{number}.jpg", seed=number)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    whole = (folder / "good0.jpg").read_bytes()
    (folder / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    rows = [talk([f"good{n}.jpg"], "<image>What?") for n in range(8)]
    rows += [
        talk(["missing.jpg"], "What?"),
        talk(["empty.jpg"], "What?"),
        talk(["text.jpg"], "What?"),
        talk(["torn.jpg"], "What?"),
        talk(["good0.jpg", "good1.jpg"], "<image>One mark too few?"),
        talk(["good0.jpg"], "<image><image>One too many?"),
        talk(["good2.jpg"], "Is <|image_pad|> a word?"),
    ]
    for number, row in enumerate(rows):
        row["id"] = f"row{number + 1}"
    path = folder / "bad.json"
    path.write_text(json.dumps(rows))
    return path


def test_a_data_set_full_of_faults_trains_and_each_is_named(
    make_job: MakeJob, run_job: Run, events: list[dict[str, Any]], tmp_path: Path
) -> None:
    job = plain_job(make_job, "faults", write_bad_data(tmp_path), epochs=2)
    result = run_job(job)
    index, _ = prepare(job).courses["train"].open()
    reasons = {bad.id: bad.reason for bad in index.quarantine}
    assert set(reasons) == {"row9", "row10", "row11", "row13", "row14"}
    assert "missing.jpg" in reasons["row9"]
    assert "empty.jpg" in reasons["row10"]
    assert "text.jpg" in reasons["row11"]
    # Its header is whole: it is found when its pixels are read, and its slot stays empty.
    late = [event for event in events if event["kind"] == "empty_slot"]
    assert {event["id"] for event in late} == {"row12"}
    assert len(late) == 2
    assert result.figures.samples_used == 9 * 2
    # The literal is text: that row has one image and trains.
    literal = index.rows([9])[0]
    assert literal.id == "row15"
    assert int(np.count_nonzero(literal.ids_L == -1)) == 1


def test_a_nan_ends_the_run_once_naming_step_tensor_and_samples(
    make_job: MakeJob, run_job: Run, tmp_path: Path
) -> None:
    path = write_bad_data(tmp_path)
    rows = json.loads(path.read_text())[:8]
    rows[5] = {**talk(["good5.jpg"], "What ÿ?"), "id": "poisoned"}
    path.write_text(json.dumps(rows))
    job = plain_job(make_job, "nan", path, global_batch=4, micro_tokens=40)
    job = job.model_copy(
        update={
            "model": job.model.model_copy(update={"path": poison(job.model.path, tmp_path)})
        }
    )
    with pytest.raises(JobError) as caught:
        run_job(job)
    message = str(caught.value)
    assert "NaN or infinity" in message
    assert "step " in message
    assert "lora_" in message
    assert "poisoned" in message
    assert (Path(job.storage.path) / "nan" / "failure.txt").exists()


def poison(model: str, folder: Path) -> str:
    """A copy of the model in which a word that one sample alone has is not a number."""
    copied = folder / "poisoned"
    shutil.copytree(model, copied)
    file = copied / "model.safetensors"
    tensors = load_file(file)
    vocabulary = json.loads((copied / "tokenizer.json").read_text())["model"]["vocab"]
    # The two bytes of "ÿ" in UTF-8, as a byte-level tokenizer writes them.
    token = vocabulary["Ã"]
    [words] = [name for name in tensors if name.endswith("embed_tokens.weight")]
    tensors[words][token] = float("nan")
    save_file(tensors, file, metadata={"format": "pt"})
    return str(copied)
