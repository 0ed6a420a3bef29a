"""The command line: `python -m experiment run` measures, `report` writes the report as well."""

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from experiment.errors import UserError
from experiment.study import PROJECT, Study, as_words

MISTAKE, INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.exit(MISTAKE, f"error: {message}; --help lists what there is\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 for a mistake of the user, who reads one line."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        study = Study.of(options)
        {"run": _run, "report": _report}[command](study)
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("\ninterrupted: finished rounds are kept; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m experiment", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _with_parameters(commands.add_parser("run", help="measure", allow_abbrev=False))
    _with_parameters(
        commands.add_parser("report", help="measure and write the report", allow_abbrev=False)
    )
    return parser


def _with_parameters(command: argparse.ArgumentParser) -> None:
    """An option for each parameter of a study; the study itself checks the values."""
    for name, field in Study.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        command.add_argument(
            f"--{name.replace('_', '-')}",
            default=argparse.SUPPRESS,
            metavar="VALUE",
            help=f"{field.description} (default: {as_words(default)})".replace("%", "%%"),
        )


def _run(study: Study) -> None:
    from experiment import runner

    print(f"measured: {_shown(runner.run(study))}")


def _report(study: Study) -> None:
    from experiment import report, runner

    folder = runner.run(study)
    print("drawing the figures and writing the report", file=sys.stderr)
    page = report.write(folder.name)
    print(f"report:   {_shown(page)}")
    print(f"notebook: {_shown(page.with_suffix('.ipynb'))}")
    print(f"figures:  {_shown(PROJECT / 'figures' / folder.name)}")
    print(f"data:     {_shown(folder)}")


def _shown(path: Any) -> str:
    return str(path.relative_to(PROJECT))


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
