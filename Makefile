# The two commands of the README.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python

.PHONY: demo test

demo: $(VENV)/.installed
	$(RUN) train_imagenet.py --flagfile=configs/digits.flags
	$(RUN) eval_imagenet.py --flagfile=configs/digits_eval.flags

test: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

$(VENV)/.installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --upgrade pip
	$(RUN) -m pip install -e ".[test]"
	touch $@
