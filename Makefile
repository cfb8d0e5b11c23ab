# `make help` lists the commands.
PYTHON ?= python3
MODEL ?= models/flights
WORK ?= .evergreen
PORT ?= 8080
BASE_IMAGE ?= python:3.11-slim
BUILD_IMAGE ?= python:3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONPATH := $(CURDIR)

.DEFAULT_GOAL := help
.PHONY: help run serve tensorboard test test-all lint bench images manifests requirements clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(READY) ## retrain models/flights on its built-in data and put it into service (MODEL=, WORK=)
	@$(BIN)/python pipeline.py run "$(MODEL)" --work "$(WORK)"

serve: $(READY) ## answer requests with what `make run` put into service (WORK=, PORT=)
	@$(BIN)/python -m components.serve --work "$(WORK)" --port "$(PORT)"

tensorboard: $(READY) ## show the training curves of all runs at http://localhost:6006 (WORK=)
	@$(BIN)/tensorboard --logdir "$(WORK)/runs" --port 6006

test: $(READY) lint ## lint, type checks and the fast tests
	@$(BIN)/python -m pytest -q

test-all: $(READY) lint ## the same and the slow tests
	@$(BIN)/python -m pytest -q -m ''

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: run ## all benchmarks on what `make run` leaves; each prints its own table
	@for script in benchmarks/[a-z]*.py; do $(BIN)/python $$script || exit 1; done

# Needs no .venv. ENGINE: docker, podman or buildah; NAMES: only these images; ENGINE_OPTIONS and PUSH_OPTIONS: more
# words for the engine's build and push, such as a mount of a site's certificates; AGAIN=1: the base image was renewed;
# BUILD_IMAGE: what packages are installed in, with BASE_IMAGE's Python at the same place, and strip.
images: ## build the container images that changed (BASE_IMAGE=, NAMES=); PUSH=1 REGISTRY= pushes, writes images.lock
	@$(PYTHON) -m components.orchestration.build_images --engine "$(ENGINE)" --base-image "$(BASE_IMAGE)" \
	  --build-image "$(BUILD_IMAGE)" \
	  --engine-options="$(ENGINE_OPTIONS)" $(if $(AGAIN),--again) \
	  $(if $(PUSH),--push --registry "$(REGISTRY)" --push-options="$(PUSH_OPTIONS)") $(NAMES)

manifests: $(READY) ## render and validate what a cluster needs into WORK/manifests (OVERLAY=folder, REGISTRY=)
	@$(BIN)/python -m manifests.render $(OVERLAY) --output "$(WORK)/manifests" --registry "$(REGISTRY)"

requirements: $(READY) ## resolve requirements.in and containers/*/requirements.in again
	@$(BIN)/python containers/resolve_requirements.py

clean: ## remove the virtual environment; the work directory, with the model store, stays
	rm -rf $(VENV)

# uv installs in seconds what pip installs in minutes, and compiles bytecode: without that `import tensorflow` takes
# three times as long in every step. --no-deps: the file is complete, and holds overrides that a resolver would refuse.
$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.10 to 3.13 is needed; name one: make PYTHON=python3.11"; exit 1; }
	@echo "making $(VENV) from requirements.txt (once; 3 GB)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet --compile-bytecode --no-deps -r requirements.txt
	@touch $@
