"""Find files that Python would import instead of its own modules and of installed packages.

As a program, `python -I -m experiment.shadowing` says so in one line. Nothing is imported here
that such a file could have replaced.
"""

import os
import site
import sys
from collections.abc import Iterator

OURS = {"experiment", "tests"}
"""What a checkout that is on the path provides, as it should."""


def check() -> None:
    """Raise `UserError` if the current folder or PYTHONPATH replaces a module or a package."""
    for words in _mistakes():
        from experiment.errors import UserError

        raise UserError(words)


def main() -> None:
    """Check, and end with status 2 after a line that says what is wrong."""
    for words in _mistakes():
        print(f"error: {words}", file=sys.stderr)
        sys.exit(2)


def _mistakes() -> Iterator[str]:
    if not os.environ.get("PYTHONSAFEPATH"):
        for file, name in _replacing(os.getcwd()):  # noqa: PTH109
            yield f"{file} stands in for {name}; rename it, or run this in another folder"
    for folder in filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)):
        for file, name in _replacing(folder):
            yield f"PYTHONPATH: {file} stands in for {name}; unset PYTHONPATH, or remove the file"


def _replacing(folder: str) -> list[tuple[str, str]]:
    """Return the files of a folder that replace a module, each with the module."""
    if folder in site.getsitepackages():
        return []
    packages = {_name(file) for place in site.getsitepackages() for file in _files(place)} - OURS
    kinds = [(sys.stdlib_module_names, "Python's module"), (packages, "the package")]
    return [
        (os.path.join(folder, file), f"{kind} {_name(file)}")  # noqa: PTH118
        for file in _files(folder)
        for names, kind in kinds
        if _name(file) in names and _can_be_imported(folder, file)
    ]


def _files(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except OSError:  # Python passes over it, too
        return []


def _name(file: str) -> str:
    return file.partition(".")[0]


def _can_be_imported(folder: str, file: str) -> bool:
    package = os.path.join(folder, file, "__init__.py")  # noqa: PTH118
    return file.endswith((".py", ".so")) or os.path.exists(package)  # noqa: PTH110


if __name__ == "__main__":
    main()
