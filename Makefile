# Commands for developers and CI. `make help` lists them.
# Targets that only read or write code need the environment `.venv`; those that run processes need `setup`.
SHELL := /bin/bash
PYTHON ?= python3.11
DATA ?= .data/suite
PORT_BASE ?= 8600
ENGINE ?= lite
OUT ?= dist/protos

UV := .tools/bin/uv
BIN := .venv/bin
LAB := lab/.venv/bin
SUITE := $(BIN)/python -m local_suite
export PYTHONPATH := deploy/local:$(PYTHONPATH)
export UV_PYTHON_DOWNLOADS := never
# Otherwise each of a suite's Python processes would compile all imported modules again.
unexport PYTHONDONTWRITEBYTECODE
export DATA PORT_BASE ENGINE PROGRAM

MANIFESTS := pyproject.toml uv.lock $(wildcard protos/pyproject.toml kit/pyproject.toml rules/pyproject.toml core/pyproject.toml client/pyproject.toml agents/pyproject.toml console/pyproject.toml services/*/pyproject.toml)
PROTOS := $(shell find protos/sightline -name '*.proto')

.DEFAULT_GOAL := help
.PHONY: help demo demo-shelf demo-models demo-privacy demo-upgrade demo-spaces demo-scenes pictures test full check up wines run down status stop start setup dictionaries tools lint types imports protolint proto docs reference protos-bundle image images images-tools images-check compose-check bench lab lab-test lab-lint fuzz mutants chaos advisories sbom digests chart cluster cluster-tools cluster-check trends format clean workflows wheels npm version demo-kind monitoring mixed

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 18

demo: setup ## Recommend real wines by photo with the whole suite, in a few minutes
	$(BIN)/python -m examples.wines.demo

demo-models: setup ## Train and evaluate a model on the wines, follow a newcomer without it, promote it by force and roll back
	$(BIN)/python -m examples.wines.models

demo-upgrade: setup ## Roll a new embedding model out and back under load; print the timeline
	$(BIN)/python -m examples.wines.upgrade

demo-spaces: setup ## Fit a space on the wines' photos, promote it by force, roll it out and back, and retire it
	$(BIN)/python -m examples.wines.spaces

demo-privacy: setup ## Let a shopper shop, ask for a copy of their data, be erased, and search all files for them
	$(BIN)/python -m examples.wines.privacy

demo-scenes: setup ## Request every built-in scene on the wines; write one page with photos (TARGET=HOST:PORT uses a running suite)
	$(BIN)/python -m examples.wines.scenes $(if $(TARGET),--target $(TARGET))

demo-shelf: setup ## Count the wines on a made shelf, compare it with a plan, find the wrong bottle and watch one being taken; write one page of it
	$(BIN)/python -m examples.wines.shelf

pictures: setup tools ## Take the pictures of README and docs with a browser, a suite with the wines and a Prometheus (ONLY=answers takes some of them)
	$(BIN)/python -m examples.wines.pictures $(ONLY)

up run: export RANKER_AUTO_PROMOTE ?= true

up: setup ## Start the suite detached (WINES=1 loads the wines; DATA=, PORT_BASE= let several run side by side; ENGINE=server; TARGET=all, apart; VISION=1 adds cameras)
	$(SUITE) up
	$(if $(WINES),$(BIN)/python -m examples.wines.load)

wines: setup ## Load the wines into the running suite, with the token in SIGHTLINE_TOKEN_FILE: 100 products with photos, 1,000 ratings
	$(BIN)/python -m examples.wines.load

run: setup ## Keep the suite in the foreground; Ctrl-C stops it
	$(SUITE) run

down: ## Stop the suite
	$(SUITE) down

status: ## Show the suite's processes
	$(SUITE) status

stop: ## Kill PROGRAM=, such as ranker, without a restart, to see the suite's answers without it
	@$(SUITE) stop

start: ## Start PROGRAM= again
	@$(SUITE) start

# Parts of the tests, each a process of pytest: two cores are busy while one of them waits.
PARTS := stores live wire unit contracts
# `make full` runs the suites of their own, which mostly wait, beside the common one.
FULL := $(PARTS:%=full-%) full-apart
QUICK := quick-stores quick-unit quick-contracts
.PHONY: tests-tools $(PARTS) $(FULL) $(QUICK)
PYTEST := $(BIN)/python -m pytest -q --durations 5
PREPARE := rm -rf .cache/test-seconds .cache/not-run
SUMMARY := $(BIN)/python -m tests.seconds; $(BIN)/python -m tests.tools

test: .venv/.synced ## Run what CI runs for each change: lint, types, and tests with the real engines, in ten minutes
	@$(PREPARE)
	@$(MAKE) --no-print-directory --keep-going --jobs 8 lint $(PARTS); status=$$?; $(SUMMARY); exit $$status

unit stores contracts wire live: setup tests-tools
	@$(PYTEST) -m "not full" --hypothesis-profile quick $(FOLDERS_$@) $(if $(filter live,$@),$(FOLDERS_apart))

full: .venv/.synced ## Run all other tests, in about an hour on two cores: recovery after kill -9, restores, typed pages, programs in Go and Java, PostgreSQL, overlays on a cluster
	@$(PREPARE)
	@$(MAKE) --no-print-directory --keep-going --jobs 6 $(FULL) lab-test; status=$$?; $(SUMMARY); exit $$status

full-unit full-stores full-contracts full-wire full-live full-apart: full-%: setup tests-tools
	@$(PYTEST) -m "full or hypothesis" --timeout 1800 $(FOLDERS_$*)

tests-tools:
	@deploy/local/tools.sh || echo 'Tests that need them are NOT RUN, and listed at the end.'

FOLDERS_unit := $(addprefix tests/unit/,agents all bench client console core embedder gateway kit local rules triton wines)
FOLDERS_stores := $(addprefix tests/unit/,ranker retriever vision)
FOLDERS_contracts := tests/contracts tests/fuzz tests/chaos tests/cluster tests/mixed tests/mutation
FOLDERS_wire := tests/wire
FOLDERS_live := $(wildcard tests/live/test_*.py)
FOLDERS_apart := tests/live/apart tests/live/shell

check: .venv/.synced ## Run the quick checks, without engines and models: lint, contracts and most unit tests
	@$(MAKE) --no-print-directory --jobs 4 --output-sync $(QUICK) lint

$(QUICK): quick-%: .venv/.synced
	$(PYTEST) -m "not slow and not full" $(filter tests/unit/% tests/contracts,$(FOLDERS_$*))

bench: setup ## Run the ten benches that guard promises to users, in twenty minutes, or those that BENCH names; write JSON to bench/results/
	$(BIN)/python -m bench $(BENCH)

lab: setup lab/.venv/.synced ## Run the benches of the laboratory that BENCH names (lab/README.md lists them); write JSON to lab/results/
	$(LAB)/python -m lab $(BENCH)

lab-test: lab/.venv/.synced ## Test the laboratory's tools, and its pages and figures
	$(LAB)/python -m pytest -q -c lab/pyproject.toml --rootdir . lab/tests

lab-lint: types ## Check the types, the laboratory's too; `make lint` does

fuzz: setup ## Send 100,000 mutated requests and 10,000 mutated photos to a separate suite
	$(BIN)/python -m tests.fuzz

mutants: .venv/.synced ## Insert small faults into the request path, and show those that no unit test detects
	$(BIN)/python -m tests.mutation

chaos: setup ## Kill, hang, slow down, empty, fill and flood each part under load, in about an hour
	$(BIN)/python -m tests.chaos $(CHAOS)

mixed: setup ## Run services of the last release together with this one's under load, in about five minutes
	$(BIN)/python -m tests.mixed $(MIXED)

lint: .venv/.synced types imports protolint workflows ## Run all static checks of the code; needs no engine
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/shellcheck $$(git grep -lE '^#!/bin/(ba)?sh')
	$(BIN)/python -m pytest -q tests/contracts/test_docstrings.py tests/contracts/test_mentions.py

workflows: .venv/.synced
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	$(BIN)/zizmor --quiet --offline --persona pedantic .github/workflows

types: .venv/.synced
	$(BIN)/mypy

imports: .venv/.synced
	$(BIN)/lint-imports

protolint: .cache/googleapis
	$(BIN)/python protos/generate.py --check
	$(BIN)/buf lint
	$(BIN)/buf build --path protos/sightline -o .cache/contract.binpb
	$(BIN)/buf breaking .cache/contract.binpb --against protos/image.binpb

proto: .cache/googleapis ## Generate the contract's Python code
	$(BIN)/python protos/generate.py
	$(BIN)/python -m client.generator

docs: .venv/.synced ## Build the site of docs/ into .cache/site; a broken link or anchor fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --strict --site-dir .cache/site

reference: .venv/.synced ## Generate docs/reference from the code: settings, metrics, commands, platforms
	$(BIN)/python -m docs.generate

monitoring: .venv/.synced ## Generate rules and dashboards of deploy/monitoring from slo.yaml and boards/
	$(BIN)/python -m deploy.monitoring.generate

protos-bundle: .venv/.synced ## Write the contract's .proto files and their imports into one folder (OUT=, default dist/protos)
	$(BIN)/python -m sightline.protos $(OUT)

image: .cache/googleapis ## Freeze the contract of a release, which later releases must not break
	$(BIN)/buf build --path protos/sightline -o protos/image.binpb
	$(BIN)/python -m tests.contracts.released

images: $(UV) ## Build an image of each service (CONTAINER=podman instead of Docker; LOCAL_BASES=1 needs no registry; TAG=, REGISTRY=, PLATFORMS=, PUSH=1, SAVE=FOLDER)
	@deploy/images.sh

images-tools: ## Install podman and what LOCAL_BASES=1 needs (Debian, as root; elsewhere it says what is missing)
	@deploy/podman.sh --tools

images-check: .venv/.synced ## Run the images of `make images CONTAINER=podman`: rights, memory, probes, SIGTERM, content, size (NOT MEASURED without podman)
	$(BIN)/python -m tests.images

compose-check: .venv/.synced $(UV) ## Run compose.yaml with the images of `make images`: install, answer, kill, stop, start again (NOT MEASURED without Docker and podman; WRITE=1 writes lab/research/cluster.md)
	PATH="$(abspath $(dir $(UV))):$$PATH" $(BIN)/python -m tests.compose $(if $(WRITE),--write-docs)

wheels: $(UV) ## Build the wheels of client, agents' server, console and protos into dist/wheels (PROJECT_URL= names the project's page)
	@deploy/wheels.sh

npm: .venv/.synced ## Build the npm package of the TypeScript client, and the script of a page's events, into dist/npm (PROJECT_URL=)
	@deploy/npm.sh

chart: .venv/.synced ## Write the Helm chart, generated from deploy/k8s/overlays/production-own-milvus, and its archive into dist/chart
	$(BIN)/python -m deploy.chart.generate
	deploy/release.sh chart

version: ## Print the version and check all places that contain it; with V=1.2.3 write it there
	@deploy/version.sh $(if $(V),write $(V),check) && deploy/version.sh

advisories: $(UV) ## Look up advisories of all locked packages in OSV and npm; NOT MEASURED if they can't be reached
	@deploy/advisories.sh

sbom: $(UV) ## Write an SBOM of each image to dist/sbom (CycloneDX)
	@deploy/sbom.sh

demo-kind: .venv/.synced ## Run the suite in a kind cluster, load the wines and request recommendations (needs Docker, kind, kubectl, jq; 60 GB)
	@deploy/kind.sh

digests: ## Pin third-party images by digest (needs Docker and their registries)
	@deploy/digests.sh

cluster-check: .venv/.synced ## Validate every overlay with a cluster's API server, without storing anything (NOT MEASURED without KUBECONFIG=)
	$(BIN)/python -m tests.cluster.check

cluster: setup tools cluster-tools lab/.venv/.synced ## Run the overlays in a real cluster: install, roll out under load, break and restore (KUBECONFIG= or CLUSTER_TOOLS=; PARTS=)
	$(BIN)/python -m tests.cluster $(PARTS)

cluster-tools: ## Install what `make cluster` needs to start a cluster (Debian without systemd, as root; elsewhere it says what is missing)
	@deploy/local/cluster-tools.sh || [ "$(KUBECONFIG)" ] || echo 'NOT MEASURED: no cluster can be started here'

trends: .venv/.synced ## Print the size and shape of the code; COMMITS="a b" also prints the files that each change touched
	@$(BIN)/python -m tests.trends $(COMMITS)

format: .venv/.synced ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: .venv/.synced deploy/triton/.venv/.synced deploy/milvus/.venv/.synced deploy/milvus-server/.venv/.synced ## Create the environments and build the models

dictionaries: .venv/.synced ## Build bilingual dictionaries for RETRIEVER_DICTIONARIES into .cache/dictionaries (on Debian; 100 MB of packages, two minutes)
	@deploy/dictionaries/fetch.sh .cache/dictionary-sources .tools/bin/pip
	@PYTHONPATH=deploy/dictionaries .venv/bin/python -m dictionary_build .cache/dictionary-sources .cache/dictionaries

tools: $(UV) ## Install the tests' requirements that are not Python packages (Debian: chromium, helm, jq, kubectl, node, npm, promtool, Prometheus, Go, Java)
	@deploy/local/tools.sh

clean: ## Remove environments, caches and data (not data in another folder by DATA=)
	rm -rf .venv lab/.venv .tools .cache .data deploy/triton/.venv deploy/milvus/.venv deploy/milvus-server/.venv deploy/triton/models/*/1

.tools/bin/uv: deploy/tools.txt
	@deploy/local/prerequisites.sh $(PYTHON)
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

.venv/.synced: $(UV) $(MANIFESTS)
	$(UV) sync --locked --all-packages --all-extras --all-groups --python $(PYTHON)
	@touch $@

deploy/triton/.venv/.synced: $(UV) deploy/triton/pyproject.toml deploy/triton/uv.lock $(wildcard deploy/triton/triton_engine/*.py deploy/triton/triton_engine/*/*)
	$(UV) sync --locked --project deploy/triton --python $(PYTHON)
	cd deploy/triton && .venv/bin/python -m triton_engine.build
	@touch $@

deploy/milvus/.venv/.synced: $(UV) deploy/milvus/pyproject.toml deploy/milvus/uv.lock
	$(UV) sync --locked --project deploy/milvus --python $(PYTHON)
	@touch $@

deploy/milvus-server/.venv/.synced: $(UV) deploy/milvus-server/pyproject.toml deploy/milvus-server/uv.lock
	$(UV) sync --locked --project deploy/milvus-server --python $(PYTHON)
	deploy/milvus-server/.venv/bin/python -m milvus_server_engine.binaries
	@touch $@

lab/.venv/.synced: $(UV) lab/pyproject.toml lab/uv.lock $(MANIFESTS)
	$(UV) sync --locked --project lab --python $(PYTHON)
	@touch $@

.cache/googleapis: .venv/.synced
	$(BIN)/python protos/generate.py --google-protos $@
	@touch $@
