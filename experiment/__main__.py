"""Provide the command line: `run`, `report` and `sweep` measure, the others read runs."""
# ruff: noqa: E402

from experiment import shadowing

shadowing.main()  # what it finds may keep the imports below from working

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from json import dumps
from pathlib import Path
from typing import NoReturn

import experiment
from experiment import records, terminal
from experiment.errors import UserError
from experiment.measure.shortages import shortage_said
from experiment.redaction import redacted_text
from experiment.study import PARAMETERS, PROJECT, Study, crossover_of, sweep_of
from experiment.values import as_words
from experiment.vocabulary import CLIENTS, MODES

MISTAKE, INTERRUPTED = 2, 130
ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.exit(MISTAKE, f"error: {redacted_text(message)}; --help lists what there is\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 for a mistake of the user, who reads one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a letter that it cannot show is no error
            stream.reconfigure(errors="backslashreplace")
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    terminal.end_when_closed()
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        with shortage_said():
            command(**options)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("\ninterrupted: finished rounds are kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m experiment", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (function, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        command.set_defaults(command=function)
    named = [commands.choices[name] for name in COMMANDS]
    run, report, sweep, crossover, compare, verdicts, _, pages = named
    _with_parameters(run, Study(), list(PARAMETERS))
    studies = ((report, Study()), (sweep, sweep_of({})), (crossover, crossover_of({})))
    for command, kind in studies:
        _with_parameters(command, kind, kind.parameters)
    compare.add_argument("--runs", default="", help="their names (default: all in data/)")
    compare.add_argument("--name", default="compare", help="the page's name (default: compare)")
    verdicts.add_argument("folder", type=Path, help="the run, such as data/default")
    verdicts.add_argument("--json", action="store_true", help="as a list, for programs")
    pages.add_argument("url", help="the URL to ask, such as that of a random page")
    pages.add_argument("-n", dest="count", default="100", help="how often (default: 100)")
    return parser


def _with_parameters(command: argparse.ArgumentParser, kind: Study, names: Sequence[str]) -> None:
    """Add an option for each parameter, with help for those in `names`; the study checks values."""
    choices = {"clients": CLIENTS, "modes": MODES}
    for name, field in PARAMETERS.items():
        some = f", some of {as_words(choices[name])}" if name in choices else ""
        meaning = f"{field.description}{some} (default: {as_words(kind.default(name))})"
        command.add_argument(
            f"--{name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=meaning.replace("%", "%%") if name in names else argparse.SUPPRESS,
        )


def _run(**parameters: str) -> None:
    print(f"measured: {experiment.run(Study.of(parameters)).relative_to(PROJECT)}")


def _report(**parameters: str) -> None:
    study = Study.of(parameters)
    if study.kind != "report":
        raise UserError(
            f"pool_sizes: {as_words(study.pool_sizes)} has no use here; it goes with make sweep"
        )
    _measure_and_write("report", study)


def _sweep(**parameters: str) -> None:
    _measure_and_write("sweep", sweep_of(parameters))


def _crossover(**parameters: str) -> None:
    _measure_and_write("crossover", crossover_of(parameters))


def _compare(runs: str = "", name: str = "compare") -> None:
    from experiment.analysis import many_runs
    from experiment.report import page

    page.check_writable(Study.of({"run": name}).run_name())
    many_runs.of_names(name, runs)
    report = page.write("compare", name, runs=runs)
    written = {"report": report, "notebook": report.with_suffix(".ipynb")}
    for what, path in {**written, "figures": PROJECT / "figures" / name}.items():
        print(f"{what + ':':9} {path.relative_to(PROJECT)}")


def _measure_and_write(notebook: str, study: Study) -> None:
    from experiment.report import page

    page.check_writable(study.run_name())
    folder = experiment.run(study)
    if notebook == "report" and records.read_run(folder).study.only_functions:
        notebook = "function"
    print("drawing the figures and writing the report", file=sys.stderr)
    report, figures = page.write(notebook, folder.name), PROJECT / "figures" / folder.name
    written = {"report": report, "notebook": report.with_suffix(".ipynb"), "figures": figures}
    for name, path in {**written, "data": folder}.items():
        print(f"{name + ':':9} {path.relative_to(PROJECT)}")


def _verdicts(folder: Path, json: bool) -> None:
    from experiment.analysis import claims
    from experiment.report import headline, today

    results = experiment.load(folder)
    judged = claims.judge(results)
    caveats = headline.caveats(results).replace("**", "")
    words = f"{today.advice(results, judged).replace('**', '')}\n\n{headline.text(judged)}"
    print(dumps(claims.rows(judged), indent=2) if json else words)
    if caveats:
        print(f"\n{caveats}", file=sys.stderr if json else sys.stdout)


def _runs() -> None:
    from experiment.analysis import runs
    from experiment.report import headline

    table = runs.overview(runs.run_folders())
    print(headline.aligned(table) if len(table) else "no run is here yet; make report measures one")


def _pages(url: str, count: str) -> None:
    from experiment.measure import sources

    for target in sources.resolve_redirects(url, count):
        print(target, flush=True)


def _stop(number: int, _frame: object) -> NoReturn:
    """Exit in order; ignore further signals meanwhile, as when a session ends."""
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise SystemExit(128 + number)


COMMANDS: dict[str, tuple[Callable[..., None], str]] = {
    "run": (_run, "measure"),
    "report": (_report, "measure and write the report"),
    "sweep": (_sweep, "measure several pool sizes and write a report on them"),
    "crossover": (_crossover, "find how much Python work a fetch may do before processes win"),
    "compare": (_compare, "set several runs into one view, and write a page on them"),
    "verdicts": (_verdicts, "print what a run says of the article's claims"),
    "runs": (_runs, "list the runs that are here"),
    "pages": (_pages, "ask a URL that leads elsewhere each time, and print where it led"),
}


if __name__ == "__main__":
    sys.exit(main())
