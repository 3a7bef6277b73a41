# Every target sets itself up from nothing: scripts/venv.py makes .venv from the pinned, hashed
# lists in requirements/, and does nothing when it is there already.

PYTHON ?= python3
VENV ?= .venv
DEMO_ARGS ?=
BENCH_ARGS ?=
PROOF_ARGS ?=
TEST_ARGS ?=

bin := $(VENV)/bin
install = @command -v $(PYTHON) >/dev/null || { echo "Vagus needs Python 3.11 or newer: there is no $(PYTHON)"; exit 1; }; \
  $(PYTHON) scripts/venv.py --venv $(VENV)

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench proof docs lock clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: ## a real AI stack on this machine, broken and healed while you watch (DEMO_ARGS=--list)
	$(install) lab
	@$(bin)/vagus demo $(DEMO_ARGS)

test: ## all tests: fast in parallel, then crash, then end to end (TEST_ARGS=fast)
	$(install) dev
	@$(bin)/python scripts/run_tests.py $(TEST_ARGS)

check: ## format, lint, types and import contracts
	$(install) dev
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy src scripts $(wildcard benchmarks)
	@$(bin)/lint-imports

format: ## put the code into the form that check asks for
	$(install) dev
	@$(bin)/ruff format .
	@$(bin)/ruff check --fix .

bench: ## all benchmarks, ours beside the peers (BENCH_ARGS=--quick)
	$(install) dev
	@$(bin)/python -m benchmarks all $(BENCH_ARGS)

proof: ## the long runs: every fault many times over, resumable (PROOF_ARGS=--rounds=20)
	$(install) dev
	@$(bin)/python scripts/proof.py $(PROOF_ARGS)

docs: ## write the generated pages of docs/ and check every link
	$(install) dev
	@$(bin)/python scripts/generate_docs.py
	@$(bin)/python -m benchmarks docs
	@$(bin)/python scripts/check_links.py

lock: ## resolve requirements/*.txt anew (needs uv)
	@scripts/lock.sh

clean: ## remove the environment and every cache in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
