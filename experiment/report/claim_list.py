"""Write the list of claims: a line each with its verdict, which opens to its comparisons."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from experiment.analysis.claims import JudgedClaim
from experiment.analysis.summary import digits
from experiment.report import headline

CLASSES = {"✓": "for", "~": "both", "✗": "against"}
"""The class of an element, by the sign of its verdict; that of others is `open`."""


GAP = '<span class="gap"> · </span>'
"""What parts a claim's verdict, words and values where there is no style sheet."""


def html(judged: Sequence[JudgedClaim]) -> str:
    """Return the claims as HTML, in the article's order; those with more to say fold out."""
    return f'<div class="claims">{"".join(map(_claim, judged))}</div>'


def _claim(claim: JudgedClaim) -> str:
    verdict = claim.ruling.verdict
    sign = headline.SIGNS[verdict]
    parts = {
        f"verdict {CLASSES.get(sign, 'open')}": f'<span aria-hidden="true">{sign}</span> {verdict}',
        "words": escape(claim.words),
        "measured": escape(_measured(claim)),
        "then": escape(_range_words("2018: ", (cell.article_2018 for cell in claim.cells))),
    }
    spans = GAP.join(
        f'<span class="{name}">{words}</span>' for name, words in parts.items() if words
    )
    if _is_one_value(claim):
        return f'<div class="claim">{spans}</div>'
    table = comparisons(claim).to_html(index=False, classes="comparisons", border=0)
    return f"<details><summary>{spans}</summary>{table}</details>"


def _is_one_value(claim: JudgedClaim) -> bool:
    """Return whether the claim's own line says all that is known."""
    [first, *others] = claim.cells
    return not others and not headline.detail(first, claim.ruling.verdict)


def comparisons(claim: JudgedClaim) -> pd.DataFrame:
    """Return a row for each comparison of a claim."""
    rows = [
        {
            "measured": cell.words,
            headline.value_heading(claim.levels): headline.value(cell, claim.levels),
            "2018": headline.in_2018(claim, cell),
            "in detail": headline.detail(cell, claim.ruling.verdict),
        }
        for cell in claim.cells
    ]
    return pd.DataFrame(rows)


def _measured(claim: JudgedClaim) -> str:
    """Return the values of a claim's comparisons, from least to most, and what they are of."""
    name = f"{claim.cells[0].quantity}: "
    known = [cell for cell in claim.cells if cell.estimate]
    if known and len(claim.cells) == 1:
        return f"{name}{headline.value(known[0], claim.levels)}"
    if all(cell.mode and not cell.client for cell in known):  # each mode has a rule of its own
        each = [f"{cell.mode} {cell.estimate.shown}" for cell in known if cell.estimate]
        return f"{name}{', '.join(each)}" if each else ""
    return _range_words(name, (cell.estimate.value for cell in known if cell.estimate))


def _range_words(name: str, values: Iterable[float | None]) -> str:
    known = sorted(value for value in values if value is not None)
    ends = dict.fromkeys(digits(end) for end in (known[0], known[-1])) if known else {}
    return f"{name}{' to '.join(ends)}" if ends else ""
