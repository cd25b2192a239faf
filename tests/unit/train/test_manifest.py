import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orchestrator.errors import ConfigError, StorageError
from orchestrator.storage import Store
from orchestrator.train.manifest import (
    Json,
    RunManifest,
    admit,
    freeze,
    give_up_exact,
    read_manifest,
)
from orchestrator.train.numeric import _cpu, numeric_class

CLASS = {"device": "cpu", "cpu": "EPYC", "instructions": "avx2", "threads": "1"}
OTHER_CLASS = CLASS | {"cpu": "Xeon", "instructions": "amx_tile avx2"}


def a_job(*, allow_mixed: bool = False) -> dict[str, Json]:
    return {
        "name": "demo",
        "data": {"train": {"path": "/data/train.json"}, "eval": None},
        "train": {"learning_rate": 1e-3, "seed": 0},
        "scale": {"workers": [1, 3], "allow_mixed_machines": allow_mixed},
        "tracking": {"uri": "sqlite:///mlflow.db"},
    }


def start(store: Store, job: dict[str, Json], machine: dict[str, str] = CLASS) -> RunManifest:
    return freeze(store, job, "f1", 4096, machine)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def test_a_new_run_is_frozen_and_the_same_run_goes_on(store: Store) -> None:
    assert read_manifest(store) is None
    begun = start(store, a_job())
    assert begun.exact
    assert start(store, a_job()) == begun == read_manifest(store)
    assert json.loads(store.read("run.json"))["job"]["name"] == "demo"


def test_scale_and_tracking_may_change(store: Store) -> None:
    begun = start(store, a_job())
    job = a_job() | {"scale": {"workers": [2, 8]}, "tracking": {"uri": "http://host"}}
    assert start(store, job) == begun


def test_everything_else_that_changed_is_named_with_both_values(store: Store) -> None:
    start(store, a_job())
    job = copy.deepcopy(a_job())
    job["train"] = {"learning_rate": 2e-3, "seed": 0, "epochs": 2}
    job["data"] = {"train": {"path": "/data/train.json"}, "eval": {"path": "/data/eval.json"}}
    with pytest.raises(ConfigError) as caught:
        freeze(store, job, "f2", 8192, CLASS)
    assert caught.value.problem.splitlines()[1:] == [
        "  data.eval: (nothing), was None",
        "  train.learning_rate: 0.002, was 0.001",
        "  index fingerprint: f2, was f1",
        "  micro_tokens in use: 8192, was 4096",
        "  data.eval.path: /data/eval.json, was (nothing)",
        "  train.epochs: 2, was (nothing)",
    ]
    assert "Choose a new name" in caught.value.fix
    assert store.url in caught.value.where


def test_tuples_of_a_job_are_the_lists_that_they_become(store: Store) -> None:
    job: dict[str, object] = {**a_job(), "images": {"sizes": (1, 2)}}
    begun = freeze(store, job, "f1", 4096, CLASS)  # type: ignore[arg-type]  # as pydantic dumps it
    assert freeze(store, job, "f1", 4096, CLASS) == begun  # type: ignore[arg-type]  # the same


def test_a_machine_that_rounds_differently_is_refused(store: Store) -> None:
    begun = start(store, a_job())
    with pytest.raises(ConfigError) as caught:
        start(store, a_job(), OTHER_CLASS)
    assert "  cpu: Xeon, was EPYC" in caught.value.problem.splitlines()
    assert "  instructions: amx_tile avx2, was avx2" in caught.value.problem.splitlines()
    assert "threads" not in caught.value.problem
    assert "allow_mixed_machines" in caught.value.fix
    assert read_manifest(store) == begun


def test_a_machine_let_in_by_the_job_makes_the_run_inexact_for_good(store: Store) -> None:
    start(store, a_job())
    mixed = start(store, a_job(allow_mixed=True), OTHER_CLASS)
    assert not mixed.exact
    assert mixed.numeric_class == CLASS
    assert mixed.other_classes == (OTHER_CLASS,)
    assert start(store, a_job()) == mixed == read_manifest(store)


def test_a_newcomer_is_held_against_the_run(store: Store) -> None:
    begun = start(store, a_job())
    assert admit(store, CLASS, allow_mixed=False) == begun
    with pytest.raises(ConfigError, match="round differently"):
        admit(store, OTHER_CLASS, allow_mixed=False)
    assert not admit(store, OTHER_CLASS, allow_mixed=True).exact


def test_a_run_that_is_not_exact_any_more_stays_so(store: Store) -> None:
    begun = start(store, a_job())
    assert begun.exact
    assert give_up_exact(store) == replace(begun, exact=False) == give_up_exact(store)
    assert start(store, a_job()) == read_manifest(store) == replace(begun, exact=False)


@pytest.mark.parametrize("content", [b"{", b"{}", b"[]", b'{"other_classes": []}'])
def test_a_manifest_that_is_none_is_named(store: Store, content: bytes) -> None:
    store.write("run.json", content)
    with pytest.raises(StorageError, match=r"run\.json"):
        start(store, a_job())


def test_a_newcomer_to_no_run_is_told_so(store: Store) -> None:
    with pytest.raises(StorageError, match="there is none"):
        admit(store, CLASS, allow_mixed=True)
    with pytest.raises(StorageError, match="there is none"):
        give_up_exact(store)


def test_a_machine_has_one_class_as_long_as_its_threads_are_the_same() -> None:
    here = numeric_class(torch.device("cpu"))
    assert here == numeric_class(torch.device("cpu"))
    assert {"device", "cpu", "instructions", "threads", "torch", "numpy"} <= set(here)
    assert all(isinstance(value, str) and value for value in here.values())
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert numeric_class(torch.device("cpu")) == here | {"threads": str(threads + 1)}
    finally:
        torch.set_num_threads(threads)


def test_what_chooses_among_kernels_is_part_of_the_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = numeric_class(torch.device("cpu"))
    assert {"attention", "products"} <= set(here)
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    there = numeric_class(torch.device("cpu"))
    assert there["products"] == f"{here['products']} MKL_CBWR=AVX2"
    torch.backends.cuda.enable_flash_sdp(enabled=False)
    try:
        without = numeric_class(torch.device("cpu"))["attention"]
    finally:
        torch.backends.cuda.enable_flash_sdp(enabled=True)
    assert here["attention"] == f"flash {without}"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_named_with_its_libraries() -> None:
    device = numeric_class(torch.device("cuda"))["device"]
    assert "CUDA" in device
    assert "cuDNN" in device
    assert "cuBLAS" in device


@pytest.mark.parametrize(
    ("cpuinfo", "model", "flags"),
    [
        (
            "processor\t: 0\nmodel name\t: AMD EPYC\ncache size\t: 512 KB\n"
            "flags\t\t: fpu smep avx2 sse4_1 avx512f amx_tile fma\n\nprocessor\t: 1\n",
            "AMD EPYC, cache size 512 KB",
            ["amx_tile", "avx2", "avx512f", "fma"],
        ),
        (
            "processor : 0\nFeatures : fp asimd sve bf16 i8mm\nCPU implementer : 0x41\n"
            "CPU part : 0xd40\n",
            "CPU implementer 0x41, CPU part 0xd40",
            ["asimd", "bf16", "i8mm", "sve"],
        ),
    ],
)
def test_a_processor_is_known_by_model_and_instructions(
    cpuinfo: str, model: str, flags: list[str]
) -> None:
    assert _cpu(cpuinfo) == (model, flags)
