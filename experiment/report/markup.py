"""Text that comes from data, made safe for a page: one function for Markdown and HTML."""

DOLLAR = '<span class="tex2jax_ignore mathjax_ignore">&#36;</span>'
"""A dollar that begins no formula, for which JupyterLab searches the page once it is there."""


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
