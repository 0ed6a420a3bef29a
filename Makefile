# Threads or processes? `make` alone lists what can be done.
PYTHON ?= python3

# The parameters of a study, with their defaults: make report POOL_SIZE=20 CLIENTS="requests chrome"
#: POOL_SIZE     10                        workers that a pool has
#: POOL_SIZES    10 30 100 200             sizes of pools that a sweep sets against each other
#: PAGES         100                       pages that a trial fetches
#: ROUNDS        5                         replications; a ratio needs 3 for an interval to be worth reading
#: PRECISION     none                      half-width at which the main ratios are known well enough to stop, such as 5% (none: all rounds)
#: REPEATS       none                      trials of each pool in a round; their geometric mean counts (none: 2 of browsers, 1 of requests)
#: CLIENTS       requests phantomjs        what fetches the pages (none: as suits the source)
#: MODES         serial threads processes  how the fetches are spread
#: REUSE         off                       whether a worker keeps its connection or browser from page to page
#: SOURCE        embedded                  where pages come from: embedded, wikipedia, a URL, a file of URLs
#: KEEP_QUERY    off                       whether query values of URLs are written down (off: a digest of each)
#: TLS           on                        whether the embedded origin speaks HTTPS, as Wikipedia does
#: LATENCY       1                         factor on the embedded origin's latency
#: CHUNK_SIZE    none                      pages handed to a worker at a time (none: the library's own choice)
#: START_METHOD  none                      how processes start: fork, spawn, forkserver (none: the platform's default)
#: SCHEDULER     none                      Dask's scheduler for the mode dask (none: a cluster on this machine)
#: GRID          none                      Selenium Grid that has chrome and firefox (none: those of this machine)
#: ORIGIN_HOST   127.0.0.1                 where the embedded origin listens, for a scheduler or a grid
#: TIMEOUT       60                        seconds that one fetch may take
#: SEED          2018                      decides the pages and the order
#: CONTACT       none                      whom Wikipedia may write to; for the source wikipedia only
#: WIKI          en.wikipedia.org          which wiki; for the source wikipedia only
#: RUN           none                      the run's folder (none: named after what is not the default)

# A text reaches the shell as it was typed: neither make nor the shell reads its $, ?, spaces or quotes.
quoted = '$(subst ','\'',$(value $(1)))'

# Everything happens in the folder of this Makefile, whatever its name holds, and wherever make is called.
makefile := $(subst <start>,,$(subst <start> ,,<start>$(value MAKEFILE_LIST)))
folder := $(shell CDPATH= cd "$$(dirname $(call quoted,makefile))" && pwd -P)
here := cd $(call quoted,folder) &&

# What is typed after make counts. What the shell exports for something else is named, and not used.
parameters := $(shell $(here) sed -n 's/^\#: \([A-Z_]*\) .*/\1/p' Makefile)
typed = $(foreach name,$(sort $(.VARIABLES)),$(if $(findstring command,$(origin $(name))),$(name)))
exported = $(strip $(foreach name,$(parameters),$(if $(findstring environment,$(origin $(name))),\
  $(if $(value $(name)),$(name)))))
option = --$(shell echo $(1) | tr A-Z_ a-z-)=$(call quoted,$(1))
named = $(filter-out PYTHON VIRTUAL_ENV,$(typed))
few =
options = $(few) $(strip $(foreach name,$(named),$(if $(value $(name)),$(call option,$(name)))))

# An active environment (not conda's base) is used; else one is made here.
conda := $(if $(filter-out base,$(value CONDA_DEFAULT_ENV)),$(value CONDA_PREFIX))
environment := $(or $(value VIRTUAL_ENV),$(conda),$(folder)/.venv)
run_python = $(here) exec $(call quoted,environment)/bin/python

.DEFAULT_GOAL := help
.PHONY: help note setup report sweep crossover compare quick lab strip check test test-all test-calibration test-faults lock clean

help: ## say what can be done
	@echo "usage: make TARGET [VARIABLE=value ...]"
	@echo
	@$(here) grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  \1 \2/' \
	  | while read -r name words; do printf '  %-17s %s\n' "$$name" "$$words"; done
	@echo
	@echo "variables of report, quick and sweep, with their defaults; a sweep has POOL_SIZES, 400 PAGES,"
	@echo "3 ROUNDS, requests and aiohttp in all MODES with both kinds of REUSE, and no POOL_SIZE and CHUNK_SIZE:"
	@echo
	@$(here) sed -n 's/^#: /  /p' Makefile

note:
	@$(if $(exported),echo "note: set in the environment and not used: $(exported);" \
	  "type what is to be used after make: make report $(firstword $(exported))=..." >&2)

setup: ## make the environment: .venv, or the one that is active
	@$(here) exec sh environment.sh $(call quoted,environment) $(call quoted,PYTHON)

report: note setup ## measure, and write figures/<run>/ and reports/<run>.html
	@$(run_python) -m experiment report $(options)

quick: few = --pages=20 --rounds=3 --clients=requests
quick: report ## the same with requests alone, 20 pages and 3 rounds: an answer in two minutes

sweep: note setup ## measure several pool sizes, and write reports/sweep.html (about twelve minutes)
	@$(run_python) -m experiment sweep $(options)

crossover: note setup ## find how much Python a fetch may do before processes win (about twelve minutes)
	@$(run_python) -m experiment crossover $(options)

compare: RUNS =
compare: setup ## set several runs into one view: make compare RUNS="default pool_size-20"
	@$(run_python) -m experiment compare --runs=$(call quoted,RUNS)

# JupyterLab refuses root, who is the only user in many containers, unless it is told not to.
as_root = $(if $(filter 0,$(shell id -u)),--allow-root)
lab: setup ## explore the measurements in JupyterLab
	@export JUPYTER_PATH= JUPYTER_PREFER_ENV_PATH=1 MPLBACKEND=; $(run_python) -m jupyterlab --ServerApp.root_dir=. $(as_root) notebooks/explore.ipynb

kept := cell_metadata_mask=tags $(addprefix nb_metadata_mask=,title kernelspec language_info)
strip: metadata = --ClearMetadataPreprocessor.enabled=True $(addprefix --ClearMetadataPreprocessor.preserve_,$(kept))
strip: setup ## remove the outputs of notebooks/, which are committed without (pre-commit does so, too)
	@$(run_python) -m nbconvert --clear-output $(metadata) --inplace --log-level=WARN $$(git ls-files 'notebooks/*.ipynb')

check: setup ## check the code: ruff, mypy, notebooks without outputs (what pre-commit runs)
	@$(run_python) -m ruff check
	@$(run_python) -m ruff format --check
	@$(run_python) -m mypy
	@$(run_python) -m pytest -q tests/test_project.py -k without_outputs

test: check ## run the checks and the tests (15 to 25 minutes)
	@$(run_python) -m pytest

test-all: test ## the same, then the tests that take longer (30 to 50 minutes)
	@$(run_python) -m pytest -m 'slow and not faults and not calibration'

test-calibration: setup ## simulate every case of the verdict rules (a quarter of an hour)
	@$(run_python) -m pytest -m calibration -q -o faulthandler_timeout=0

test-faults: setup ## run the tests that take longest, most of which break studies
	@$(run_python) -m pytest -m faults

lock: ## pin the newest packages that fit pyproject.toml (needs uv)
	$(here) uv pip compile --universal --python-version 3.11 --generate-hashes --group development \
	  --upgrade --quiet --no-emit-index-url --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock

clean: ## remove the environment made here
	$(here) sh environment.sh --remove
