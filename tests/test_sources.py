"""Sources: lists of URLs are checked, cycled, sliced by round."""

from pathlib import Path

import pytest

from experiment import records
from experiment.errors import UserError
from experiment.measure import sources
from experiment.measure.clients.base import ClientSettings
from experiment.study import Study
from tests import made_up
from tests.made_up import World, even


def test_a_list_may_have_comments_blank_lines_and_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    path.write_text(
        "# mine\n\nhttp://127.0.0.1/a\n  https://127.0.0.1/b?x=$y&z  \nhttp://127.0.0.1/a\n"
    )
    urls = sources.read_urls(path)
    assert urls == ["http://127.0.0.1/a", "https://127.0.0.1/b?x=$y&z", "http://127.0.0.1/a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file"),
        ("", "holds no URL"),
        ("# nothing\n", "holds no URL"),
        ("http://127.0.0.1/\nnot a url\n", "line 2: not a url is not an http or https URL"),
        ("ftp://127.0.0.1/\n", "line 1: ftp://127.0.0.1/ is not an http or https URL"),
        (b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, text: str | bytes | None, words: str
) -> None:
    path = tmp_path / "urls.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        sources.urls_of(Study.of({"source": str(path)}), tmp_path / "pages.txt")
    assert words in str(caught.value)
    assert str(caught.value).startswith("source: ")


def test_rounds_go_through_a_list_in_turn_and_again() -> None:
    listed = sources.Listed([f"http://127.0.0.1/{number}" for number in range(5)], ClientSettings())
    first, second = listed.pages(1, 3), listed.pages(2, 3)
    assert [page.url[-1] for page in first] == ["0", "1", "2"]
    assert [page.url[-1] for page in second] == ["3", "4", "0"]
    assert [page.number for page in second] == [1, 2, 3]


def test_a_list_that_changed_since_the_run_began_is_refused(tmp_path: Path) -> None:
    path, kept = tmp_path / "urls.txt", tmp_path / "pages.txt"
    path.write_text("http://127.0.0.1/a\n")
    kept.write_text("http://127.0.0.1/a\n")
    study = Study.of({"source": str(path)})
    assert sources.urls_of(study, kept) == ["http://127.0.0.1/a"]
    path.write_text("http://127.0.0.1/b\n")
    with pytest.raises(UserError, match="has changed since the run"):
        sources.urls_of(study, kept)
    path.unlink()
    assert sources.urls_of(study, kept) == ["http://127.0.0.1/a"]


def test_articles_of_an_earlier_run_are_fetched_again(tmp_path: Path) -> None:
    kept = tmp_path / "pages.txt"
    kept.write_text("https://127.0.0.1:9/wiki/A\nhttps://127.0.0.1:9/wiki/B\n")
    values = {"contact": "you@example.org", "pool_size": 9, "wiki": "127.0.0.1:9"}
    study = Study.of({"source": "wikipedia", **values})  # nobody is there to draw others
    assert sources.urls_of(study, kept) == kept.read_text().split()


def test_a_study_of_which_one_client_fetches_has_answers(tmp_path: Path) -> None:
    for name, clients, failing in (
        ("none", ("requests",), "requests"),
        ("one", ("requests", "phantomjs"), "phantomjs"),
    ):
        study = Study(clients=clients, pages=4, rounds=1, run=name)
        folder = made_up.write(tmp_path / name, study, World(even(study), failing=failing))
        run = records.read_run(folder)
        if name == "one":
            sources.check_answered(folder, run)
        else:
            with pytest.raises(UserError, match=r"source: every fetch failed \(browser\)"):
                sources.check_answered(folder, run)
