"""Define the command line: its commands, their options and what --help says of them."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from shutil import get_terminal_size
from typing import NoReturn

from experiment.redaction import redacted_text
from experiment.study import PARAMETERS, Study, crossover_of, sweep_of, version
from experiment.values import as_words
from experiment.vocabulary import CLIENTS, MODES

MISTAKE = 2
"""The exit status for a mistake of the user."""

MOST_COLUMNS = 100

GROUPS = {
    "what is fetched": (
        *("clients", "source", "pages", "keep_query", "tls", "latency", "timeout", "seed"),
        *("contact", "wiki"),
    ),
    "how it is spread": (
        *("modes", "pool_size", "pool_sizes", "reuse", "chunk_size", "start_method"),
    ),
    "how precisely": ("rounds", "repeats", "precision"),
    "where it runs": ("scheduler", "grid", "origin_host"),
    "names": ("run",),
}
"""The parameters by what they decide, as --help shows them."""

EXAMPLES = {
    "run": (
        ("--rounds 3 --clients requests --pages 20", "a first look, in two minutes"),
        ("--clients mine:work --source items.txt", "a function of yours, on items of yours"),
        ("--quiet --run mine", "print the folder of the run alone"),
    ),
    "report": (
        ("--pool-size 20", "pools of 20 workers"),
        ("--clients 'requests chrome' --rounds 10", "other clients, and more rounds"),
        ("--source wikipedia --pool-size 9 --contact you@example.org", "pages of Wikipedia"),
    ),
    "sweep": (
        ("--pool-sizes '5 10 20'", "other sizes"),
        ("--clients requests --modes 'serial threads' --reuse off", "one way to fetch"),
        ("--rounds 5", "give the run two more rounds"),
    ),
    "crossover": (
        ("--pool-sizes 20", "another size"),
        ("--latency 0.5", "fetches that wait half as long"),
        ("--rounds 10", "give the run five more rounds"),
    ),
}
"""Three of each command that measures, each with what it does."""

Command = tuple[Callable[..., None], str]


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, and whose help is 100 columns wide at most."""

    def __init__(self, **options: object) -> None:
        """Make a parser that takes no abbreviations."""
        columns = min(MOST_COLUMNS, get_terminal_size((MOST_COLUMNS, 24)).columns)
        form = partial(argparse.RawDescriptionHelpFormatter, width=columns, max_help_position=26)
        settings = {"formatter_class": form, "allow_abbrev": False, **options}
        super().__init__(**settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.exit(MISTAKE, f"error: {redacted_text(message)}; --help lists what there is\n")


def parser(commands: Mapping[str, Command], purpose: str) -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = Parser(prog="python -m experiment", description=purpose)
    said = f"threads-or-processes {version()}"
    whole.add_argument(
        "--version", action="version", version=said, help="say which version this is"
    )
    added = whole.add_subparsers(required=True, metavar="COMMAND")
    for name, (function, words) in commands.items():
        usage = f"python -m experiment {name} [options]" if name in EXAMPLES else None
        command = added.add_parser(name, help=words, description=words, usage=usage)
        command.set_defaults(command=function)
    _add_measuring(added.choices)
    _add_reading(added.choices)
    return whole


def _add_measuring(commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Add the options of the commands that measure or write a page."""
    kinds = {"report": Study(), "sweep": sweep_of({}), "crossover": crossover_of({})}
    _add_parameters(commands["run"], Study(), list(PARAMETERS))
    for name, kind in kinds.items():
        _add_parameters(commands[name], kind, kind.parameters)
    compare = commands["compare"]
    compare.add_argument("--runs", default="", help="their names (default: all in data/)")
    compare.add_argument("--name", default="compare", help="the page's name (default: compare)")
    for name in ("run", *kinds, "compare"):
        commands[name].add_argument(
            "--quiet", action="store_true", help="print paths alone, and nothing else but errors"
        )
    for name, examples in EXAMPLES.items():
        shown = (f"  python -m experiment {name} {words}\n      {what}" for words, what in examples)
        commands[name].epilog = "\n".join(["examples:", *shown])


def _add_reading(commands: Mapping[str, argparse.ArgumentParser]) -> None:
    """Add the options of the commands that print."""
    commands["verdicts"].add_argument(
        "run", help="its name in data/, such as reference, or the path of its folder"
    )
    for name in ("verdicts", "runs"):
        commands[name].add_argument("--json", action="store_true", help="as a list, for programs")
        commands[name].add_argument(
            "--wide", action="store_true", help="the whole table, however wide"
        )
    pages = commands["pages"]
    pages.add_argument("url", help="the URL to ask, such as that of a random page")
    pages.add_argument("-n", dest="count", default="100", help="how often (default: 100)")


def _add_parameters(command: argparse.ArgumentParser, kind: Study, names: Sequence[str]) -> None:
    """Add an option for each parameter, with help for those in `names`; the study checks values."""
    for title, members in GROUPS.items():
        group = command.add_argument_group(title if {*members} & {*names} else None)
        for name in members:
            group.add_argument(
                f"--{name.replace('_', '-')}",
                default=argparse.SUPPRESS,
                metavar="VALUE",
                help=_meaning(kind, name) if name in names else argparse.SUPPRESS,
            )


def _meaning(kind: Study, name: str) -> str:
    """Return what a parameter is, what it may be and what it is by default."""
    choices = {"clients": CLIENTS, "modes": MODES}
    some = f", some of {as_words(choices[name])}" if name in choices else ""
    default = as_words(kind.default(name))
    return f"{PARAMETERS[name].description}{some} (default: {default})".replace("%", "%%")
