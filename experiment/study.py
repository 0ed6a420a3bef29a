"""Define and check every parameter of the experiment, once.

The command line, make, the notebooks and `run.json` all take their parameters from here.
"""

import ast
import importlib.metadata
import platform
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from experiment.errors import UserError
from experiment.fetches import library_chunk_size
from experiment.redaction import redacted
from experiment.values import (
    Expected,
    an_address,
    as_folder_name,
    as_list,
    as_share,
    as_words,
    each_once,
    expected,
    known_source,
    listed,
    none_if_empty,
    short_digest,
)
from experiment.vocabulary import (
    ARTICLE_PAIR,
    AT_GRID,
    BROWSERS,
    CLIENTS,
    MODES,
    REUSES,
    ClientName,
    Mode,
    Reuse,
    StartMethod,
    is_function,
)

Item = TypeVar("Item")

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout, in which data, figures and reports are kept."""

WIKIPEDIA_WORKERS = 9
"""Wikipedia asks for fewer than ten requests at once."""

BROWSER_REPEATS = 2
"""Trials of a browser's pool in a round: they scatter more than those of `requests`."""

LONGEST_NAME = 120
"""Characters of the name that a run is given; encrypted home folders take 143 with its ending."""

SWEEP: dict[str, Any] = {
    "pool_sizes": (10, 30, 100, 200),
    "pages": 400,
    "rounds": 3,
    "clients": ("requests", "aiohttp"),
    "modes": ("serial", "threads", "processes", "asyncio"),
    "reuse": ("off", "on"),
}
"""The defaults of a sweep that differ from those of any study."""

CROSSOVER: dict[str, Any] = {
    "pool_sizes": (10, 30),
    "pages": 100,
    "rounds": 5,
    "clients": tuple(
        f"experiment.measure.parsing:passes_{passes}"
        for passes in (0, 4, 8, 12, 16, 20, 25, 30, 50)
    ),
    "modes": ARTICLE_PAIR,
    "reuse": ("off",),
}
"""The same of a crossover: its clients do more and more Python work after each fetch."""

SWEEP_CHUNK_SIZE = 1
"""One for all pool sizes; the library's own choice would change with the size."""

LEAST_LOOK, MOST_LOOKED = 5, 20
"""The rounds of the first look at the precision; the most rounds, where nobody says how many."""

Kind = Literal["report", "sweep", "crossover"]

DEFAULTS: dict[Kind, dict[str, Any]] = {"report": {}, "sweep": SWEEP, "crossover": CROSSOVER}

UNUSED: dict[Kind, tuple[str, ...]] = {
    "report": ("pool_sizes",),
    "sweep": ("pool_size", "chunk_size", "precision"),
    "crossover": (
        *("pool_size", "chunk_size", "precision", "clients", "modes", "reuse", "source"),
        *("keep_query", "contact", "wiki", "scheduler", "grid", "origin_host"),
    ),
}
"""The parameters that studies of a kind do not have."""


def version() -> str:
    """Return the version: that of the checkout, or of the package where it is installed alone."""
    project = PROJECT / "pyproject.toml"
    if not project.exists():
        return importlib.metadata.version("threads-or-processes")
    return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])


def phantomjs_is_built_here() -> bool:
    """Return whether PhantomJS 2.1.1 has a build for this machine."""
    return sys.platform == "darwin" or (sys.platform, platform.machine()) == ("linux", "x86_64")


def default_clients() -> tuple[ClientName, ...]:
    """Return the article's two clients, or Chrome where PhantomJS has no build.

    For a source other than the embedded origin see `measure.clients.usual`.
    """
    return ("requests", "phantomjs" if phantomjs_is_built_here() else "chrome")


