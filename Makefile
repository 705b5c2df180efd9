# `make repro` and `make test` are all one needs on a fresh machine with Python 3.11, git and make.
# Another build of torch, say for CUDA: make repro TORCH_INDEX=https://download.pytorch.org/whl/cu130 (see README).
PYTHON ?= python3.11
TORCH_INDEX ?=
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# Tools that report their use to their makers are asked not to.
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := true
export HF_HUB_DISABLE_TELEMETRY := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: repro ui test check bench docs format lock help

repro: .venv/installed  ## set up .venv, run the pipeline
	dvc repro

ui: .venv/installed  ## show the runs at http://localhost:5000
	mlflow ui --backend-store-uri sqlite:///mlflow.db

test: check  ## lint, types and all tests
	python -m pytest -m slow -n 2 --dist loadfile  # two files at a time: each runs a pipeline of its own, on one thread

check: .venv/installed  ## lint, order of imports, types and the fast tests
	ruff check .
	ruff format --check .
	lint-imports
	mypy
	python -m pytest -m "not slow"

bench: .venv/installed  ## measure speed against the usual tools, 20 minutes; after `make repro`
	pip install --disable-pip-version-check -q -c requirements.lock "accelerate>=1.1"
	python -m benchmarks

docs: .venv/installed  ## write the figures of README and cards from reports/
	taqyryp docs README.md docs/model-card.md seeds/README.md

format: .venv/installed  ## put the code into its one shape
	ruff check --fix .
	ruff format .

lock: .venv/installed  ## pin what is installed now
	pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),pip install --index-url $(TORCH_INDEX) "$$(grep '^torch==' requirements.lock)")
	pip install --disable-pip-version-check -q -r requirements.lock
	pip install --disable-pip-version-check -q --no-build-isolation -c requirements.lock -e '.[pipeline,formats,dev]'
	touch $@
