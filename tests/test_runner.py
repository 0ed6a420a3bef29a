"""Runs, done for real in a copy of the project: measured, resumed, refused."""

import html
import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from experiment import load, records
from experiment.analysis import claims, precision, rules
from experiment.measure.launch import OUTCOME, read_outcome
from experiment.measure.machine import cores
from experiment.measure.trial import Outcome
from experiment.redaction import redacted
from experiment.report import headline
from experiment.vocabulary import ClientName
from tests import made_up
from tests.conftest import Copy, eventually, need
from tests.servers import Server

SMALL_SWEEP = (
    "run", "--pages", "4", "--pool-sizes", "2", "--latency", "0.2", "--rounds", "2",
    "--run", "small",
)  # fmt: skip
SMALL = ("run", "--pages", "6", "--pool-size", "3", "--latency", "0.2", "--clients", "requests")


def one_line(copy: Copy, *arguments: str) -> str:
    """The only line that a mistake prints; nothing is measured."""
    before = sorted(path for path in (copy.path / "data").rglob("*"))
    ended = copy.experiment(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert sorted(path for path in (copy.path / "data").rglob("*")) == before
    copy.assert_nothing_left()
    return line


@pytest.mark.parametrize(
    ("rounds", "repeats"), [(1, 1), pytest.param(2, 3, marks=pytest.mark.faults)]
)
def test_a_study_is_measured_once(copy: Copy, rounds: int, repeats: int) -> None:
    command = (*SMALL, "--rounds", str(rounds), "--repeats", str(repeats), "--run", "small")
    first = copy.experiment(*command)
    assert first.returncode == 0, first.stderr
    folder = copy.path / "data" / "small"
    fetches, trials = records.load(folder)
    assert fetches["error"].isna().all()
    assert (trials["state"] == "ok").all()
    _check_controls(fetches, trials, rounds)
    fetches, trials = fetches[fetches["arm"] == "main"], trials[trials["arm"] == "main"]
    assert len(trials) == rounds * (1 + 2 * repeats)
    assert len(fetches) == 6 * len(trials)
    _check_times(fetches, trials)
    _check_same_work(fetches, rounds)
    texts = {path: path.read_bytes() for path in folder.glob("*.csv")}
    again = copy.experiment(*command)
    assert again.returncode == 0
    assert {path: path.read_bytes() for path in folder.glob("*.csv")} == texts
    copy.assert_nothing_left()


def _check_controls(fetches: pd.DataFrame, trials: pd.DataFrame, rounds: int) -> None:
    """Every control once a round in each mode; CPU work of all modes in one launch."""
    controls = trials[trials["arm"] != "main"].groupby("arm").size().to_dict()
    costs = {"no_latency": 3, "tls_context": 2, "no_tls": 2, "today": 3}
    a_round = {**costs, "startup": 2, **({"cpu": 3} if cores() > 1 else {})}
    assert controls == {arm: rounds * count for arm, count in a_round.items()}
    launches = trials[(trials["arm"] != "cpu") | (trials["mode"] == "serial")]
    positions = launches.groupby("round")["position"].agg(sorted).tolist()
    assert positions == [list(range(1, 1 + len(launches) // rounds))] * rounds
    cpu = trials[trials["arm"] == "cpu"]
    assert cpu.groupby("round")[["position", "started_at", "wall_s"]].nunique().eq(1).all().all()
    assert cpu["span_s"].between(0.01, 5).all()
    assert (cpu["cpu_s"] > cpu["startup_cpu_s"]).all()
    assert set(fetches["arm"]) == {"main", "no_latency", "today", "tls_context", "no_tls"}
    mean_s = fetches.groupby(["arm", "mode"])["fetch_s"].mean()
    assert mean_s["no_latency", "serial"] < mean_s["main", "serial"]
    startup = trials[trials["arm"] == "startup"]
    assert (startup["pool_size"] == 10).all()
    assert startup["span_s"].isna().all()
    assert startup["python_pss_mb"].gt(1).all() or sys.platform != "linux"
    assert (startup["pickling_error"].notna() == (startup["mode"] == "processes")).all()


def _check_times(fetches: pd.DataFrame, trials: pd.DataFrame) -> None:
    assert (fetches["end_s"] - fetches["start_s"] - fetches["fetch_s"]).abs().max() < 1e-5
    assert (fetches["fetch_s"] * 1000 >= fetches["origin_ms"] - 1).all()
    assert (fetches["origin_ms"] - fetches["planned_ms"]).abs().median() < 20
    assert (trials["wall_s"] >= trials["span_s"]).all()
    assert (trials["cpu_s"] > trials["startup_cpu_s"]).all()
    by_trial = ["mode", "round", "repeat"]
    spans = fetches.groupby(by_trial).agg(start=("start_s", "min"), end=("end_s", "max"))
    expected = spans["end"] - spans["start"]
    assert (trials.set_index(by_trial)["span_s"] - expected).abs().max() < 1e-5
    assert set(fetches.loc[fetches["mode"] == "serial", "worker"]) == {1}
    assert set(fetches.loc[fetches["mode"] != "serial", "worker"]) == {1, 2, 3}


def _check_same_work(fetches: pd.DataFrame, rounds: int) -> None:
    what = fetches.groupby(["round", "page"])[["url", "sha256", "planned_ms", "length"]].nunique()
    assert (what == 1).all().all()
    assert fetches.groupby("page")["sha256"].nunique().eq(rounds).all()


LIVE = """
from experiment.measure.live import live
from experiment.study import Study
study = Study.of({"source": "urls.txt", "run": "begun", "clients": "requests", "pages": 2,
                  "modes": "serial", "rounds": 1})
print(*live(study)["url"])
"""


def test_a_look_takes_nothing_from_a_run_and_leaves_nothing(copy: Copy, server: Server) -> None:
    begun = copy.path / "data" / "begun"
    begun.mkdir()
    (begun / "pages.txt").write_text("http://127.0.0.1:9/of-a-run-that-was-cut-off\n")
    (copy.path / "urls.txt").write_text(f"{server.url('page')}\n")
    ended = copy.run(sys.executable, "-c", LIVE)
    assert ended.stdout.split() == [server.url("page")] * 2, ended.stderr
    assert [path.name for path in begun.iterdir()] == ["pages.txt"]
    copy.assert_nothing_left()


@pytest.mark.faults
def test_any_server_and_any_list_can_be_the_source(copy: Copy, server: Server) -> None:
    need("chrome")
    url = server.url("random?a=$HOME&b=c")
    options = ("--pages", "4", "--rounds", "1", "--pool-size", "2")
    ended = copy.experiment("run", *options, "--source", url, "--run", "asked")
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "asked")
    assert fetches["error"].isna().all()
    assert set(trials["client"].dropna()) == {"requests", "chrome"}
    assert records.read_run(copy.path / "data" / "asked").study.clients == ("requests", "chrome")
    assert (fetches["url"] == redacted(url)).all()
    assert fetches["final_url"].nunique() == len(fetches)
    assert server.asked.count("/random?a=$HOME&b=c") >= len(fetches)

    asked = len(server.asked)
    assert copy.experiment("run", *options, "--source", url, "--run", "asked").returncode == 0
    assert len(server.asked) == asked

    pages = [server.url("page?1"), server.url("missing"), server.url("page?2")]
    (copy.path / "urls.txt").write_text("# some\n" + "\n".join(pages))
    ended = copy.experiment(
        "run", *options, "--source", "urls.txt", "--clients", "requests", "--run", "listed"
    )
    assert ended.returncode == 0, ended.stderr
    fetches, trials = records.load(copy.path / "data" / "listed")
    assert list(fetches["url"][:4]) == list(map(redacted, [*pages, pages[0]]))
    assert set(fetches["error"].dropna()) == {"http 404"}
    assert list(trials.loc[trials["arm"] == "main", "failed"]) == [1, 1, 1]
    assert "no_latency" not in set(trials["arm"])

    (copy.path / "urls.txt").write_text(pages[0])
    assert copy.experiment("run", "--run", "listed").returncode == 0  # it needs its list no more
    line = one_line(copy, "run", "--run", "listed", "--source", "urls.txt")
    assert "urls.txt has changed since the run listed began; name another run" in line
    (copy.path / "urls.txt").unlink()
    assert copy.experiment("run", "--run", "listed").returncode == 0


@pytest.mark.slow
def test_a_study_that_fetches_nothing_is_said_and_what_there_is_kept(
    copy: Copy, server: Server
) -> None:
    url = server.url("missing")
    options = ("--pages", "2", "--pool-sizes", "2", "--clients", "requests", "--run", "nothing")
    command = ("run", *options, "--modes", "serial threads", "--rounds", "2", "--source", url)
    folder = copy.path / "data" / "nothing"
    said = f"error: source: every fetch failed (http 404); see that pages of {url} can be fetched, "
    for rounds, then in (
        ({1}, "then give the same command again, which goes on"),
        ({1, 2}, "then name another run"),
        ({1, 2}, "then name another run"),
    ):
        ended = copy.experiment(*command)
        assert ended.returncode == 2
        line = ended.stderr.splitlines()[-1]
        assert line == f"{said}{then}; the rounds measured are kept in data/nothing"
        assert records.rounds_done(folder) == rounds
    copy.assert_nothing_left()


@pytest.mark.faults
def test_firefox_fetches_from_the_embedded_origin(copy: Copy) -> None:
    need("firefox")
    options = ("--pages", "2", "--pool-size", "2", "--rounds", "1", "--modes", "threads")
    ended = copy.experiment("run", *options, "--clients", "firefox", "--run", "fox")
    assert ended.returncode == 0, ended.stderr
    fetches, _ = records.load(copy.path / "data" / "fox")
    assert fetches["error"].isna().all()
    assert (fetches["status"] == 200).all()
    assert fetches["origin_ms"].notna().all()
    copy.assert_nothing_left()


def test_bad_input_is_one_line_and_measures_nothing(copy: Copy) -> None:
    assert "pool_size: ten is not" in one_line(copy, "run", "--pool-size", "ten")
    assert "--pol-size" in one_line(copy, "run", "--pol-size", "3")
    assert "invalid choice" in one_line(copy, "rum")
    assert "pool_size: 10 is not" in one_line(copy, "run", "--source", "wikipedia")
    assert "cannot be read" in one_line(copy, "run", "--source", "no-such-file.txt")


@pytest.mark.parametrize("client", ["requests", "phantomjs", "chrome"])
def test_a_source_that_does_not_answer_is_one_line(copy: Copy, client: ClientName) -> None:
    need(client)
    nobody = one_line(copy, "run", "--source", "http://127.0.0.1:9/", "--clients", client)
    assert f"source: http://127.0.0.1:9/ does not answer {client} (connection)" in nobody


@pytest.mark.slow
@pytest.mark.parametrize("client", ["phantomjs", pytest.param("chrome", marks=pytest.mark.faults)])
def test_a_first_page_that_stops_its_browser_stops_nothing_else(
    copy: Copy, server: Server, client: ClientName
) -> None:
    need(client)
    (copy.path / "urls.txt").write_text(f"{server.url('own_types')}\n{server.url('page')}\n")
    options = ("--pages", "2", "--pool-size", "2", "--rounds", "1", "--modes", "threads")
    ended = copy.experiment(
        "run",
        *options,
        "--repeats",
        "1",
        "--source",
        "urls.txt",
        "--clients",
        client,
        "--run",
        "listed",
    )
    assert ended.returncode == 0, ended.stderr
    fetches, _ = records.load(copy.path / "data" / "listed")
    assert fetches["error"].fillna("").tolist() == ["browser", ""]


def test_an_outcome_that_is_not_valid_is_a_failed_trial(tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    path.write_bytes(OUTCOME.dump_json(Outcome(span_s=1.5)))
    assert read_outcome(path).span_s == 1.5
    path.write_text(path.read_text().replace("1.5", '"<b>soon</b>"'))
    bad = read_outcome(path)
    assert not bad.fetches
    assert bad.reason is not None
    assert re.match("its outcome is not valid: span_s: ", bad.reason)
    assert "<b>" not in bad.reason


def test_a_folder_that_cannot_be_written_is_said(copy: Copy) -> None:
    (copy.path / "data" / "taken").write_text("a file, not a folder")
    line = one_line(copy, *SMALL, "--run", "taken")
    assert "data/taken cannot be written" in line
    if os.getuid() != 0:
        (copy.path / "data").chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert "cannot be written" in one_line(copy, *SMALL)


def _more(rounds: int) -> tuple[str, ...]:
    return (*SMALL_SWEEP, "--rounds", str(rounds))


@pytest.mark.slow
def test_a_finished_run_is_given_more_rounds_and_keeps_its_looks(copy: Copy) -> None:
    folder = copy.path / "data" / "small"
    assert copy.experiment(*_more(1)).returncode == 0
    kept = (folder / "fetches.csv").read_text()
    process = copy.start(sys.executable, "-m", "experiment", *_more(3))
    assert eventually(lambda: records.rounds_done(folder) == {1, 2}, 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=15)
    cut = records.read_run(folder)
    assert (cut.looks, cut.study.rounds, cut.finished_at) == ([1], 3, None)
    assert copy.experiment(*_more(3)).returncode == 0
    assert records.rounds_done(folder) == {1, 2, 3}
    assert (folder / "fetches.csv").read_text().startswith(kept)
    results = load(folder)
    assert results.run.looks == [1]
    assert results.levels == rules.SEVERAL_LOOKS

    whole = (folder / "trials.csv").read_bytes()
    fewer = copy.experiment(*_more(2))
    assert fewer.returncode == 0
    assert "rounds: 2 asked for; small has 3 and keeps them" in fewer.stderr
    assert (folder / "trials.csv").read_bytes() == whole
    assert records.read_run(folder).looks == [1]
    copy.assert_nothing_left()


@pytest.mark.faults
def test_a_run_that_was_named_after_its_rounds_is_found_by_the_same_command(copy: Copy) -> None:
    assert copy.experiment(*SMALL_SWEEP).returncode == 0
    before = copy.path / "data" / "sweep_pool_sizes-2_pages-4_rounds-2_latency-0.2"
    kept = (copy.path / "data" / "small").rename(before) / "trials.csv"
    measured = kept.read_bytes()
    folders = sorted(before.parent.iterdir())
    again = copy.experiment(*SMALL_SWEEP[:-2])
    assert again.stdout == f"measured: data/{before.name}\n"
    assert f"run: data/{before.name} is there from before; it is used" in again.stderr
    assert kept.read_bytes() == measured
    assert sorted(before.parent.iterdir()) == folders


@pytest.mark.faults
def test_a_study_stops_at_the_precision_that_it_was_asked_for(copy: Copy, server: Server) -> None:
    options = ("--pages", "6", "--pool-size", "3", "--clients", "requests", "--run", "small")
    command = ("run", *options, "--source", server.url("late"), "--precision")
    first = copy.experiment(*command, "50%")
    assert first.returncode == 0, first.stderr
    folder = copy.path / "data" / "small"
    results = load(folder)
    assert results.study.rounds == 20
    assert results.levels == rules.EVERY_ROUND
    done = len(records.rounds_done(folder))
    name, width = precision.widest(results)
    assert 5 <= done < 20
    assert width <= 0.5
    said = headline.certainty(results, claims.judge(results))
    why = f"stopped at the precision of 50 %: the main ratio that is known least ({name})"
    assert why in said
    assert why in first.stderr
    records.write_run(folder, results.run.model_copy(update={"finished_at": None}))
    assert copy.experiment("run", "--run", "small").returncode == 0  # its own precision counts
    assert copy.experiment(*command, "50%").returncode == 0
    assert len(records.rounds_done(folder)) == done


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--precision", "0"), "precision: 0 is not more than 0 and at most 50%, such as 5%"),
        (("--precision", "200%"), "precision: 200% is not more than 0 and at most 50%, such as 5%"),
        (("--precision", "5%", "--rounds", "4"), "rounds: 4 is not a whole number from 5 to 100"),
        (("--precision", "5%", "--pool-sizes", "2 5"), "precision: 5% has no use in a sweep"),
        (("--precision", "5%", "--modes", "serial"), "precision: 0.05 has no use here; it goes wi"),
    ],
)
def test_a_precision_that_cannot_be_is_one_line(
    copy: Copy, options: tuple[str, ...], words: str
) -> None:
    assert words in one_line(copy, "run", *options)


@pytest.mark.faults
def test_another_study_or_a_damaged_run_is_refused_and_untouched(copy: Copy) -> None:
    assert copy.experiment(*SMALL, "--rounds", "1", "--run", "small").returncode == 0
    folder = copy.path / "data" / "small"
    other = one_line(copy, "run", "--run", "small", "--pool-size", "4")
    assert "pool_size: 4 was asked for, but the run small has 3" in other
    assert copy.experiment("run", "--run", "small").returncode == 0

    fetches = folder / "fetches.csv"
    fetches.write_text(fetches.read_text().replace(",serial,", ",cereal,", 1))
    damaged = fetches.read_bytes()
    line = one_line(copy, "run", "--run", "small")
    assert "fetches.csv" in line
    assert "column mode" in line
    assert fetches.read_bytes() == damaged

    unfinished = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**unfinished, "finished_at": None}))
    fetches.unlink()
    assert "fetches.csv: damaged: 0 lines" in one_line(copy, "run", "--run", "small")
    assert not fetches.exists()