OrNone = Annotated[Item | None, BeforeValidator(none_if_empty)]
EachOnce = Annotated[
    tuple[Item, ...], Field(min_length=1), BeforeValidator(as_list), AfterValidator(each_once)
]
PoolSizes = Annotated[
    EachOnce[Annotated[int, Field(ge=1, le=500)]],
    AfterValidator(lambda sizes: tuple(sorted(sizes))),
    Expected("one or more whole numbers from 1 to 500, each once"),
]
Precision = Annotated[
    OrNone[Annotated[float, BeforeValidator(as_share)]],
    Expected("more than 0 and at most 50%, such as 5% or 0.05, or none"),
]
Clients = Annotated[
    EachOnce[ClientName],
    Expected(f"one or more of {', '.join(CLIENTS)} and of your own module:function, each once"),
]
Modes = Annotated[EachOnce[Mode], Expected(f"one or more of {', '.join(MODES)}, each once")]
Reuses = Annotated[
    EachOnce[Annotated[Reuse, BeforeValidator(as_words)]],
    AfterValidator(lambda reuses: tuple(sorted(reuses, key=REUSES.index))),
    Expected("off, on or both, each once"),
]
ChunkSize = Annotated[
    OrNone[Annotated[int, Field(ge=1)]],
    Expected("a whole number from 1 to the number of pages, or none"),
]
ProcessStart = Annotated[OrNone[StartMethod], Expected("fork, spawn, forkserver or none")]
Scheduler = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^tcp://[^\s:/@]+:\d{1,5}$")]],
    Expected("an address such as tcp://192.0.2.1:8786, or none"),
]
Grid = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^https?://[^\s/@]+$")]],
    Expected("an address such as http://192.0.2.1:4444, or none"),
]
OriginHost = Annotated[
    str,
    AfterValidator(an_address),
    Expected("an IPv4 address of this machine, such as 192.0.2.1"),
]
Contact = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^([^\s()@]+@[^\s()@]+|https?://[^\s()]+)$")]],
    Expected("an e-mail address or a URL"),
]
RunName = Annotated[
    OrNone[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,149}$")]],
    Expected("a name that starts with a letter and has only letters, digits, dots, - and _"),
]
OnOrOff = Annotated[bool, Expected("on or off")]
Repeats = Annotated[
    OrNone[Annotated[int, Field(ge=1, le=9)]], Expected("a whole number from 1 to 9, or none")
]
Source = Annotated[
    str,
    AfterValidator(known_source),
    Expected("embedded, wikipedia, an http or https URL, or a file of URLs"),
]
Host = Annotated[
    str, Field(pattern=r"^[a-z0-9.-]+(:\d+)?$"), Expected("a host such as de.wikipedia.org")
]


