# Threads or processes? `make` alone lists what can be done.
PYTHON ?= python3

# The parameters of a study, with their defaults: make report POOL_SIZE=20 CLIENTS="requests chrome"
#: POOL_SIZE     10                        workers that a pool has
#: POOL_SIZES    2 5 10 20 50              sizes of pools that a sweep sets against each other
#: PAGES         100                       pages that a trial fetches
#: ROUNDS        5                         replications; a ratio needs 3 for an interval to be worth reading
#: REPEATS       1                         trials of each parallel mode in a round (odd); their median counts
#: CLIENTS       requests phantomjs        requests, phantomjs, chrome, firefox (none: as suits the source)
#: MODES         serial threads processes  how the fetches are spread
#: SOURCE        embedded                  where pages come from: embedded, wikipedia, a URL, a file of URLs
#: TLS           on                        whether the embedded origin speaks HTTPS, as Wikipedia does
#: LATENCY       1                         factor on the embedded origin's latency
#: CHUNK_SIZE    none                      pages handed to a worker at a time (none: the library's own choice)
#: START_METHOD  none                      how processes start: fork, spawn, forkserver (none: the platform's default)
#: TIMEOUT       60                        seconds that one fetch may take
#: SEED          2018                      decides the pages and the order
#: CONTACT       none                      whom Wikipedia may write to; for the source wikipedia only
#: WIKI          en.wikipedia.org          which wiki; for the source wikipedia only
#: RUN           none                      the run's folder (none: named after what is not the default)
PARAMETERS := $(shell sed -n 's/^\#: \([A-Z_]*\) .*/\1/p' $(firstword $(MAKEFILE_LIST)))

# A value reaches the program as it was typed: neither make nor the shell reads its $, ? or &.
quoted = '$(subst ','\'',$(value $(1)))'
option = --$(shell echo $(1) | tr A-Z_ a-z-)=$(call quoted,$(1))
typed = $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name)))
named = $(filter-out PYTHON,$(sort $(PARAMETERS) $(typed)))
options = $(strip $(foreach name,$(named),$(if $(value $(name)),$(call option,$(name)))))

# An active environment (not conda's base) is used; else one is made here.
CONDA := $(if $(filter-out base,$(CONDA_DEFAULT_ENV)),$(CONDA_PREFIX))
ENVIRONMENT := $(or $(VIRTUAL_ENV),$(CONDA),.venv)
RUN_PYTHON := $(ENVIRONMENT)/bin/python
READY := $(ENVIRONMENT)/.threads-or-processes

.DEFAULT_GOAL := help
.PHONY: help setup report sweep quick lab test test-calibration test-faults lock clean

help: ## say what can be done
	@echo "usage: make TARGET [VARIABLE=value ...]"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1 \2/' \
	  | while read -r name words; do printf '  %-17s %s\n' "$$name" "$$words"; done
	@echo
	@echo "variables of report, quick and sweep, with their defaults; a sweep has POOL_SIZES, 200 PAGES,"
	@echo "3 ROUNDS and requests alone, and no POOL_SIZE and CHUNK_SIZE:"
	@echo
	@sed -n 's/^#: /  /p' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make the environment: .venv, or the one that is active

report: $(READY) ## measure, and write figures/<run>/ and reports/<run>.html
	@$(RUN_PYTHON) -m experiment report $(options)

quick: PAGES := $(or $(value PAGES),20)
quick: ROUNDS := $(or $(value ROUNDS),1)
quick: report ## the same with 20 pages and one round: a look in about a minute

sweep: $(READY) ## measure several pool sizes, and write reports/sweep.html (under ten minutes)
	@$(RUN_PYTHON) -m experiment sweep $(options)

lab: $(READY) ## explore the measurements in JupyterLab
	@JUPYTER_PREFER_ENV_PATH=1 $(RUN_PYTHON) -m jupyterlab notebooks/explore.ipynb

test: $(READY) ## run every check and test
	@$(ENVIRONMENT)/bin/ruff check
	@$(ENVIRONMENT)/bin/ruff format --check
	@$(ENVIRONMENT)/bin/mypy
	@$(RUN_PYTHON) -m pytest

test-calibration: $(READY) ## simulate every case of the verdict rules (a quarter of an hour)
	@$(RUN_PYTHON) -m pytest -m calibration -q

test-faults: $(READY) ## break studies in the ways that take longer (a quarter of an hour)
	@$(RUN_PYTHON) -m pytest -m faults

lock: ## pin the newest packages that fit pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --group development \
	  --upgrade --quiet --no-emit-index-url --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock

clean: ## remove the environment made here
	rm -rf .venv

ifeq ($(ENVIRONMENT),.venv)
$(RUN_PYTHON):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is not Python 3.11 or later; name one that is: make PYTHON=python3.12" >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: Python cannot make environments here; install what lacks with: sudo apt install python3-venv" >&2; \
	  exit 2; }
	@$(PYTHON) -m venv .venv
endif

ifeq ($(ENVIRONMENT),$(CONDA))
$(READY): pyproject.toml environment.yml
	@$(RUN_PYTHON) -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(RUN_PYTHON) -m pip check >/dev/null || { \
	  echo "error: the conda environment lacks packages; update it with: conda env update -f environment.yml" >&2; \
	  exit 2; }
	@touch $@
else
$(READY): requirements.lock pyproject.toml $(RUN_PYTHON)
	@echo "installing the packages of requirements.lock into $(ENVIRONMENT) (once; a minute or two)"
	@$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(RUN_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
endif
