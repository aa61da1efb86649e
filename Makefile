# Each target sets up what it needs. PYTHON=... picks the interpreter, VENV=... the environment's folder.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
SOURCE ?= puppet
MINUTES ?= 60
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n auto --maxprocesses 8
# What starts services, a browser or an environment keeps time limits, and mostly waits: three files at a time, and
# nothing else. In the order of their names: by their number of tests, the longest, a file of one test, would come last.
PROCESSES := e2e or browser or packaging

.PHONY: help demo test test-all fuzz lint format bench soak train proto migration clean

help:
	@echo "make demo            the whole loop in a browser, with an acted puppet (SOURCE=0 for the webcam)"
	@echo "make test            the fast tests;  make test-all: every test"
	@echo "make fuzz            a million inputs for each parser of outside bytes (fewer for slow ones)"
	@echo "make lint            ruff, mypy --strict, import contracts, images, secrets, known weaknesses of dependencies"
	@echo "make bench           the figures that README and docs quote"
	@echo "make soak            an hour of the agent in a loop (MINUTES=60), then hours of faults and load (docs/promises.md)"
	@echo "make train           train the expression model (needs FER2013, see training/datasets/fer2013.py)"

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[demo]"
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e ".[demo,train,dev]"
	touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(BIN)/sentry-demo --source $(SOURCE)

test: $(VENV)/dev.stamp
	$(PYTEST) $(SIDE_BY_SIDE)

test-all: test
	$(PYTEST) $(SIDE_BY_SIDE) -m "(slow or shared) and not soak and not ($(PROCESSES))" --timeout 600 --durations 12
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -m "($(PROCESSES)) and not soak" --timeout 600 --durations 12

fuzz: $(VENV)/dev.stamp
	$(PIP) "atheris>=3"
	$(BIN)/python -m tests.fuzz.targets | while read -r runs target; do \
		$(BIN)/python -m tests.fuzz.run_atheris "$$target" -runs=$$runs < /dev/null || exit 1; done

# What the audit finds is shown and stops nothing: last night's advisory is no fault of this tree's.
lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint docker/*.Dockerfile
	$(BIN)/python -m tests.secret_scan
	-$(BIN)/python -m tests.dependency_audit

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.augmentation

# Hours: the long forms of docs/promises.md, with their figures in soak/. A miss ends none of the others; it is told last.
soak: $(VENV)/dev.stamp
	mkdir -p soak
	missed=; \
	$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) || missed="$$missed soak"; \
	$(BIN)/python -m benchmarks.faults --minutes $(MINUTES) --report soak/faults.md --json > soak/faults.json \
		|| missed="$$missed faults"; \
	$(PYTEST) -m soak --timeout 7200 --junitxml soak/tests.xml || missed="$$missed tests"; \
	$(BIN)/sentry-trainer fleet-sim --agents 1000 --seconds 600 --stopped 50 --json > soak/fleet.json \
		|| missed="$$missed fleet-sim"; \
	test -z "$$missed" || { echo "missed a limit:$$missed; the figures are in soak/" >&2; exit 1; }

train: $(VENV)/dev.stamp
	$(BIN)/python -m training.trainers.emotion_trainer

# Compares trainer_service/schema.py with what the migrations make; read what it writes before you commit it.
migration: $(VENV)/dev.stamp
	$(BIN)/python -m trainer_service.migrations.new "$(WORDS)"

# The generator wants an older protobuf than the run time, so it gets an environment of its own.
proto:
	$(PYTHON) -m venv $(VENV)-proto
	$(VENV)-proto/bin/python -m pip install --quiet grpcio-tools==1.62.3 "setuptools<81"
	$(VENV)-proto/bin/python -m grpc_tools.protoc -I proto/schema --python_out=proto/sentry_proto \
		--pyi_out=proto/sentry_proto sentry.proto

clean:
	rm -rf $(VENV) $(VENV)-proto build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
