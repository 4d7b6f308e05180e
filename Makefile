# Everything is called by one of these words; CI calls the same ones.
PYTHON ?= python3.11
SERVE := .venv
DEV := .venv-dev
PIP := -m pip --disable-pip-version-check --quiet

.PHONY: install demo serve test check bench train import clean lock help

help:            ## this list
	@grep -E '^[a-z]+: .*##' Makefile | sed -E 's/:.*## */\t/'

$(SERVE)/.ready: requirements/cpu.lock pyproject.toml
	$(PYTHON) -m venv $(SERVE)
	$(SERVE)/bin/python $(PIP) install --require-hashes -r requirements/cpu.lock
	$(SERVE)/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	touch $@

$(SERVE)/.demo: $(SERVE)/.ready requirements/demo.lock
	$(SERVE)/bin/python $(PIP) install --no-deps --require-hashes -r requirements/demo.lock
	touch $@

$(DEV)/.ready: requirements/dev.lock requirements/training.txt requirements/towers.txt pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) install --require-hashes -r requirements/dev.lock
	$(DEV)/bin/python $(PIP) install -r requirements/training.txt
	$(DEV)/bin/python $(PIP) install --no-deps -r requirements/towers.txt
	$(DEV)/bin/python $(PIP) install --no-deps --no-build-isolation -e .
	touch $@

install: $(SERVE)/.ready  ## the service, without torch, into .venv
demo: $(SERVE)/.demo  ## install, start, score a real four-view study, keep serving until Ctrl-C
	$(SERVE)/bin/mammoserve demo
serve: $(SERVE)/.ready  ## install and serve on http://127.0.0.1:8000
	$(SERVE)/bin/mammoserve serve
test: $(DEV)/.ready  ## every test, real parts included
	$(DEV)/bin/pytest $(ARGS)
check: $(DEV)/.ready  ## lint, format, types, layering
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports
$(DEV)/.bench: $(DEV)/.ready requirements/bench.txt
	$(DEV)/bin/python $(PIP) install --no-deps -r requirements/bench.txt
	touch $@

bench: $(DEV)/.bench  ## speed and memory, as ratios in one run
	$(DEV)/bin/python -m bench $(ARGS)
train: $(DEV)/.ready  ## make the demo model again from nothing (over an hour on 2 cores)
	$(DEV)/bin/mammoserve-train demo $(ARGS)
import: $(DEV)/.ready  ## a published checkpoint into build/models: make import FILE=x.tar NAME=mammo-clip-b5 TOKENIZER=folder
	$(DEV)/bin/mammoserve-train import "$(FILE)" --name "$(NAME)" $(if $(TOKENIZER),--tokenizer "$(TOKENIZER)") $(ARGS)
lock: $(DEV)/.ready  ## compile the hashed lock files
	$(DEV)/bin/python $(PIP) install pip-tools
	LOCKER=$(DEV)/bin/pip-compile requirements/lock.sh
clean:           ## environments, caches and build products
	rm -rf $(SERVE) $(DEV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
