"""Define and check every parameter of the experiment, once.

The command line, make, the notebooks and `run.json` all take their parameters from here.
"""

import ast
import hashlib
import json
import math
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    HttpUrl,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo

from experiment.errors import UserError
from experiment.redaction import redacted
from experiment.vocabulary import CLIENTS, MODES, ClientName, Mode, StartMethod

Item = TypeVar("Item")

VERSION = "1.0.0"

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout, in which data, figures and reports are kept."""

WIKIPEDIA_WORKERS = 9
"""Wikipedia asks for fewer than ten requests at once."""

LONGEST_NAME = 120
"""Characters of the name that a run is given; encrypted home folders take 143 with its ending."""


@dataclass(frozen=True)
class Expected:
    """The words that complete "is not ..." in the message about an invalid value."""

    words: str


SWEEP: dict[str, Any] = {
    "pool_sizes": (5, 10, 20, 50),
    "pages": 120,
    "rounds": 7,
    "clients": ("requests",),
}
"""The defaults of a sweep that differ from those of any study."""

SWEEP_CHUNK_SIZE = 1
"""One for all pool sizes; the library's own choice would change with the size."""

LEAST_LOOK, MOST_LOOKED = 5, 20
"""The rounds of the first look at the precision; the most rounds, where nobody says how many."""

UNUSED = {"report": ("pool_sizes",), "sweep": ("pool_size", "chunk_size", "precision")}
"""The parameters that studies of a kind do not have."""


def phantomjs_is_built_here() -> bool:
    """Return whether PhantomJS 2.1.1 has a build for this machine."""
    return sys.platform == "darwin" or (sys.platform, platform.machine()) == ("linux", "x86_64")


def default_clients() -> tuple[ClientName, ...]:
    """Return the article's two clients, or Chrome where PhantomJS has no build.

    For a source other than the embedded origin see `measure.clients.usual`.
    """
    return ("requests", "phantomjs" if phantomjs_is_built_here() else "chrome")


def library_chunk_size(pages: int, workers: int) -> int:
    """Return the pages that multiprocessing's `map` hands out at a time: a quarter of a share."""
    return math.ceil(pages / (4 * workers))


def _none_if_empty(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _as_list(value: Any) -> Any:
    """Return a list, written in Python, in JSON, or as words split by spaces or commas."""
    if isinstance(value, int):
        return [value]
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value.replace("'", '"'))
    return re.split(r"[\s,]+", value.strip(" ,\n\t"))


def _each_once(value: tuple[Item, ...] | None) -> tuple[Item, ...] | None:
    if value and len(set(value)) < len(value):
        raise ValueError("named twice")
    return value


def listed(value: Any) -> list[str] | None:
    """Return names however they were written: a list, JSON, or words; None for none."""
    return None if _none_if_empty(value) is None else list(_as_list(value))


def web_url(value: str) -> str:
    """Return the URL as it is; raises `ValueError` for one that is not http or https."""
    if not re.match(r"(?i)https?://[^/\\]", value) or re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError("browsers mend such a URL, each in its way")
    TypeAdapter(HttpUrl).validate_python(value)
    return value


def _as_share(value: Any) -> float:
    """Return 5% as 0.05; raises `ValueError` where it is no more than 0, or more than half."""
    words = str(value).strip()
    share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    if not 0 < share <= 0.5:
        raise ValueError("too small or too large")
    return share


def _known_source(value: str) -> str:
    value = value.strip()
    if value in ("embedded", "wikipedia"):
        return value
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        return web_url(value)
    try:
        return str(Path(value).expanduser().resolve())
    except RuntimeError as error:  # ~name of nobody
        raise ValueError(str(error)) from None


