# make repro: set up and run the whole study    make test: set up and run all tests    make help: the rest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
AUDIT := .scratch/audit
FUZZ_SECONDS ?= 600
TEST_PROCESSES ?= 2
# Of .scratch: answers that were paid for, the logs of times and costs, former parameters, and a model that the user has made.
KEPT := endpoint *.jsonl params.* pico
SITE = $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.PHONY: help env repro test coverage weights reliability bench fuzz audit licences lint clean-scratch

help: ## what can be made
	@grep -hE "^[a-z-]+:.*##" $(MAKEFILE_LIST) | sed "s/:.*## /\t/" | expand -t 16

env: $(VENV)/.complete ## the pinned environment in .venv

# An environment keeps the Python that made it: remove .venv to change to another one.
# torch comes first and alone, so that pip takes the small CPU build where one is at hand.
# The .pth line puts the environment's bin first on PATH for every tool in it, as activating does: dvc runs `python`.
$(VENV)/.complete: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; found = sys.version_info[:2]; sys.exit(not (3, 11) <= found <= (3, 13) and \
		"Python %d.%d is not supported: name a Python 3.11, 3.12 or 3.13, for example make PYTHON=python3.12" % found)'
	[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@echo 'import os, sys; os.environ["PATH"] = os.path.join(sys.prefix, "bin") + os.pathsep + os.environ.get("PATH", "")' \
		> $(SITE)/ecomtune_environment.pth
	@touch $@

repro: env ## run the study that params.yaml describes, and print its table
	$(BIN)/ecomtune check
	$(BIN)/dvc repro
	$(BIN)/ecomtune table

test: env ## ruff, mypy and all tests, two files at a time (TEST_PROCESSES=4: four)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

coverage: env ## all tests, and which lines and branches of the package they run: fails under 97%
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

weights: env ## the pretrained weights alone, for the tests that use them
	$(BIN)/dvc repro pretrained

reliability: env ## kill each kind of stage that resumes 20 times, and compare what is left when it runs again
	HF_HUB_OFFLINE=1 ECOMTUNE_KILLS=20 $(BIN)/python -m pytest tests/training/test_resume.py

bench: env ## measure against peers: benchmarks/results.json and benchmarks/RESULTS.md, about an hour
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks.run

fuzz: env ## look for answers that break a parser: ten minutes a task, or FUZZ_SECONDS=60
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -r benchmarks/requirements-fuzz.txt
	$(BIN)/python -m benchmarks.fuzz_parsers --seconds $(FUZZ_SECONDS)

audit: env ## known vulnerabilities of the pinned packages; fails where it can't ask for them
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --disable-pip-version-check -q -r tools/requirements.txt
	$(BIN)/python -m tools.audit $(AUDIT)/bin/pip-audit

licences: env ## every package that the project needs, with its licence
	@$(BIN)/python -m tools.packages

lint: env ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean-scratch: ## while nothing runs: remove cached answers, checkpoints and half-written outputs, but nothing paid for or put there
	[ ! -d .scratch ] || find .scratch -mindepth 1 -maxdepth 1 $(foreach name,$(KEPT),! -name '$(name)') -exec rm -rf {} +
