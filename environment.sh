#!/bin/sh
# environment.sh ENVIRONMENT PYTHON: make the environment that make uses, or bring it up to date.
# environment.sh --remove: remove the one that was made here.
#
# `.venv` is whole or made anew: while anything is installed it holds $unfinished, with the number of
# this process, which becomes $ready at the end. To an environment that is active packages are only added.
set -eu

made=$PWD/.venv
check='import os, sys, experiment; sys.exit(not os.path.samefile(experiment.__path__[0], "experiment"))'

main() {
  environment=$1 maker=$2
  python=$environment/bin/python
  ready=$environment/.threads-or-processes
  unfinished=$ready.unfinished
  user_path=${PYTHONPATH-}
  unset PYTHONPATH # what is on it is no part of the environment
  if ! is_ready; then
    ! is_being_made || fail "another make is making $environment; wait until it has ended"
    if [ "$environment" = "$made" ]; then make_anew_unless_whole; else check_active; fi
    mv -f "$ready" "$unfinished" 2>/dev/null || true
    echo $$ >"$unfinished"
    if [ "$environment" = "${VIRTUAL_ENV:-$made}" ]; then install_locked; else complete_conda; fi
    sees_this_project || fail "pip installs elsewhere than into $environment: see pip config list"
    mv "$unfinished" "$ready"
  fi
  PYTHONPATH=$user_path exec "$python" -I -m experiment.shadowing
}

fail() {
  printf 'error: %s\n' "$1" >&2
  exit 2
}

is_ready() {
  [ -x "$python" ] && [ -z "$(newer_than_ready)" ] && sees_this_project
}

newer_than_ready() {
  find requirements.lock pyproject.toml environment.yml -newer "$ready" 2>&1
}

sees_this_project() { # with the packages of this Python, not of the one that it was made with
  "$python" -I -c "$check" 2>/dev/null
}

is_being_made() {
  maker_number=$(cat "$unfinished" 2>/dev/null) && [ "$maker_number" != $$ ] &&
    ps -o args= -p "$maker_number" 2>/dev/null | grep -q environment.sh
}

make_anew_unless_whole() {
  if [ -e "$unfinished" ] || ! "$python" -I -m pip --version >/dev/null 2>&1; then
    remove
    "$maker" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
      fail "$maker is not Python 3.11 or later; name one that is: make PYTHON=python3.12"
    "$maker" -c 'import ensurepip, venv' 2>/dev/null ||
      fail "Python cannot make environments here; install what lacks with: sudo apt install python3-venv"
    { mkdir "$made" && echo $$ >"$unfinished" && "$maker" -m venv "$made"; } ||
      fail "$made could not be made; the next make begins anew"
  fi
}

remove() { # under another name, since half of it must not look like the whole
  rm -rf "$made.partial"
  if [ -e "$made" ] || [ -L "$made" ]; then mv "$made" "$made.partial"; fi
  rm -rf "$made.partial"
}

check_active() {
  leave="leave it with: deactivate (or unset VIRTUAL_ENV CONDA_DEFAULT_ENV)"
  [ -x "$python" ] || fail "the active environment $environment has no Python, or is gone; $leave"
  "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "the active environment $environment does not have Python 3.11 or later; $leave"
  "$python" -I -m pip --version >/dev/null 2>&1 ||
    fail "the active environment $environment has no pip; add it with: python -m ensurepip, or $leave"
  [ -w "$environment" ] || fail "the active environment $environment is not yours to write in; $leave"
}

install_locked() {
  echo "installing the packages of requirements.lock into $environment (once; a minute or two)"
  install --require-hashes -r requirements.lock
  install --no-deps --no-build-isolation --editable .
}

complete_conda() {
  install --no-deps --no-build-isolation --editable .
  "$python" -I -m pip check >/dev/null ||
    fail "the conda environment lacks packages; update it with: conda env update -f environment.yml"
}

install() {
  "$python" -I -m pip install --quiet --disable-pip-version-check "$@" ||
    fail "the packages could not be installed into $environment; make tries again"
}

if [ "$1" = --remove ]; then remove; else main "$@"; fi