OrNone = Annotated[Item | None, BeforeValidator(_none_if_empty)]
EachOnce = Annotated[
    tuple[Item, ...], Field(min_length=1), BeforeValidator(_as_list), AfterValidator(_each_once)
]
PoolSizes = Annotated[
    OrNone[EachOnce[Annotated[int, Field(ge=1, le=500)]]],
    AfterValidator(lambda sizes: sizes and tuple(sorted(sizes))),
    Expected("one or more whole numbers from 1 to 500, each once"),
]
Precision = Annotated[
    OrNone[Annotated[float, BeforeValidator(_as_share)]],
    Expected("more than 0 and at most 50%, such as 5% or 0.05, or none"),
]
Clients = Annotated[
    EachOnce[ClientName], Expected(f"one or more of {', '.join(CLIENTS)}, each once")
]
Modes = Annotated[EachOnce[Mode], Expected(f"one or more of {', '.join(MODES)}, each once")]
ChunkSize = Annotated[
    OrNone[Annotated[int, Field(ge=1)]],
    Expected("a whole number from 1 to the number of pages, or none"),
]
ProcessStart = Annotated[OrNone[StartMethod], Expected("fork, spawn, forkserver or none")]
Contact = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^([^\s()@]+@[^\s()@]+|https?://[^\s()]+)$")]],
    Expected("an e-mail address or a URL"),
]
RunName = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,149}$")]],
    Expected("a name that starts with a letter and has only letters, digits, dots, - and _"),
]
OnOrOff = Annotated[bool, Expected("on or off")]
Repeats = Annotated[int, Field(ge=1, le=9), Expected("a whole number from 1 to 9")]
Source = Annotated[
    str,
    AfterValidator(_known_source),
    Expected("embedded, wikipedia, an http or https URL, or a file of URLs"),
]
Host = Annotated[
    str, Field(pattern=r"^[a-z0-9.-]+(:\d+)?$"), Expected("a host such as de.wikipedia.org")
]


