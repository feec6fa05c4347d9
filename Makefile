# The commands of the README and of CONTRIBUTING.md.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
# One process of tests more than cores: some tests wait for processes. At most four.
WORKERS := $(shell $(PYTHON) -c "import os; print(min(4, (os.cpu_count() or 1) + 1))")

.PHONY: demo test test-quick lint

demo: $(VENV)/.installed
	$(RUN) -m sagan_tf.tools.demo

test: lint
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-quick: $(VENV)/.tools
	$(RUN) -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not process and not browser"

lint: $(VENV)/.tools
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports

$(VENV)/.installed: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --upgrade pip
	$(RUN) -m pip install -c constraints.txt -e .
	touch $@

# The tests' own packages, which the demo does without.
$(VENV)/.tools: $(VENV)/.installed
	$(RUN) -m pip install -c constraints.txt -e ".[test]"
	touch $@
