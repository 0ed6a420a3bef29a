"""Look at the functions of a study's user before they are measured.

A function's module is imported by a program of its own: whatever it prints, starts or breaks
when it is imported stays there.
"""

import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiment.errors import UserError, writing
from experiment.measure import clients
from experiment.measure.clients import function
from experiment.records import FunctionFile
from experiment.study import PROJECT, Study
from experiment.values import as_folder_name, short_digest
from experiment.vocabulary import CLUSTERED, ClientName, Mode, is_function

IMPORT_S = 60.0
"""How long the import of a module may take."""


@dataclass(frozen=True)
class Found:
    """A function that can be called with an item; a module of C has a file, too."""

    where: str
    file: Path
    is_async: bool
    threads: int
    """How many threads its module has started."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Return the modes that it can do: an `async def` needs an event loop."""
        return (
            ("serial", "asyncio") if self.is_async else ("serial", "threads", "processes", "dask")
        )


@cache
def find(where: str) -> Found:
    """Import a function in a program of its own; raise `UserError` where it cannot be called."""
    with tempfile.TemporaryDirectory(prefix="function-") as folder:
        told = Path(folder, "told.json")
        command = [sys.executable, "-m", "experiment.measure.functions", where, str(told)]
        quiet: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        process = subprocess.Popen(
            command, **quiet, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            status = process.wait(IMPORT_S)
        except subprocess.TimeoutExpired:
            raise _unfit(where, f"its module is not imported after {IMPORT_S:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
        if not told.exists():
            raise _unfit(where, f"its module ends Python when it is imported (status {status})")
        found = json.loads(told.read_text())
    if "error" in found:
        raise _unfit(where, found["error"])
    return Found(where, Path(found.pop("file")), **found)


def modes_of(client: ClientName) -> tuple[Mode, ...]:
    """Return the modes that a client can do; raises `UserError` for a function that is unfit."""
    return find(client).modes if is_function(client) else clients.of(client).modes


def _unfit(where: str, words: str) -> UserError:
    return UserError(f"clients: {where} cannot be called: {words}")


def check(study: Study) -> None:
    """Raise `UserError` for a function that cannot be measured; warn of threads at import."""
    find.cache_clear()  # a notebook may have written the file anew
    for where in filter(is_function, study.clients):
        if find(where).threads and "processes" in study.modes:
            print(
                f"note: the module of {where} starts a thread when it is imported; worker "
                "processes that are forked do not have it (START_METHOD=spawn: each its own)",
                file=sys.stderr,
            )


def files_of(study: Study) -> dict[str, FunctionFile]:
    """Return the files of a study's functions, by function."""
    return {where: _file(find(where)) for where in filter(is_function, study.clients)}


def _file(found: Found) -> FunctionFile:
    """Describe a file; its path tells nothing of the folder in which the user stands."""
    path = found.file
    bases = [base for base in (Path.cwd(), PROJECT) if path.is_relative_to(base)]
    told = path.relative_to(bases[0]) if bases else Path(path.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "gone"
    return FunctionFile(file=told.as_posix(), sha256=digest)


def study_of(
    called: Callable[[str], Any] | str, items: Iterable[object] | None, given: dict[str, Any]
) -> Study:
    """Return the study of one function, in a run named after it, its items and its parameters."""
    where = called if isinstance(called, str) else _name_of(called)
    study = Study.of({**given, "clients": [where]})
    find.cache_clear()
    found = find(where)
    texts = None if items is None else _as_items(items)
    modes = [mode for mode in found.modes if mode not in CLUSTERED]
    values = {"modes": modes, **given, "clients": [where]}
    marks = json.dumps([texts, _file(found).sha256, values], default=str, sort_keys=True)
    run = study.run or f"{as_folder_name(where)[:60]}-{short_digest(marks)}"
    if texts is not None:
        file = PROJECT / "data" / run / "items.txt"
        with writing("items", file):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(texts) + "\n", encoding="utf-8", newline="")
        values |= {"source": str(file), "pages": len(texts)}
    return Study.of({**values, "run": run})


def _name_of(called: Callable[[str], Any]) -> str:
    """Return `module:function`; raise `UserError` where the workers could not import it."""
    name, module = (getattr(called, it, None) for it in ("__qualname__", "__module__"))
    if module == "__main__":
        raise UserError(
            f"function: {name} is defined in this notebook or program, and other processes cannot "
            "import it; write it to a file (%%writefile mine.py in a notebook) and import it"
        )
    where = f"{module}:{name}"
    if not is_function(where):
        raise UserError(
            f"function: {name or called!r} is not at the top of a module, where other processes "
            "can import it; give it a name there"
        )
    return where


def _as_items(items: Iterable[object]) -> list[str]:
    """Return items as text; raises `UserError` where a file cannot hold one in a line."""
    if isinstance(items, str):
        raise UserError("items: one text is not a list of items")
    texts = [str(item) for item in items]
    for number, text in enumerate(texts, start=1):
        if not text.strip() or "\n" in text or text.endswith("\r"):
            raise UserError(f"items: item {number} ({text[:40]!r}) is not one line of text")
    if not texts:
        raise UserError("items: none is not a list of one item or more")
    return texts


def main() -> None:
    """Run as a program (WHERE FILE): import a function, and write what it is, in JSON."""
    where, told = sys.argv[1], Path(sys.argv[2])
    try:
        found = _look_at(where)
    except BaseException as error:  # the module may raise anything, SystemExit as well
        found = {"error": _import_error(where, error)}
    partial = told.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    partial.replace(told)
    os._exit(0)  # threads of the module would keep this program


def _look_at(where: str) -> dict[str, Any]:
    before = threading.active_count()
    module, _, name = where.partition(":")
    try:
        called = function.load(where)
    except AttributeError as error:
        if getattr(error, "name", None) != name or error.obj is not sys.modules.get(module):
            raise
        return {"error": f"the module {module} has no function {name}"}
    file = inspect.getfile(sys.modules[module])
    threads = threading.active_count() - before
    found = {"file": str(Path(file).resolve()), "is_async": function.is_async(called)}
    return _mistake(name, called) or {**found, "threads": threads}


def _mistake(name: str, called: Callable[[str], Any]) -> dict[str, str]:
    """Return what is wrong with a function, as an entry; none if it takes one item."""
    if not callable(called):
        return {"error": f"{name} is of type {type(called).__name__} and no function"}
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        return {"error": f"{name} is a generator; name a function that returns"}
    try:
        signature = inspect.signature(called)
    except ValueError:  # some functions of C have none
        return {}
    try:
        signature.bind("item")
    except TypeError as error:
        return {"error": f"{name}{signature} is not a function of one item ({error})"}
    return {}


def _import_error(where: str, error: BaseException) -> str:
    """Return why a function could not be imported, in a line."""
    module = where.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and _is_missing(module, error.name or ""):
        return (
            f"there is no module {error.name} in {Path.cwd()}, nor installed; write it there, or "
            "name its folder in PYTHONPATH"
        )
    own = [part for part in traceback.extract_tb(error.__traceback__) if _is_users(part.filename)]
    line = f" (line {own[-1].lineno} of {Path(own[-1].filename).name})" if own else ""
    said = "; ".join(str(error).split("\n"))[:200]
    return f"its module raises {type(error).__name__}: {said}{line}"


def _is_missing(module: str, name: str) -> bool:
    """Return whether it is the module itself that is missing, not one that it imports."""
    return bool(name) and f"{module}.".startswith(f"{name}.") and _spec(name) is None


def _spec(name: str) -> object:
    try:
        return find_spec(name)
    except (ImportError, ValueError):
        return None


def _is_users(file: str) -> bool:
    package = str(Path(__file__).resolve().parents[1])
    return not file.startswith((package, "<frozen"))


if __name__ == "__main__":
    main()