class Study(BaseModel):
    """The parameters of an experiment; an invalid value raises `UserError`.

    `sizes` and `kind` are given, and written down, as one of `pool_size` and `pool_sizes`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind = "report"
    sizes: PoolSizes = Field((10,), validation_alias=AliasChoices("pool_size", "pool_sizes"))
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
        None,
        description="trials of each pool in a round; their geometric mean counts "
        "(none: 2 of browsers, 1 of requests)",
    )
    clients: Clients = Field((), description="what fetches the pages (none: as suits the source)")
    modes: Modes = Field(
        ("serial", "threads", "processes"), description="how the fetches are spread"
    )
    reuse: Reuses = Field(
        ("off",),
        description="whether a worker keeps its connection or browser from page to page",
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
    scheduler: Scheduler = Field(
        None, description="Dask's scheduler for the mode dask (none: a cluster on this machine)"
    )
    grid: Grid = Field(
        None, description="Selenium Grid that has chrome and firefox (none: those of this machine)"
    )
    origin_host: OriginHost = Field(
        "127.0.0.1", description="where the embedded origin listens, for a scheduler or a grid"
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
    def _as_stored(cls, parameters: Any) -> Any:
        if not isinstance(parameters, dict):
            return parameters
        if unknown := [str(name) for name in parameters if name not in PARAMETERS]:
            there_are = f"no such parameter; there are {', '.join(PARAMETERS)}"
            raise UserError(f"{', '.join(unknown)}: {there_are}")
        values = dict(parameters)
        for name in values.keys() & {"pool_sizes", "clients", "precision"}:
            if none_if_empty(values[name]) is None:
                del values[name]
        if "pool_sizes" in values:
            values = {**_of_a_sweep(values), "kind": _kind_of_sizes(values)}
        if "precision" in values:
            values.setdefault("rounds", MOST_LOOKED)
        if values.get("source", "embedded") == "embedded":
            values.setdefault("clients", default_clients())
        return values

    @model_serializer
    def _as_parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in PARAMETERS}

    @model_validator(mode="after")
    def _parameters_agree(self) -> Self:
        conflicts = [
            *self._conflicts_with_kind(),
            *self._conflicts_with_source(),
            *self._conflicts_of_elsewhere(),
        ]
        if conflicts:
            raise UserError("; ".join(conflicts))
        return self

    def _conflicts_with_kind(self) -> Iterator[str]:
        if self.kind == "report" and len(self.sizes) > 1:
            yield f"pool_size: {as_words(self.sizes)} is not {expected(PARAMETERS['pool_size'])}"
        has_both = {*ARTICLE_PAIR} <= {*self.modes}
        if len(self.modes) == 1 if self.kind == "sweep" else self.sizes[1:] and not has_both:
            yield _no_sweep(self.modes)
        if self.precision is not None and self.rounds < LEAST_LOOK:
            yield (
                f"rounds: {self.rounds} is not a whole number from {LEAST_LOOK} to 100; with "
                f"precision the first look is after round {LEAST_LOOK}"
            )
        if self.precision is not None and len(self.modes) == 1:
            yield (
                f"precision: {self.precision:.3g} has no use here; it goes with two modes to "
                f"compare, and modes is {as_words(self.modes)}"
            )
        if self.chunk_size is not None and self.chunk_size > self.pages:
            yield (
                f"chunk_size: {self.chunk_size} is not a whole number from 1 to {self.pages}, "
                "the number of pages, or none"
            )

    def _conflicts_of_elsewhere(self) -> Iterator[str]:
        if self.scheduler is not None and "dask" not in self.modes:
            yield (
                f"scheduler: {self.scheduler} has no use here; it goes with the mode dask, and "
                f"modes is {as_words(self.modes)}"
            )
        if self.grid is not None and not self.at_grid:
            yield (
                f"grid: {self.grid} has no use here; it goes with chrome or firefox, and clients "
                f"is {as_words(self.clients) or 'none'}"
            )
        if self.origin_host != self.default("origin_host") and not self.is_elsewhere:
            yield (
                f"origin_host: {self.origin_host} has no use here; it goes with a scheduler or a "
                "grid, which may be on other machines"
            )

    def _conflicts_with_source(self) -> Iterator[str]:
        is_wikipedia = self.source == "wikipedia"
        for name in () if is_wikipedia else ("contact", "wiki"):
            if (value := getattr(self, name)) != self.default(name):
                yield (
                    f"{name}: {value} has no use here; it goes with source=wikipedia, and source "
                    f"is {self.written().source}"
                )
        if is_wikipedia and "dask" in self.modes:
            yield (
                "modes: dask cannot be used with source=wikipedia, whose rules for robots ask for "
                "one pace for all workers"
            )
        if is_wikipedia and any(map(is_function, self.clients)):
            yield (
                f"clients: {as_words(self.clients)} cannot be used with source=wikipedia, whose "
                "rules for robots ask for a User-Agent that a function of yours does not send"
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
        is_report = none_if_empty(parameters.get("pool_sizes")) is None
        try:
            study = cls.model_validate({**({} if is_report else SWEEP), **parameters})
        except ValidationError as error:
            raise UserError(_message(error)) from None
        return study.given(parameters)

    def given(self, names: Iterable[str]) -> "Study":
        """Return the same study, whose values of these names were given, the others left out."""
        return self.model_construct(_fields_set=set(names), **dict(self))

    @property
    def pool_size(self) -> int:
        """Return the workers that a pool has; a sweep does not use it."""
        return self.sizes[0] if self.kind == "report" else PARAMETERS["pool_size"].get_default()

    @property
    def pool_sizes(self) -> tuple[int, ...] | None:
        """Return the sizes of pools that a sweep sets against each other; None in a report."""
        return None if self.kind == "report" else self.sizes

    @property
    def size_parameter(self) -> Literal["pool_size", "pool_sizes"]:
        """Return the parameter that decides the sizes of its pools."""
        return "pool_size" if self.kind == "report" else "pool_sizes"

    @property
    def parameters(self) -> list[str]:
        """Return the names of what can be chosen in a study of this kind."""
        return [name for name in PARAMETERS if name not in UNUSED[self.kind]]

    @property
    def only_functions(self) -> bool:
        """Return whether all its clients are functions, which take any items."""
        return bool(self.clients) and all(map(is_function, self.clients))

    @property
    def at_grid(self) -> tuple[ClientName, ...]:
        """Return the browsers that a Selenium Grid has."""
        return tuple(name for name in self.clients if self.grid and name in AT_GRID)

    @property
    def is_elsewhere(self) -> bool:
        """Return whether workers or browsers may be on other machines."""
        return self.scheduler is not None or self.grid is not None

    @property
    def has_controls(self) -> bool:
        """Return whether its rounds have control trials: those of the article's claims."""
        return self.kind == "report" and not self.only_functions

    def repeats_of(self, client: ClientName) -> int:
        """Return how often each pool of a client is measured in a round."""
        return self.repeats or (BROWSER_REPEATS if client in BROWSERS else 1)

    def default(self, name: str) -> Any:
        """Return the value of a parameter that nobody chose, in a study of this kind."""
        if name in DEFAULTS[self.kind]:
            return DEFAULTS[self.kind][name]
        if name == "rounds" and self.precision is not None:
            return MOST_LOOKED
        if name == "clients" and self.source == "embedded":
            return default_clients()
        return PARAMETERS[name].default

    def chunk(self) -> int | None:
        """Return the pages to hand to a worker at a time; None is the library's choice."""
        return self.chunk_size if self.kind == "report" else SWEEP_CHUNK_SIZE

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
        design = {name: value for name, value in self.differences().items() if name != "rounds"}
        return self.run or self._named_after(design)

    def name_before(self) -> str:
        """Return the name that the run had when the number of rounds was a part of it."""
        return self.run or self._named_after(self.differences())

    def _named_after(self, design: Mapping[str, Any]) -> str:
        name = "_".join(self._described("{}-{}", as_folder_name, design)) or "default"
        if len(name) <= LONGEST_NAME:
            return name
        return f"{name[: LONGEST_NAME - 9].rstrip('-_')}-{short_digest(name)}"

    def in_short(self) -> str:
        """Return what differs from the default, in words."""
        return ", ".join(self._described("{} {}", as_words, self.differences())) or "default"

    def _described(
        self, form: str, words: Callable[[Any], str], values: Mapping[str, Any]
    ) -> list[str]:
        own = [form.format(name, words(value)) for name, value in values.items()]
        return own if self.kind == "report" else [self.kind, *own]

    def differences(self) -> dict[str, Any]:
        """Return what is not the default and tells one study from another."""
        return {
            name: value
            for name, value in self.written().model_dump().items()
            if name not in ("run", "contact") and value != self.default(name)
        }

    def joined_to(self, own: "Study") -> "Study":
        """Return the study of a run that exists, with more rounds if this one asks for them.

        Raises `UserError` for any other value that was given and is not the run's own.
        """
        if self.kind != own.kind:
            is_what = f"no {self.kind}" if own.kind == "report" else f"a {own.kind}"
            raise UserError(f"run: {self.run_name()} is {is_what}; it goes with make {own.kind}")
        as_own = self.model_copy(update={"keep_query": own.keep_query}).written()
        asked, had = {**self.model_dump(), "source": as_own.source}, own.written().model_dump()
        given = {self.size_parameter if n == "sizes" else n for n in self.model_fields_set}
        for name in (name for name in self.parameters if name in given - {"run", "rounds"}):
            if asked[name] not in (had[name], ()):
                raise UserError(
                    f"{name}: {as_words(asked[name])} was asked for, but the run "
                    f"{self.run_name()} has {as_words(had[name])}; leave {name} out, "
                    "or name another run"
                )
        own_now = {name: getattr(self, name) for name in {"source", "rounds"} & given}
        if "rounds" in own_now:
            own_now["rounds"] = max(self.rounds, own.rounds)
        return own.model_copy(update=own_now)


