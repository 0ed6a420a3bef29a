"""Make text from data safe for a page, in Markdown and in HTML; fold parts of a page."""

from base64 import b64encode

import pandas as pd

DOLLAR = '<span class="tex2jax_ignore mathjax_ignore">&#36;</span>'
"""A dollar sign that starts no formula in JupyterLab."""


def escape(text: str) -> str:
    """Return text in which neither Markdown nor HTML finds markup, links or formulas.

    All but letters, digits and spaces become character references, which both read. It goes
    between tags, not into attributes, and not between backticks: there write `<code>` instead.
    """
    return "".join(map(_escaped, text))


def image(png: bytes, alt: str, style: str) -> str:
    """Return an image element that holds its data."""
    encoded = b64encode(png).decode()
    return f'<img alt="{alt}" style="{style}" src="data:image/png;base64,{encoded}">'


def folded(words: str, html: str) -> str:
    """Return HTML that a click on the words unfolds, and that a printed page shows."""
    shown = f'<div class="output_html" role="group" aria-label="{words}" tabindex="0">{html}</div>'
    return f"<details><summary>{words}</summary>{shown}</details>"


def folded_tables(words: str, note: str, *tables: pd.DataFrame, index: bool = True) -> str:
    """Return a note and tables as HTML that a click on the words unfolds; empty without rows."""
    shown = (
        table.to_html(index=index, classes="numbers", border=0)
        for table in tables
        if not table.empty
    )
    html = "".join(shown)
    return folded(words, f"<p>{note}</p>{html}") if html else ""


def _escaped(character: str) -> str:
    if character.isalnum() or character == " ":
        return character
    return DOLLAR if character == "$" else f"&#{ord(character)};"
