PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest

# Threads that wait let others work: with more threads than cores, spinning ones cost minutes.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage test-full lint format bench-quality bench-automl bench-families tune-defaults bench-demo bench-batch bench-learning bench-evidence bench-planning bench-simulation bench-service check-airflow notebooks docs crm-docs site constraints clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it (Debian: apt-get install python3.11 python3.11-venv) or name it, PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is needed (Debian: apt-get install python3.11-venv)"; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { echo "libgomp is needed by LightGBM (Debian: apt-get install libgomp1)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[training,demo,dev,postgres]"
	@touch $@

demo: $(STAMP)  ## two programmes, from raw tables to decisions and one page
	$(BIN)/winback demo

serve: $(STAMP)  ## answer this machine on 127.0.0.1:3000, without keys
	$(BIN)/winback serve --no-keys

test: $(STAMP) lint  ## the core suite: Python only
	$(PYTEST) -n 2 --dist loadfile -m "not system and not long"

coverage: $(STAMP)  ## the core suite, and which lines and branches it reaches; slower
	$(PYTEST) -n 2 --dist loadfile -m "not system and not long" --cov --cov-report=term

test-full: $(if $(SKIP_CORE),$(STAMP),test)  ## adds long tests and those that need system packages, and installs these
	tests/system/install
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[spark]"
	$(PYTEST) -m "system or long"

lint: $(STAMP)  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-quality: $(STAMP)  ## back-tests against peers, public and simulated data; DATA=folder adds Ta-Feng
	$(BIN)/python benchmarks/quality.py

bench-automl: $(STAMP)  ## bench-quality with AutoGluon as a peer, in an environment of its own; AUTOML=seconds per model
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) build/automl
	$(BIN)/uv pip install --quiet --python build/automl/bin/python -r benchmarks/automl-requirements.txt
	AUTOML=$(or $(AUTOML),120) $(BIN)/python benchmarks/quality.py

bench-families: $(STAMP)  ## what each family of features adds; DATA=folder adds Ta-Feng
	$(BIN)/python benchmarks/families.py

tune-defaults: $(STAMP)  ## search for better defaults on development back-tests; TRIALS=number, DATA=folder adds Ta-Feng
	$(BIN)/python benchmarks/tune_defaults.py

bench-demo: $(STAMP)  ## the demo's wall time and peak memory
	$(BIN)/python benchmarks/demo.py

bench-batch: $(STAMP)  ## the weekly job against the least it could take; MEMBERS="100000 1000000", DATA=folder
	DATA=$(DATA) MEMBERS="$(MEMBERS)" $(BIN)/python benchmarks/batch.py

bench-learning: $(STAMP)  ## peak memory of training by the rows learnt from; MEMBERS=200000 ROWS="300000 600000"
	DATA=$(DATA) MEMBERS=$(MEMBERS) ROWS="$(ROWS)" $(BIN)/python benchmarks/learning.py

bench-evidence: $(STAMP)  ## evidence for incentives against known truth, and a peer in an environment of its own; DATA=folder adds a real test
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) build/doubleml
	$(BIN)/uv pip install --quiet --python build/doubleml/bin/python -r benchmarks/doubleml-requirements.txt
	DATA=$(DATA) $(BIN)/python benchmarks/evidence.py

check-airflow: $(STAMP)  ## load deploy/'s DAG with Airflow, in an environment of its own
	$(PYTHON) -m venv build/airflow
	$(BIN)/uv pip install --quiet --python build/airflow/bin/python "apache-airflow>=3.3,<4"
	AIRFLOW_HOME=$(CURDIR)/build/airflow/home build/airflow/bin/python deploy/check_airflow.py

bench-planning: $(STAMP)  ## how long a budget takes to be divided; MEMBERS=1000000
	MEMBERS=$(MEMBERS) $(BIN)/python benchmarks/planning.py

bench-simulation: $(STAMP)  ## how long a large simulated programme takes; MEMBERS=1000000, DATA=folder
	MEMBERS=$(MEMBERS) DATA=$(DATA) $(BIN)/python benchmarks/simulation.py

bench-service: $(STAMP)  ## the service beside a bare BentoML echo; SOAK_SECONDS=600 of 64 callers; SMALL=1 in minutes
	$(BIN)/python benchmarks/service.py

crm-docs: $(STAMP)  ## ask the service what docs/crm.md and docs/crm-calls.md ask, and write its answers into them
	PYTHONPATH=. $(BIN)/python tests/test_crm_docs.py
	PYTHONPATH=. $(BIN)/python tests/test_crm_calls.py

notebooks: $(STAMP)  ## run the notebooks and keep their outputs
	$(BIN)/python tests/test_notebooks.py

docs: $(STAMP)  ## write the generated tables of docs/
	$(BIN)/python docs/generate.py

site: $(STAMP) docs  ## build the documentation as a site into build/site
	$(BIN)/python docs/site.py build/site

constraints: $(STAMP)  ## resolve newer versions into constraints.txt
	@echo '# Exact versions of everything installed, for repeatable environments. Made by `make constraints`.' > $@.new
	$(BIN)/uv pip compile --quiet --upgrade --all-extras --no-emit-index-url --no-annotate --no-header pyproject.toml >> $@.new
	mv $@.new constraints.txt

clean:  ## remove what the targets above make
	rm -rf $(VENV) build demo var data out .coverage* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find mlruns -mindepth 1 ! -name .gitkeep -delete