@pytest.mark.faults
def test_a_run_goes_on_only_where_it_began(copy: Copy) -> None:
    assert copy.experiment(*SMALL_SWEEP).returncode == 0
    folder = copy.path / "data" / "small"
    made_up.forget_round(folder, 2)
    run = {**json.loads((folder / "run.json").read_text()), "finished_at": None}
    changed = {**run, "machine": {**run["machine"], "cpu": "another"}}
    (folder / "run.json").write_text(json.dumps(changed))
    line = one_line(copy, *SMALL_SWEEP)
    assert "its cpu was another and is now" in line
    packages = {**run["machine"]["packages"], "requests": "1.0"}
    changed = {**run, "machine": {**run["machine"], "packages": packages}}
    (folder / "run.json").write_text(json.dumps(changed))
    assert "its package requests was 1.0 and is now" in one_line(copy, *SMALL_SWEEP)
    changed = {**run, "machine": {**run["machine"], "openssl": "OpenSSL 1.1.1"}}
    (folder / "run.json").write_text(json.dumps(changed))
    assert "its openssl was OpenSSL 1.1.1 and is now" in one_line(copy, *SMALL_SWEEP)
    (folder / "run.json").write_text(json.dumps({**run, "code": None}))
    assert "did not note its code; name another" in one_line(copy, *SMALL_SWEEP)
    (folder / "run.json").write_text(json.dumps({**run, "commit": "abc"}))
    _edit(copy, "measure/origin.py")
    line = one_line(copy, *SMALL_SWEEP)
    assert (
        "has changed since it began (commit abc): experiment/measure/origin.py; put it back" in line
    )

    _edit(copy, "measure/origin.py", back=True)
    _edit(copy, "report/sentences.py")  # what a report says may change at any time
    kept = (folder / "fetches.csv").read_text()
    assert copy.experiment(*SMALL_SWEEP).returncode == 0
    assert records.rounds_done(folder) == {1, 2}
    assert (folder / "fetches.csv").read_text().startswith(kept)


