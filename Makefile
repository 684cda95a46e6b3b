# Every target does the set-up it needs; a second set-up costs nothing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
OUT    ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
KERNELS := $(VENV)/.compiled

# One arithmetic thread per test worker: two workers fill two cores. A file stays with one of them,
# so that its fixtures (runs, bundles) are made once. Interpreters that tests start share bytecode.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	PYTHONDONTWRITEBYTECODE=

.PHONY: help setup demo test test-slow lint format bench wheel constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make setup        create $(VENV) with everything"
	@echo "make demo         the whole chain on synthetic records, into a new folder of runs/"
	@echo "make test         the fast tests          make test-slow  the slow ones"
	@echo "make lint         style, types, boundaries make format     apply the style"
	@echo "make bench        benchmarks              make wheel      build the wheel into dist/"
	@echo "make constraints  pin what is installed   make clean      remove what was built"

setup: $(KERNELS)

# torch comes first and alone, so that nothing else can choose its version.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,dev]"
	touch $@

# Anew when their code has changed, so that no first run has to.
$(KERNELS): $(STAMP) $(wildcard photonic/kernels/*.py photonic/*/*_kernel.py training/*_kernel.py)
	$(BIN)/python -m photonic.kernels.compile_all
	touch $@

demo: setup
	$(BIN)/photonic demo --out $(OUT)

test: setup
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not gpu" $(ARGS)

test-slow: setup
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 -m "slow and not gpu" $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-cache

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	set -e; for script in benchmarks/bench_*.py; do $(BIN)/python "$$script" $(ARGS); done

wheel: setup
	$(BIN)/python -m build --wheel --no-isolation

# Registry versions only: no editable or local build may be pinned.
constraints: setup
	$(BIN)/python -m pip freeze --all --exclude-editable \
		| grep -E '^[A-Za-z0-9._-]+==' | grep -vE '^(pip|photonic-deploy)==' \
		| sed 's/+.*//' > constraints.tmp
	mv constraints.tmp constraints.txt

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
