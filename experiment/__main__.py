"""Provide the command line: `run`, `report` and `sweep` measure, the others read runs."""
# ruff: noqa: E402

from experiment import shadowing

shadowing.main()  # what it finds may keep the imports below from working

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from io import TextIOWrapper
from json import dumps
from pathlib import Path
from typing import NoReturn

import experiment
from experiment import options, records, terminal
from experiment.errors import UserError
from experiment.measure.shortages import shortage_said
from experiment.options import MISTAKE
from experiment.study import PROJECT, Study, crossover_of, sweep_of
from experiment.values import as_words

INTERRUPTED = 130
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 for a mistake of the user, who reads one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a letter that it cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    terminal.end_when_closed()
    given = vars(options.parser(COMMANDS, str(__doc__)).parse_args(arguments))
    command = given.pop("command")
    try:
        with shortage_said(), _notices(given.get("quiet", False)):
            command(**given)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("\ninterrupted: finished rounds are kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


@contextmanager
def _notices(quiet: bool) -> Iterator[None]:
    """Let notices reach stderr, or drop them; what is raised is said all the same."""
    if not quiet:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
        yield


def _run(quiet: bool, **parameters: str) -> None:
    folder = experiment.run(Study.of(parameters))
    print(f"its answer: python -m experiment verdicts {folder.name}", file=sys.stderr)
    _print_paths({"measured": folder}, quiet)


def _report(quiet: bool, **parameters: str) -> None:
    study = Study.of(parameters)
    if study.kind != "report":
        raise UserError(
            f"pool_sizes: {as_words(study.pool_sizes)} has no use here; it goes with make sweep"
        )
    _measure_and_write("report", study, quiet)


def _sweep(quiet: bool, **parameters: str) -> None:
    _measure_and_write("sweep", sweep_of(parameters), quiet)


def _crossover(quiet: bool, **parameters: str) -> None:
    _measure_and_write("crossover", crossover_of(parameters), quiet)


def _compare(quiet: bool, runs: str = "", name: str = "compare") -> None:
    from experiment.analysis import many_runs
    from experiment.report import page

    page.check_writable(Study.of({"run": name}).run_name())
    many_runs.of_names(name, runs)
    _print_paths(_written(page.write("compare", name, runs=runs)), quiet)


def _measure_and_write(notebook: str, study: Study, quiet: bool) -> None:
    from experiment.report import answers, page

    page.check_writable(study.run_name())
    folder = experiment.run(study)
    if notebook == "report" and records.read_run(folder).study.only_functions:
        notebook = "function"
    print("drawing the figures and writing the report", file=sys.stderr)
    report = page.write(notebook, folder.name)
    if not quiet:
        print(f"{answers.short(experiment.load(folder))}\n")
    _print_paths({**_written(report), "data": folder}, quiet)


def _written(report: Path) -> dict[str, Path]:
    """Return what was written with a report, by what it is."""
    figures = PROJECT / "figures" / report.stem
    return {"report": report, "notebook": report.with_suffix(".ipynb"), "figures": figures}


def _print_paths(paths: Mapping[str, Path], quiet: bool) -> None:
    """Print paths, a line each, with what they are unless that is not wanted."""
    widest = max(map(len, paths)) + 1
    for name, path in paths.items():
        what = "" if quiet else f"{name + ':':{widest}} "
        print(f"{what}{path.relative_to(PROJECT)}")


def _verdicts(run: str, json: bool, wide: bool) -> None:
    from experiment.analysis import claims, runs
    from experiment.report import answers, headline

    results = experiment.load(runs.folder_of(run))
    if not json:
        print(answers.whole(results, wide))
        return
    print(dumps(claims.rows(claims.judge(results)), indent=2))
    if caveats := headline.caveats(results).replace("**", ""):
        print(f"\n{caveats}", file=sys.stderr)


def _runs(json: bool, wide: bool) -> None:
    from experiment.analysis import runs
    from experiment.report import answers

    folders = runs.run_folders()
    if json:
        print(dumps(runs.described(folders), indent=2))
    elif folders:
        print(answers.of_runs(runs.overview(folders), wide))
    else:
        print("no run is here yet; make report measures one")


def _pages(url: str, count: str) -> None:
    from experiment.measure import sources

    for target in sources.resolve_redirects(url, count):
        print(target, flush=True)


def _stop(number: int, _frame: object) -> NoReturn:
    """Exit in order; ignore further signals meanwhile, as when a session ends."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise SystemExit(128 + number)


COMMANDS: dict[str, options.Command] = {
    "run": (_run, "measure"),
    "report": (_report, "measure and write the report"),
    "sweep": (_sweep, "measure several pool sizes and write a report on them"),
    "crossover": (_crossover, "find how much Python work a fetch may do before processes win"),
    "compare": (_compare, "set several runs into one view, and write a page on them"),
    "verdicts": (
        _verdicts,
        "print what a run answers: of the article's claims, or how many workers",
    ),
    "runs": (_runs, "list the runs that are here"),
    "pages": (_pages, "ask a URL that leads elsewhere each time, and print where it led"),
}


if __name__ == "__main__":
    sys.exit(main())
