"""What a terminal shows: words that fit it, colours where it has them, progress, quiet commands."""

import fcntl
import os
import re
import select
import shlex
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiment import load, options
from experiment.__main__ import COMMANDS
from experiment.measure import progress
from experiment.measure.progress import Progress
from experiment.records import TrialKey
from experiment.report import answers, console, headline
from experiment.study import PARAMETERS, PROJECT, Study, crossover_of, sweep_of
from tests import made_up
from tests.conftest import Copy
from tests.made_up import World, even

COLOUR = re.compile("\x1b\\[[0-9;]*m")
KEY = TrialKey(arm="main", client="requests", mode="threads", pool_size=10, round=1, repeat=1)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Write to a terminal of 100 columns in place of stdout and stderr; yields its reader."""
    reader, writer = os.openpty()
    os.set_blocking(reader, False)
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    stream = os.fdopen(writer, "w", encoding="utf-8", buffering=1)
    with stream, monkeypatch.context() as changed:
        for name in ("stdout", "stderr"):
            changed.setattr(sys, name, stream)
        changed.setenv("TERM", "xterm-256color")
        changed.delenv("NO_COLOR", raising=False)
        yield reader
    os.close(reader)


@pytest.mark.parametrize(
    "name",
    ["reference", "reference-functions", "article-2018", "reference-sweep", "reference-crossover"],
)
def test_an_answer_fits_100_columns_and_is_plain_where_it_is_piped(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    results = load(PROJECT / "data" / name)
    for text in (answers.whole(results), answers.short(results)):
        assert max(map(len, text.splitlines())) <= 100
        assert text.isascii()
        assert "\x1b" not in text
        assert "**" not in text


def test_the_table_has_a_block_for_each_claim_with_all_that_was_measured() -> None:
    judged = list(made_up.judged(PROJECT / "data" / "reference")[1].values())
    _, *blocks = answers.table_of_claims(judged, 100).split("\n\n")
    for claim, block in zip(judged, blocks, strict=True):
        words = " ".join(block.split())
        assert words.startswith(f"{claim.ruling.verdict} {claim.words} ")
        for cell in claim.cells:
            value = cell.estimate.shown if cell.estimate else ""
            assert f"{cell.words} {value}".strip() in words
            assert cell.ruling.reason in words


def test_colours_come_with_signs_and_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged = list(made_up.judged(PROJECT / "data" / "reference")[1].values())
    with terminal(monkeypatch):
        coloured = answers.table_of_claims(judged, 100)
        for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
            with monkeypatch.context() as changed:
                changed.setenv(name, value)
                assert answers.table_of_claims(judged, 100).isascii()
        sys.stdout.reconfigure(encoding="ascii")  # type: ignore[union-attr]
        assert answers.table_of_claims(judged, 100).isascii()
    assert f"\x1b[38;5;{console.BLUE}m✓ holds" in coloured
    assert f"\x1b[38;5;{console.ORANGE}m~ mixed" in coloured
    assert max(map(len, COLOUR.sub("", coloured).splitlines())) <= 100
    assert set(headline.SIGNS) == {*headline.TALLY}


def test_few_cells_are_folded_and_no_word_is_broken_that_need_not_be() -> None:
    rows = [("a long cell of words", "short"), ("abc", "incomprehensibly"), ("abc", "incomplete")]
    assert console.aligned(rows).splitlines()[1] == "abc                   incomprehensibly"
    widths = console.fitting(rows, 26)
    assert widths == [8, 16]
    assert console.lines(rows[0], widths) == ["a long    short", "cell of", "words"]
    assert sum(console.fitting([("x" * 90, "y" * 90)], 60)) == 58
    assert console.fitting([("name-of-a-run", "y" * 90), ("a", "y" * 90)], 40) == [13, 25]
    assert console.folded("  - indented words", 14, "  ") == ["  - indented", "    words"]


def test_a_run_of_functions_beside_a_client_has_both_answers(tmp_path: Path) -> None:
    study = Study.of({"pages": 12, "clients": "requests mine:work"})
    world = World(even(study, threads=0.5), controls=False)
    results = load(made_up.write(tmp_path / "run", study, world))
    for text in (answers.whole(results), answers.short(results)):
        assert "Of the article's 13 claims" in text
        assert "Use threads for mine:work" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (29, "less than a minute"),
        (60, "about 1 minute"),
        (400, "about 7 minutes"),
        (7190, "about 2 hours"),
    ],
)
def test_a_duration_is_said_in_words(seconds: float, words: str) -> None:
    assert progress.duration(seconds) == words


def read_until(reader: int, end: str) -> str:
    """What a terminal has been told, which comes in parts, until it ends so or 5 s are over."""
    text = ""
    while select.select([reader], [], [], 5)[0]:
        text += os.read(reader, 10_000).decode()
        if text.endswith(end) and not select.select([reader], [], [], 0.3)[0]:
            break
    return text


def test_a_bar_shows_the_round_and_the_time_left_and_is_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with terminal(monkeypatch) as reader:
        with Progress(5, 600) as shown:
            shown.begin(2, [KEY])
            shown.move_to(300)
            shown.finish_round(2)
        text = read_until(reader, "\r")
    assert "round 2 of 5, about 10 minutes left: requests, threads (10)" in text
    assert " 50% |" in text
    assert "done" not in text
    *_, last, after = text.split("\r")
    assert (last.strip(), after) == ("", "")


def test_without_a_terminal_each_round_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(2, 600) as shown:
        shown.begin(1, [KEY])
        shown.move_to(300)
        shown.finish_round(1)
        shown.finish_round(2, "data/small")
    assert capsys.readouterr().err.splitlines() == [
        "round 1 of 2 done, less than a minute left",
        "round 2 of 2 done; the run is in data/small",
    ]


def test_a_quiet_command_prints_paths_and_errors_alone(copy: Copy) -> None:
    fewer = ("run", "--run", "reference", "--rounds", "3")
    assert "has 10 and keeps them" in copy.experiment(*fewer).stderr
    quiet = copy.experiment(*fewer, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "data/reference\n", "")
    wrong = copy.experiment("run", "--quiet", "--pages", "none")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: pages: none is not a whole number from 1 to 100,000\n"


def test_help_has_every_parameter_in_a_group_and_fits_100_columns() -> None:
    assert sorted(name for names in options.GROUPS.values() for name in names) == sorted(PARAMETERS)
    parser = options.parser(COMMANDS, "")
    for command in ("run", "report", "sweep", "crossover"):
        shown = parser._subparsers._group_actions[0].choices[command].format_help()  # type: ignore[union-attr, index]
        assert max(map(len, shown.splitlines())) <= 100
        assert "how precisely:\n  --rounds" in shown
        assert shown.count(f"  python -m experiment {command} ") == 3


KINDS = {"run": Study.of, "report": Study.of, "sweep": sweep_of, "crossover": crossover_of}


@pytest.mark.parametrize("command", KINDS)
def test_the_examples_of_help_are_right(command: str) -> None:
    for words, _ in options.EXAMPLES[command]:
        given = vars(options.parser(COMMANDS, "").parse_args([command, *shlex.split(words)]))
        parameters = {name: value for name, value in given.items() if name in PARAMETERS}
        assert parameters or "--quiet" in words
        KINDS[command](parameters)
