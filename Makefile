# Each target does all of its own set-up, from a fresh clone on.
# Wanted on the machine: Python 3.11, git, make. Another interpreter: make demo PYTHON=/path/to/python3.11

PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.PHONY: demo test check schema lock clusters clean simulate chaos prove
.PHONY: bench-images bench-index bench-handout bench-plan bench-exact bench-checkpoints bench-faults bench-overhead bench-fusion bench-memory bench-search

demo: .venv/.stamp
	@$(BIN)/orchestrator demo

# What starts nothing goes side by side; clusters and servers have the machine to themselves.
SIDE_BY_SIDE := tests/unit tests/house tests/bench

test: .venv/.stamp
	@$(BIN)/pytest -q -n auto --maxprocesses 8 $(SIDE_BY_SIDE)
	@$(BIN)/pytest -q $(addprefix --ignore=,$(SIDE_BY_SIDE))

check: .venv/.stamp
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Measurements, each a table on the terminal: minutes, and the index some 4 GB of disk.
bench-images: .venv/.stamp
	@$(BIN)/python -m tests.bench.images

bench-index: .venv/.stamp
	@$(BIN)/python -m tests.bench.index

bench-handout: .venv/.stamp
	@$(BIN)/python -m tests.bench.handout --what ratio
	@$(BIN)/python -m tests.bench.handout --what consumers
	@$(BIN)/python -m tests.bench.handout --what shards

bench-plan: .venv/.stamp
	@$(BIN)/python -m tests.bench.plan

# A billion numbers take 24 GB of memory.
bench-exact: .venv/.stamp
	@$(BIN)/python -m tests.bench.exact

# On a GPU: .venv/bin/python -m tests.bench.memory --cuda
bench-memory: .venv/.stamp
	@$(BIN)/python -m tests.bench.memory

bench-checkpoints: .venv/.stamp
	@$(BIN)/python -m tests.bench.checkpoints

# A search of twelve through a killed worker, a crash and a killed driver; what ASHA saves; what
# searching costs: some 40 minutes, on a machine with nothing else to do.
bench-search: .venv/.stamp
	@$(BIN)/python -m tests.bench.search

# What a day on 1,000 spot nodes would bring, in three kinds of market: .demo/simulation.png.
simulate: .venv/.stamp
	@$(BIN)/orchestrator simulate --nodes 1000 --hours 24 --to .demo/simulation.png

schema: .venv/.stamp
	@$(BIN)/python -m orchestrator.config.schema > jobs/job.schema.json

# What is rendered from clusters/spot_l4.yaml.
clusters: .venv/.stamp
	@$(BIN)/orchestrator cluster render --to aws --output cluster.yaml
	@$(BIN)/orchestrator cluster roles --output cloud/aws

# requirements.lock: the libraries of every machine of a cluster, to the byte, for Python 3.11 and
# CUDA on x86 Linux. constraints.txt: the same versions, and those of the tests, for .venv.
# Newer ones are taken where pyproject.toml allows them.
COMPILE = $(BIN)/uv pip compile pyproject.toml --upgrade --quiet \
  --python-version 3.11 --python-platform x86_64-manylinux_2_28 --custom-compile-command 'make lock'

lock: .venv/.stamp
	@$(PIP) install 'uv>=0.9'
	@$(COMPILE) --generate-hashes \
	  --extra s3 --extra gs --extra aws --extra gcp --extra azure --output-file requirements.lock
	@$(COMPILE) --no-annotate --constraint requirements.lock \
	  --extra s3 --extra gs --extra aws --extra dev --extra test --output-file constraints.txt

clean:
	rm -rf .venv .demo build dist *.egg-info .*_cache

# torch comes first and alone: a build for CPUs that pip can find on the machine is then taken,
# before another package asks for the one that brings CUDA along. With versions given, pip does not
# try out combinations for minutes, and finds the same ones tomorrow.
.venv/.stamp: pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) is not on this machine: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv (once; some minutes)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --constraint constraints.txt 'torch~=2.13.0'
	@$(PIP) install --constraint constraints.txt --editable '.[dev,test]'
	@touch $@

# One training and at least 30 faults, every kind at least twice: half an hour. Wants to mount a
# folder of memory, as root.
chaos: .venv/.stamp
	@$(BIN)/python -m tests.faults.chaos

# What takes more time than the suite has: runs submitted to clusters over several hosts and under
# both of Ray's autoscalers, searches in a bucket and on a cluster that grows and shrinks. Eight
# minutes for the hosts alone, on a machine that allows namespaces.
prove: .venv/.stamp
	@$(BIN)/pytest -v -m long

# Each fault, ours beside stock Ray Train: some 25 minutes, on a machine with nothing else to do.
bench-faults: .venv/.stamp
	@$(BIN)/python -m tests.bench.faults

bench-overhead: .venv/.stamp
	@$(BIN)/python -m tests.bench.ranks
	@$(BIN)/python -m tests.bench.overhead

# Some hours on two cores; stopped at any time, it goes on from there.
bench-fusion: .venv/.stamp
	@$(BIN)/python -m tests.bench.fusion.study