class Study(BaseModel):
    """The parameters of an experiment; an invalid value raises `UserError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool_size: int = Field(10, ge=1, le=500, description="workers that a pool has")
    pool_sizes: PoolSizes = Field(
        None, description="sizes of pools that a sweep sets against each other"
    )
    pages: int = Field(100, ge=1, le=100_000, description="pages that a trial fetches")
    rounds: Annotated[int, Field(ge=1, le=100)] = Field(
        5, description="replications; a ratio needs 3 for an interval to be worth reading"
    )
    precision: Precision = Field(
        None,
        description="half-width at which the main ratios are known well enough to stop, such as 5% "
        "(none: all rounds)",
    )
    repeats: Repeats = Field(
        1, description="trials of each parallel mode in a round; their geometric mean counts"
    )
    clients: Clients = Field((), description="what fetches the pages (none: as suits the source)")
    modes: Modes = Field(
        ("serial", "threads", "processes"), description="how the fetches are spread"
    )
    source: Source = Field(
        "embedded", description="where pages come from: embedded, wikipedia, a URL, a file of URLs"
    )
    keep_query: OnOrOff = Field(
        False, description="whether query values of URLs are written down (off: a digest of each)"
    )
    tls: OnOrOff = Field(
        True, description="whether the embedded origin speaks HTTPS, as Wikipedia does"
    )
    latency: float = Field(1.0, ge=0, le=100, description="factor on the embedded origin's latency")
    chunk_size: ChunkSize = Field(
        None, description="pages handed to a worker at a time (none: the library's own choice)"
    )
    start_method: ProcessStart = Field(
        None,
        description="how processes start: fork, spawn, forkserver (none: the platform's default)",
    )
    timeout: float = Field(60.0, ge=1, le=600, description="seconds that one fetch may take")
    seed: int = Field(2018, ge=0, le=2**31 - 1, description="decides the pages and the order")
    contact: Contact = Field(
        None, description="whom Wikipedia may write to; for the source wikipedia only"
    )
    wiki: Host = Field("en.wikipedia.org", description="which wiki; for the source wikipedia only")
    run: RunName = Field(
        None, description="the run's folder (none: named after what is not the default)"
    )

    @model_validator(mode="before")
    @classmethod
    def _default_clients(cls, values: dict[str, Any]) -> dict[str, Any]:
        if _none_if_empty(values.get("clients")) is not None:
            return values
        others = {name: value for name, value in values.items() if name != "clients"}
        embedded = values.get("source", "embedded") == "embedded"
        return {**others, "clients": default_clients()} if embedded else others

    @model_validator(mode="before")
    @classmethod
    def _default_rounds(cls, values: dict[str, Any]) -> dict[str, Any]:
        precise = _none_if_empty(values.get("precision")) is not None
        return {"rounds": MOST_LOOKED, **values} if precise else values

    @model_validator(mode="after")
    def _parameters_agree(self) -> Self:
        for conflict in chain(self._conflicts_with_kind(), self._conflicts_with_source()):
            raise UserError(conflict)
        return self

    def _conflicts_with_kind(self) -> Iterator[str]:
        if self.kind == "sweep":
            for name in UNUSED[self.kind]:
                if (value := getattr(self, name)) != self.default(name):
                    yield (
                        f"{name}: {value} has no use in a sweep, which has pool_sizes and chunks "
                        f"of {SWEEP_CHUNK_SIZE}"
                    )
            if "serial" not in self.modes or len(self.modes) == 1:
                yield (
                    f"modes: {as_words(self.modes)} is not serial and threads, processes or both, "
                    "which a sweep compares"
                )
        if self.precision is not None and self.rounds < LEAST_LOOK:
            yield (
                f"rounds: {self.rounds} is not a whole number from {LEAST_LOOK} to 100; with "
                f"precision the first look is after round {LEAST_LOOK}"
            )
        if self.chunk_size is not None and self.chunk_size > self.pages:
            yield (
                f"chunk_size: {self.chunk_size} is not a whole number from 1 to {self.pages}, "
                "the number of pages, or none"
            )

    def _conflicts_with_source(self) -> Iterator[str]:
        is_wikipedia = self.source == "wikipedia"
        for name in () if is_wikipedia else ("contact", "wiki"):
            if (value := getattr(self, name)) != self.default(name):
                yield (
                    f"{name}: {value} has no use here; it goes with source=wikipedia, and source "
                    f"is {self.written().source}"
                )
        if self.keep_query and self.source in ("embedded", "wikipedia"):
            yield (
                "keep_query: on has no use here; it goes with a URL or a file of URLs, and source "
                f"is {self.source}"
            )
        if is_wikipedia and max(self.sizes) > WIKIPEDIA_WORKERS:
            yield (
                f"{self.size_parameter}: {max(self.sizes)} is not a whole number from 1 to "
                f"{WIKIPEDIA_WORKERS}, the most that Wikipedia's rules for robots allow"
            )
        if is_wikipedia and self.contact is None:
            yield (
                "contact: none is not an e-mail address or a URL, by which Wikipedia's rules for "
                "robots want you to be reached"
            )

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "Study":
        """Return the study that `parameters` describe, a sweep if they name `pool_sizes`.

        Raises `UserError` for what is not right.
        """
        sweep = _none_if_empty(parameters.get("pool_sizes")) is not None
        try:
            study = cls.model_validate({**(SWEEP if sweep else {}), **parameters})
        except ValidationError as error:
            raise UserError(_message(error)) from None
        return study.given(parameters)

    def given(self, names: Iterable[str]) -> "Study":
        """Return the same study, whose values of these names were given, the others left out."""
        return self.model_construct(_fields_set=set(names), **dict(self))

    @property
    def kind(self) -> Literal["report", "sweep"]:
        """Return whether one pool size is studied, or several are set against each other."""
        return "report" if self.pool_sizes is None else "sweep"

    @property
    def size_parameter(self) -> Literal["pool_size", "pool_sizes"]:
        """Return the parameter that decides the sizes of its pools."""
        return "pool_sizes" if self.kind == "sweep" else "pool_size"

    @property
    def parameters(self) -> list[str]:
        """Return the names of what can be chosen in a study of this kind."""
        return [name for name in type(self).model_fields if name not in UNUSED[self.kind]]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the sizes of its pools."""
        return self.pool_sizes or (self.pool_size,)

    def default(self, name: str) -> Any:
        """Return the value of a parameter that nobody chose, in a study of this kind."""
        if self.kind == "sweep" and name in SWEEP:
            return SWEEP[name]
        if name == "rounds" and self.precision is not None:
            return MOST_LOOKED
        if name == "clients" and self.source == "embedded":
            return default_clients()
        return type(self).model_fields[name].default

    def chunk(self) -> int | None:
        """Return the pages to hand to a worker at a time; None is the library's choice."""
        return SWEEP_CHUNK_SIZE if self.kind == "sweep" else self.chunk_size

    def pages_in_a_chunk(self) -> int:
        """Return the pages that a pool hands to a worker at a time, whoever chose it."""
        return self.chunk() or library_chunk_size(self.pages, self.pool_size)

    def written(self) -> Self:
        """Return the study as it is written down: without the secrets in its source."""
        if "://" not in self.source:
            return self
        return self.model_copy(update={"source": redacted(self.source, self.keep_query)})

    def run_name(self) -> str:
        """Return the name of the run's folder: as given, or after what differs from the default.

        A run can be given more rounds, so their number is no part of its name.
        """
        if self.run is not None:
            return self.run
        design = {name: value for name, value in self.differences().items() if name != "rounds"}
        name = "_".join(self._described("{}-{}", _in_a_folder_name, design)) or "default"
        if len(name) <= LONGEST_NAME:
            return name
        return f"{name[: LONGEST_NAME - 9].rstrip('-_')}-{_short_digest(name)}"

    def in_short(self) -> str:
        """Return what differs from the default, in words."""
        return ", ".join(self._described("{} {}", as_words, self.differences())) or "default"

    def _described(
        self, form: str, words: Callable[[Any], str], values: Mapping[str, Any]
    ) -> list[str]:
        own = [form.format(name, words(value)) for name, value in values.items()]
        return ["sweep", *own] if self.kind == "sweep" else own

    def differences(self) -> dict[str, Any]:
        """Return what is not the default and tells one study from another."""
        return {
            name: value
            for name, value in self.written()
            if name not in ("run", "contact") and value != self.default(name)
        }

    def joined_to(self, own: "Study") -> "Study":
        """Return the study of a run that exists, with more rounds if this one asks for them.

        Raises `UserError` for any other value that was given and is not the run's own.
        """
        if self.kind != own.kind:
            is_what = "a sweep" if own.kind == "sweep" else "no sweep"
            raise UserError(f"run: {self.run_name()} is {is_what}; it goes with make {own.kind}")
        as_own = self.model_copy(update={"keep_query": own.keep_query}).written()
        for name in (field for field in type(self).model_fields if field != "rounds"):
            asked, had = getattr(self, name), getattr(own, name)
            if name == "source":
                asked, had = as_own.source, own.written().source
            if name in self.model_fields_set - {"run"} and asked not in (had, ()):
                raise UserError(
                    f"{name}: {as_words(asked)} was asked for, but the run "
                    f"{self.run_name()} has {as_words(had)}; leave {name} out, or name another run"
                )
        given = {name: getattr(self, name) for name in {"source", "rounds"} & self.model_fields_set}
        if "rounds" in given:
            given["rounds"] = max(self.rounds, own.rounds)
        return own.model_copy(update=given)