def _edit(copy: Copy, name: str, back: bool = False) -> None:
    path = copy.path / "experiment" / name
    text = path.read_text()
    path.write_text(text.removesuffix("# edited\n") if back else f"{text}# edited\n")


@pytest.mark.parametrize("client", ["chrome", "firefox", "phantomjs"])
def test_a_client_that_cannot_run_is_one_line(copy: Copy, client: str) -> None:
    program = f"""
import sys
from experiment.measure import programs
programs.first = lambda names: None
programs.carried = lambda package, path: None
from experiment.__main__ import main
sys.exit(main(["run", "--clients", "{client}"]))
"""
    ended = copy.run("python", "-c", program)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"error: clients: {client} cannot run, ")
    assert "install it with: " in line
    assert not (copy.path / "data" / f"clients-{client}").exists()


def test_a_browser_that_lacks_a_library_is_one_line(copy: Copy) -> None:
    fake = copy.temporary / "firefox"
    fake.write_text(
        "#!/bin/sh\n"
        "echo 'firefox: error while loading shared libraries: libfontconfig.so.1: cannot open"
        " shared object file' >&2\nexit 127\n"
    )
    fake.chmod(0o755)
    program = f"""
import sys
from experiment.measure.clients import firefox
firefox.PROGRAMS = ("{fake}",)
from experiment.__main__ import main
sys.exit(main(["run", "--clients", "firefox"]))
"""
    ended = copy.run("python", "-c", program)
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: clients: firefox cannot run, the library libfontconfig.so.1 is missing; "
        "install it with: sudo apt install libfontconfig1\n"
    )


