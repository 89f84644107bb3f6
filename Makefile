# `make demo` and `make test` start from a bare checkout and a bare Python (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
SEED ?= 1
# Kernels for a GPU run under triton's interpreter where there is none. It lies in a folder of its
# own, since libraries that find it take it for a sign of a GPU.
INTERPRETER = TRITON_INTERPRET=1 PYTHONPATH=$(VENV)/triton
INTERPRETED = plugins/kernel/fused-loss/tests/test_rows.py plugins/kernel/liger \
	plugins/kernel/varlen/tests/test_short.py

export HF_HUB_OFFLINE := 1
# the tests start hundreds of processes, each of which would compile torch and transformers anew
unexport PYTHONDONTWRITEBYTECODE
# uv reads its own variable; where pip is given a folder of wheels, uv must see it too
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

.PHONY: demo test prove lint install tools wheels bench clean

demo: install
	$(BIN)/python templates/demo/demo.py --seed $(SEED)

# Plugins whose very files the registry has a proof of are tried at level 1; `make prove` tries all.
test: lint
	FT_KIT=changed OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup
	$(INTERPRETER) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto $(INTERPRETED)

prove: tools
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadgroup plugins -k test_conformance

lint: tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Every distribution of the workspace is built and installed as a wheel, as users get them.
install: $(BIN)/uv wheels
	$(INSTALL) $(VENV)/wheels/*.whl

tools: install
	$(INSTALL) --requirement tests/requirements.txt
	$(INSTALL) --no-deps --target $(VENV)/triton --requirement tests/triton.txt

wheels: $(BIN)/uv
	rm -rf $(VENV)/wheels
	$(BIN)/uv build --quiet --no-sources --all-packages --wheel --out-dir $(VENV)/wheels

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

bench: tools
	for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script --record; done

clean:
	rm -rf $(VENV)
