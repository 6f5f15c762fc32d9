# Two targets do all set-up: `make demo` runs the quickstart, `make test` everything that CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip compiles one file after the other; some files are for another version of Python, and some of
# large packages are never imported
UNUSED := /(tests|pip|setuptools)/|/ray/(data|llm|rllib|serve|train|tune)/|/models/[^/]+/(modular|convert)_
COMPILE = $(BIN)/python -m compileall -qq -j 0 -x '$(UNUSED)' $(VENV)/lib || true
# temporary files of tests stand in memory where it has room (4 GB): they wait for no disk
MEMORY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 {print "/dev/shm"}')
export HF_HUB_OFFLINE := 1

.PHONY: demo test lint types tests generated docs gallery clean

demo: $(VENV)/.demo
	$(BIN)/rmplug run examples/quickstart.yaml --store .rmplug

test: $(VENV)/.dev lint
	$(MAKE) --no-print-directory --jobs 2 types tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/rmplug-lexdiv/rmplug_lexdiv.py

tests: $(VENV)/.dev
	folder=$$(mktemp -d -p "$(or $(MEMORY),$(TMPDIR),/tmp)") && trap "rm -rf $$folder" EXIT && \
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal --basetemp=$$folder/tests

generated: $(VENV)/.dev
	$(BIN)/rmplug schema run --built-in > schemas/run.schema.json
	$(BIN)/rmplug schema record > schemas/record.schema.json
	$(BIN)/python -m rmplug_report.audit.document > schemas/audit.schema.json
	$(BIN)/cog -P -r rmplug/README.md $(shell grep -rl '\[\[\[cog' docs --include '*.md')

docs: $(VENV)/.dev
	$(BIN)/python docs/make_site.py

gallery: $(VENV)/.dev
	$(BIN)/python docs/make_gallery.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[all]'
	$(COMPILE)
	touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --no-build-isolation ./examples/rmplug-lexdiv
	$(COMPILE)
	touch $@

clean:
	rm -rf $(VENV) .rmplug
