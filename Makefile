SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test retrain clean synth airflow-test bench setup setup-dev

run: setup            ## warehouse -> training -> gate -> bundle -> API and shop on http://127.0.0.1:8080
	@$(BIN)/python -m local run $(if $(CHECK),--check)