def sweep_of(parameters: Mapping[str, Any]) -> Study:
    """Return the sweep that `parameters` describe; raises `UserError` for what is not right."""
    study = Study.of({**SWEEP, **parameters})
    if study.kind == "report":
        raise UserError(f"pool_sizes: none is not {_expected(Study.model_fields['pool_sizes'])}")
    return study.given(parameters)


def from_notebook(namespace: Mapping[str, Any], also: Sequence[str] = ()) -> Study:
    """Return the study that a notebook's parameters describe; refuse unknown ones of papermill.

    papermill only warns of a parameter that the notebook does not have, so the names that its
    cell (marked "# Parameters") sets are checked, except those in `also`. These names, and the
    parameters edited in the notebook's own cell, count as given.
    """
    injected = [cell for cell in namespace.get("In", ()) if cell.startswith("# Parameters\n")]
    nodes = chain.from_iterable(ast.walk(ast.parse(cell)) for cell in injected)
    assigned = (node for node in nodes if isinstance(node, ast.Name))
    names = {node.id for node in assigned if isinstance(node.ctx, ast.Store)} - {*also}
    known = {*Study.model_fields, *names}
    parameters = {name: value for name, value in namespace.items() if name in known}
    study = sweep_of(parameters) if "pool_sizes" in parameters else Study.of(parameters)
    return study.given({*names, *study.differences()})


def as_words(value: Any) -> str:
    """Return a parameter's value as a user writes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _in_a_folder_name(value: Any) -> str:
    """Return a value as part of a folder's name; a digest stands for what a name cannot hold."""
    words = as_words(value).replace(" ", "-")
    if re.fullmatch(r"[A-Za-z0-9.-]{1,40}", words):
        return words
    place = words.partition("://")[2].partition("?")[0] or Path(words).stem
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", place)[:24].strip("-")
    return f"{readable}-{_short_digest(words)}"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _message(error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"{name}: no such parameter; there are {', '.join(Study.model_fields)}"
    value = as_words(first["input"])
    shown = redacted(value) if name == "source" else value
    return f"{name}: {shown} is not {_expected(Study.model_fields[name])}"


def _expected(field: FieldInfo) -> str:
    for expected in (item for item in field.metadata if isinstance(item, Expected)):
        return expected.words
    low = next(item.ge for item in field.metadata if hasattr(item, "ge"))
    high = next(item.le for item in field.metadata if hasattr(item, "le"))
    kind = "whole number" if field.annotation is int else "number"
    return f"a {kind} from {low} to {high:,}"