def _of_a_sweep(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values without those that a sweep does not have; refuse any that was chosen."""
    given = {
        name: as_words(none_if_empty(values[name])) for name in UNUSED["sweep"] if name in values
    }
    own = f"has no use in a sweep, which has pool_sizes and chunks of {SWEEP_CHUNK_SIZE}"
    if chosen := [name for name in given if given[name] != as_words(PARAMETERS[name].default)]:
        raise UserError("; ".join(f"{name}: {given[name]} {own}" for name in chosen))
    return {name: value for name, value in values.items() if name not in UNUSED["sweep"]}


_SIZE = Field(10, ge=1, le=500, description="workers that a pool has")
_SIZES = Field(None, description="sizes of pools that a sweep sets against each other")

PARAMETERS = {
    "pool_size": FieldInfo.from_annotated_attribute(int, _SIZE),
    "pool_sizes": FieldInfo.from_annotated_attribute(PoolSizes, _SIZES),
    **{name: field for name, field in Study.model_fields.items() if name not in ("kind", "sizes")},
}
"""The parameters by the names that users know, in the order in which they are shown."""


def _kind_of_sizes(values: Mapping[str, Any]) -> Kind:
    modes = listed(values.get("modes", SWEEP["modes"])) or ["serial"]
    return "sweep" if "serial" in modes else "crossover"


def _no_sweep(modes: Sequence[Mode]) -> str:
    return (
        f"modes: {as_words(modes)} is not serial and one mode or more of {as_words(MODES[1:])}, "
        "which a sweep compares"
    )


def sweep_of(parameters: Mapping[str, Any]) -> Study:
    """Return the sweep that `parameters` describe; raises `UserError` for what is not right."""
    study = Study.of({**SWEEP, **parameters})
    if study.kind == "report":
        raise UserError(f"pool_sizes: none is not {expected(PARAMETERS['pool_sizes'])}")
    if study.kind == "crossover":
        raise UserError(_no_sweep(study.modes))
    return study.given(parameters)


def crossover_of(parameters: Mapping[str, Any]) -> Study:
    """Return the crossover that `parameters` describe; raises `UserError` for what is not right."""
    return Study.of({**SWEEP, **CROSSOVER, **parameters}).given(parameters)


def from_notebook(namespace: Mapping[str, Any], kind: Kind | None = None) -> Study:
    """Return the study that a notebook's parameters describe; refuse unknown ones of papermill.

    papermill only warns of a parameter that the notebook does not have, so the names that its
    cell (marked "# Parameters") sets are checked. These names, and the parameters edited in the
    notebook's own cell, count as given.
    """
    injected = [cell for cell in namespace.get("In", ()) if cell.startswith("# Parameters\n")]
    nodes = chain.from_iterable(ast.walk(ast.parse(cell)) for cell in injected)
    assigned = (node for node in nodes if isinstance(node, ast.Name))
    names = {node.id for node in assigned if isinstance(node.ctx, ast.Store)}
    known = {*PARAMETERS, *names}
    parameters = {name: value for name, value in namespace.items() if name in known}
    kind = kind or ("sweep" if "pool_sizes" in parameters else "report")
    study = {"report": Study.of, "sweep": sweep_of, "crossover": crossover_of}[kind](parameters)
    return study.given({*names, *study.differences()})


def _message(error: ValidationError) -> str:
    """Return what is wrong with each parameter, in one line."""
    wrong: dict[str, list[str]] = {}
    for one in error.errors():
        name, value = str(one["loc"][0]), as_words(one["input"])
        if name in wrong and one["type"] == "too_short":  # since its items are wrong
            continue
        wrong.setdefault(name, []).append(redacted(value) if name == "source" else value)
    return "; ".join(
        f"{name}: {' '.join(values)} is not {expected(PARAMETERS[name])}"
        for name, values in wrong.items()
    )
