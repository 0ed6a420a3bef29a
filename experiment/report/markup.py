"""Make text from data safe for a page, in Markdown and in HTML."""

DOLLAR = '<span class="tex2jax_ignore mathjax_ignore">&#36;</span>'
"""A dollar sign that starts no formula in JupyterLab."""


def escape(text: str) -> str:
    """Return text in which neither Markdown nor HTML finds markup, links or formulas.

    All but letters, digits and spaces become character references, which both read. It goes
    between tags, not into attributes, and not between backticks: there write `<code>` instead.
    """
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isalnum() or character == " ":
        return character
    return DOLLAR if character == "$" else f"&#{ord(character)};"
