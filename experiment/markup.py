"""Text that comes from data, made safe for a page: one function for Markdown and HTML."""


def escape(text: str) -> str:
    """Return text in which neither Markdown nor HTML finds markup, links or formulas.

    All but letters, digits and spaces become character references, which both read. They are not
    read between backticks: there write `<code>` instead.
    """
    return "".join(
        character if character.isalnum() or character == " " else f"&#{ord(character)};"
        for character in text
    )
