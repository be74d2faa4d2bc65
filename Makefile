# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help chaos demo serve test check test-all test-aws eval bench-search bench-search-http bench-embed bench-ingest bench-reembed bench-coldstart package deploy-supabase deploy-aws remove-aws format clean

PYTHON ?= python3
UV_VERSION := 0.13.9
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never

READY := .venv/.ready

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(READY) ## photographs in, sentences find them; PHOTOS=DIR takes a folder of your own
	@.venv/bin/pixseek demo

serve: $(READY) ## keep the stack running until Ctrl-C
	@.venv/bin/pixseek serve

# Four workers, a file each: much of the time goes by waiting for processes of the stack.
test: $(READY) ## unit and integration tests; needs pip only
	@.venv/bin/pytest --numprocesses=4 --dist=loadfile -m "not long"

check: $(READY) ## format, lint, types, import rule
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

test-all: $(READY) .uv/bin/uv ## what takes long, or more than pip: Debian's photographs and WordNet, npm's packages, Python 3.13 for the bundles
	@.venv/bin/pytest --numprocesses=2 --dist=loadfile -m long
	@.venv/bin/pytest --numprocesses=2 --dist=loadfile tests/system

test-aws: $(READY) .uv/bin/uv ## the deployed zips in an AWS of this machine: moto, the embedded stack; needs Python 3.13 and npm
	@.venv/bin/pytest tests/system/aws

eval: $(READY) ## hit@1 and MRR of the offline embedder, into build/bench/eval.json
	@.venv/bin/python -m benchmarks.eval

bench-search: $(READY) build/peers/vecs/.ready build/peers/hnswlib/.ready ## search beside the guide's way and vecs, into build/bench/search.json
	@.venv/bin/python -m benchmarks.search

bench-search-http: $(READY) ## search over HTTP beside the bare call and the guide's handler, and under load
	@.venv/bin/python -m benchmarks.search_http

bench-embed: $(READY) build/peers/torch/.ready ## CLIP here beside torch, and through a stand-in for Roboflow's API
	@.venv/bin/python -m benchmarks.embed

bench-ingest: $(READY) ## upload to searchable beside the guide's way, memory, decoding, into build/bench/ingest.json
	@.venv/bin/python -m benchmarks.ingest

bench-reembed: $(READY) ## another model while searches go on, and audits, into build/bench/reembed.json; smaller by IMAGES, AUDIT_KEYS, RECALL_ROWS
	@.venv/bin/python -m benchmarks.reembed

bench-coldstart: $(READY) .uv/bin/uv ## cold starts and zips beside the guide's way, into build/bench/coldstart.json; fewer by ROUNDS
	@.venv/bin/python -m benchmarks.coldstart

EVENTS ?= 2000

chaos: $(READY) ## the index under faults: events lost, twice, shuffled; outages; kills; into build/bench/chaos.json
	@EVENTS=$(EVENTS) .venv/bin/python -m benchmarks.chaos

# Variables that are given to make reach the command by its environment.
package: $(READY) ## a zip of each function for AWS Lambda, into build/aws; by ARCH, EMBEDDER, STORAGE, PICTURE_QUERIES, TRACING or STAGE
	@.venv/bin/python -m infra.bundle
	@.venv/bin/python -m infra.bundle --audit

deploy-supabase: $(READY) ## migrations, buckets, policies and the webhook into the Supabase project of .env.STAGE; OPTIONS=--dry-run
	@test -n "$(STAGE)" || { echo "which stage? Copy .env.example to .env.prod, fill it in, then: make $@ STAGE=prod" >&2; exit 2; }
	@.venv/bin/python -m infra.hosted deploy --stage "$(STAGE)" $(OPTIONS)

deploy-aws: $(READY) ## the functions of .env.STAGE to AWS: make deploy-aws STAGE=prod
	@test -n "$(STAGE)" || { echo "which stage? Copy .env.example to .env.prod, fill it in, then: make $@ STAGE=prod" >&2; exit 2; }
	@.venv/bin/python -m infra.aws deploy --stage "$(STAGE)"

remove-aws: $(READY) ## delete a stage from AWS; buckets with pictures stay: make remove-aws STAGE=prod
	@test -n "$(STAGE)" || { echo "which stage? make $@ STAGE=prod" >&2; exit 2; }
	@.venv/bin/python -m infra.aws remove --stage "$(STAGE)"

format: $(READY) ## format and mend what can be mended
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

clean: ## remove the environment, the caches and the embedded stack's data
	rm -rf .venv .uv .pixseek build

# uv has an environment of its own: it would remove itself from the project's.
.uv/bin/uv:
	@echo "setting up: uv $(UV_VERSION)"
	@$(PYTHON) -m venv .uv
	@.uv/bin/pip install --quiet --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(READY): .uv/bin/uv pyproject.toml uv.lock
	@echo "setting up: packages from uv.lock"
	@.uv/bin/uv sync --quiet --frozen --all-extras --python $(PYTHON)
	@touch $@

# pip, because it takes the build for CPUs where it finds one; torch first, lest another package ask for a newer one.
build/peers/torch/.ready: benchmarks/peers/torch.txt
	@echo "setting up: torch, transformers"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/pip install --quiet --quiet --disable-pip-version-check $$(grep '^torch==' $<)
	@$(@D)/bin/pip install --quiet --quiet --disable-pip-version-check --requirement $<
	@touch $@

# What the benchmarks compare with; each in an environment of its own, the project depends on none.
build/peers/%/.ready: benchmarks/peers/%.txt .uv/bin/uv
	@echo "setting up: $*"
	@.uv/bin/uv venv --quiet --clear --python .venv/bin/python $(@D)
	@.uv/bin/uv pip install --quiet --python $(@D)/bin/python --requirement $<
	@touch $@
