# `make repro` and `make test` are all one needs on a fresh machine with Python 3.11 to 3.14, its venv module, git and make.
# .ci/venv.sh sets .venv up. It knows PYTHON=python3.12 and TORCH=cpu (see README).
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# Tools that report their use to their makers are asked not to.
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := true
export HF_HUB_DISABLE_TELEMETRY := true
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: repro ui test check cluster debian bench docs lock help

repro: .venv/installed  ## set up .venv, run the pipeline
	dvc repro

ui: .venv/installed  ## show the runs, by the link it prints
	@echo "Figures as columns: http://localhost:5000/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=headlines"
	mlflow ui --backend-store-uri sqlite:///mlflow.db

test: check  ## lint, types and all tests
	python -m pytest -m slow -n 2 --dist loadfile  # two files at a time: each runs a pipeline of its own, on one thread

check: .venv/installed  ## lint, order of imports, types and the fast tests
	ruff check .
	ruff format --check .
	lint-imports
	mypy
	python -m pytest -m "not slow and not cluster"

cluster: .venv/installed  ## test Ray on two nodes, a store and Spark (which needs Java 17): some ten minutes
	pip install --disable-pip-version-check -q -r cluster.lock
	python -m pytest -m cluster

debian:  ## repro and test from nothing on a fresh Debian 13, about an hour; as root, with debootstrap
	tests/fresh_debian.sh

bench: .venv/installed  ## measure speed against the usual tools, 20 minutes; after `make repro`
	pip install --disable-pip-version-check -q -c requirements.lock "accelerate>=1.1"
	python -m benchmarks

docs: .venv/installed  ## write the figures of README and cards from reports/
	taqyryp docs README.md docs/model-card.md seeds/README.md

lock: .venv/installed  ## pin what is installed now, but CUDA's libraries: torch names its own
	pip freeze --all --exclude-editable --exclude pip | sed -E '/^(cuda|nvidia)-|^triton=/d; s/\+.*//' > requirements.lock

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

.venv/installed: requirements.lock pyproject.toml
	@sh .ci/venv.sh