def test_a_default_study_does_without_a_browser_that_lacks_a_library(copy: Copy) -> None:
    need("phantomjs")
    fake = copy.temporary / "phantomjs"
    fake.write_text(
        "#!/bin/sh\n"
        "echo 'phantomjs: error while loading shared libraries: libfontconfig.so.1: cannot open"
        " shared object file' >&2\nexit 127\n"
    )
    fake.chmod(0o755)
    options = ["run", "--pages", "2", "--rounds", "1", "--modes", "serial", "--pool-size", "2"]
    program = f"""
import hashlib, pathlib, sys
from experiment.measure.clients import phantomjs
fake = pathlib.Path("{fake}")
phantomjs.programs.carried = lambda package, path: fake
phantomjs.SHA256[sys.platform] = hashlib.sha256(fake.read_bytes()).hexdigest()
from experiment.__main__ import main
sys.exit(main({options}))
"""
    for _ in range(2):  # the second time it is there
        ended = copy.run("python", "-c", program)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr.startswith("note: phantomjs cannot run, the library libfontconfig.so.1")
    [folder] = (copy.path / "data").glob("*pages-2*")
    results = load(folder)
    assert results.study.clients == ("requests",)
    assert "install it with: sudo apt install libfontconfig1" in html.unescape(
        headline.left_out(results)
    )
    assert folder.name.endswith("_without-phantomjs")  # so that it stands in the way of no other


NO_SANDBOX = (
    "unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "sh", "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces && '
    'exec setpriv --ambient-caps=-all --inh-caps=-all "$@"', "sh",
)  # fmt: skip
"""Start a command as somebody who is not root, where user namespaces are forbidden."""


@pytest.mark.faults
def test_what_to_do_where_chrome_finds_no_sandbox_is_one_line(copy: Copy) -> None:
    need("chrome")
    if subprocess.run([*NO_SANDBOX, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs unshare and setpriv (util-linux), and user namespaces to forbid")
    options = ("--clients", "chrome", "--run", "tried")
    ended = copy.run(*NO_SANDBOX, "python", "-m", "experiment", *SMALL, *options)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert "error: clients: chrome cannot run, its sandbox needs user namespaces" in line
    assert "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" in line
    assert not (copy.path / "data" / "tried").exists()
    copy.assert_nothing_left()
