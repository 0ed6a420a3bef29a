"""The user's proxies, credentials and certificates, met by real servers."""

import ssl
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from experiment import load
from experiment.measure import wikipedia
from experiment.study import Study
from experiment.vocabulary import ClientName
from tests.conftest import Copy, need
from tests.servers import Server
from tests.wiki import Wiki

NETRC = "machine 127.0.0.1 login alice password secret\n"
PLAN = ("--pages", "2", "--pool-sizes", "2", "--rounds", "1", "--modes", "serial,threads",
        "--reuse", "off")  # fmt: skip


OWN = ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy", "HTTP_PROXY",
       "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")  # fmt: skip
"""Variables that the tests may have been started with."""


def experiment(
    copy: Copy, *arguments: str, **variables: object
) -> "subprocess.CompletedProcess[str]":
    """Run a command with these variables and none of our own."""
    without = [word for name in OWN for word in ("-u", name)]
    names = [f"{name}={value}" for name, value in variables.items()]
    return copy.run("env", *without, *names, "python", "-m", "experiment", *arguments)


def measure(copy: Copy, *options: str, **variables: object) -> pd.DataFrame:
    """The fetches of a small study."""
    ended = experiment(copy, "run", *PLAN, *options, "--run", "tried", **variables)
    assert ended.returncode == 0, ended.stderr
    return load(copy.path / "data" / "tried").fetches


def refused(copy: Copy, *arguments: str, **variables: object) -> str:
    """The one line by which a command is refused; nothing is measured."""
    ended = experiment(copy, *arguments, **variables)
    assert ended.returncode == 2, ended.stderr
    [line] = ended.stderr.splitlines()
    assert not (copy.path / "data" / "tried").exists()
    copy.assert_nothing_left()
    return line


@pytest.mark.slow
def test_passwords_in_netrc_do_not_go_to_pages(copy: Copy, server: Server) -> None:
    home = copy.temporary.parent
    (home / ".netrc").write_text(NETRC)
    url = server.url("random")
    measure(copy, "--source", url, "--clients", "requests", HOME=home)
    assert experiment(copy, "pages", url, "-n", "3", HOME=home).returncode == 0
    assert len(server.asked) == 2 * (1 + 2 + 2 + 3)  # redirects included
    assert server.credentials == []


def test_passwords_in_netrc_do_not_go_to_wikipedia(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(NETRC)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Wiki(tmp_path) as wiki:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(wiki.bundle))
        values = {"source": "wikipedia", "contact": "you@example.org", "wiki": wiki.host}
        wikipedia.draw(Study.of({**values, "pool_size": 9}))
    assert wiki.seen.guests
    assert wiki.seen.credentials == []


@pytest.mark.parametrize(
    ("name", "hosts", "direct"),
    [
        ("NO_PROXY", "intranet.example,127.0.0.2", True),
        ("no_proxy", "intranet.example", False),
    ],
)
def test_hosts_that_need_no_proxy_are_asked_directly(
    copy: Copy, name: str, hosts: str, direct: bool
) -> None:
    """As requests does it; browsers ask 127.0.0.2 directly in any case."""
    with Server() as proxy, Server(host="127.0.0.2") as intranet:
        url = intranet.url("page")
        variables = {"http_proxy": proxy.url(""), name: hosts}
        fetches = measure(copy, "--source", url, "--clients", "requests", **variables)
    assert fetches["error"].isna().all()
    assert (proxy.asked, intranet.asked) == (([], ["/page"] * 5) if direct else ([url] * 5, []))


@pytest.mark.slow
@pytest.mark.parametrize("client", ["phantomjs", pytest.param("chrome", marks=pytest.mark.faults)])
def test_drivers_are_reached_without_a_proxy(
    copy: Copy, server: Server, client: ClientName
) -> None:
    need(client)
    with Server() as proxy:
        variables = {"http_proxy": proxy.url(""), "NO_PROXY": "intranet.example"}
        fetches = measure(copy, "--source", server.url("page"), "--clients", client, **variables)
        assert not any("/session" in path for path in proxy.asked)
    assert fetches["error"].isna().all()


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_cannot_be_used_is_one_line(copy: Copy, server: Server, name: str) -> None:
    empty = copy.temporary.parent / "empty.pem"
    empty.touch()
    source = ("run", "--source", server.url("page"), "--run", "tried")
    line = refused(copy, *source, **{name: "/nonexistent.pem"})
    assert f"error: {name}: /nonexistent.pem is not a bundle of certificates" in line
    assert "holds no certificate" in refused(copy, *source, **{name: empty})
    line = refused(copy, "pages", server.url("random"), **{name: "/nonexistent.pem"})
    assert f"error: {name}: /nonexistent.pem" in line
    wiki = ("--source", "wikipedia", "--contact", "you@example.org", "--wiki", "127.0.0.1:9")
    line = refused(
        copy, "run", *wiki, "--pool-size", "9", "--run", "tried", **{name: "/nonexistent.pem"}
    )
    assert f"error: {name}: /nonexistent.pem" in line
    assert server.asked == []


@pytest.mark.slow
def test_the_embedded_origin_has_certificates_of_its_own(copy: Copy) -> None:
    options = ("--clients", "requests", "--latency", "0")
    assert measure(copy, *options, REQUESTS_CA_BUNDLE="/nonexistent.pem")["error"].isna().all()


@pytest.mark.slow
def test_a_source_that_phantomjs_cannot_reach_is_measured_by_requests(copy: Copy) -> None:
    need("phantomjs")
    with Server(tls=True, oldest=ssl.TLSVersion.TLSv1_3) as server:
        bundle = copy.temporary.parent / "authority.pem"
        server.authority.cert_pem.write_to_path(str(bundle))
        options = (
            "--source",
            server.url("page"),
            "--clients",
            "requests phantomjs",
            "--repeats",
            "1",
        )
        fetches = measure(copy, *options, REQUESTS_CA_BUNDLE=bundle)
    seen = fetches.groupby("client")["error"].agg(lambda values: list(values.fillna("none")))
    assert seen.to_dict() == {"requests": ["none"] * 4, "phantomjs": ["tls"] * 4}
