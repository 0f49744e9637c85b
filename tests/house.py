"""The laws of the house as data, and the reader of sources that holds modules against them.

`breaches` takes sources as text, so that the laws can be tested on made-up modules. It reads, it never imports: what
stands under `TYPE_CHECKING` or inside a function counts like any other import.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_LINES = 400
LONG_BECAUSE = "Long because:"

# What a room needs to define values. The codecs (msgspec.json, Decoder …) are engine.model's alone.
VALUE_TYPES = tuple(f"msgspec.{name}" for name in ("Struct", "Meta", "Raw", "UNSET", "UnsetType", "field", "structs"))
# Now, chance and the world outside are arguments of a pure room.
IMPURE = ("time", "random", "secrets", "logging", "asyncio", "socket", "subprocess", "uuid.uuid1", "uuid.uuid4")
IMPURE_CALLS = ("uuid.uuid1", "uuid.uuid4", "os.urandom", "datetime.now", "datetime.utcnow", "date.today")
# One loop, one JSON, and nothing that runs what it reads.
NEVER_IN_ENGINE = ("asyncio", "json", "pickle")


@dataclass(frozen=True)
class Row:
    """One room: what it may import beside the standard library, its own modules and what `EVERYONE` may."""

    rooms: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    pure: bool = False


EVERYONE = ("engine.errors", "engine.clock")  # Of the clock, Protocols only.
STORE_PURE = tuple(f"engine.store.{name}" for name in ("port", "keys", "layout", "checks", "writes", "memory"))
LOGIC = ("engine.model", "engine.identity", "engine.session", "engine.query", "engine.definitions", "engine.scenario")
# Actors build keys and values of the store themselves: both are pure, and neither knows LMDB.
STORE_SEEN = tuple(f"engine.store.{name}" for name in ("port", "keys", "layout"))
ACTORS_SEE = (*LOGIC, "engine.pipeline", *STORE_SEEN, "engine.settings", "engine.observe", "engine.rates")

# A module belongs to the row with the longest name that it is in. A room without a row is a breach.
TABLE: dict[str, Row] = {
    "engine.errors": Row(pure=True),
    "engine.clock": Row(libraries=("trio",)),
    "engine.settings": Row(rooms=("engine.model",), libraries=("msgspec",)),
    "engine.rates": Row(pure=True),
    "engine.observe": Row(
        rooms=("engine.model", "engine.settings"), libraries=("structlog", "prometheus_client", "trio", *VALUE_TYPES)
    ),
    "engine.model": Row(libraries=("msgspec",), pure=True),
    "engine.identity": Row(rooms=("engine.model",), libraries=VALUE_TYPES, pure=True),
    "engine.session": Row(rooms=("engine.model",), libraries=("publicsuffixlist", *VALUE_TYPES), pure=True),
    "engine.query": Row(rooms=("engine.model",), libraries=VALUE_TYPES, pure=True),
    # Expressions of strangers in linear time; a backtracking engine can be made to hang.
    "engine.query.pattern": Row(rooms=("engine.query",), libraries=("re2",), pure=True),
    "engine.definitions": Row(rooms=("engine.model", "engine.query"), libraries=VALUE_TYPES, pure=True),
    # What it compiles is what definitions declare.
    "engine.scenario": Row(
        rooms=("engine.model", "engine.query", "engine.definitions"), libraries=VALUE_TYPES, pure=True
    ),
    "engine.pipeline": Row(rooms=LOGIC, libraries=("re2", *VALUE_TYPES), pure=True),
    **{name: Row(rooms=("engine.model", *STORE_PURE), libraries=VALUE_TYPES, pure=True) for name in STORE_PURE},
    "engine.store.layout": Row(rooms=("engine.model", *STORE_PURE), libraries=("msgspec",), pure=True),
    "engine.store": Row(rooms=("engine.model", "engine.settings", "engine.observe"), libraries=("lmdb", *VALUE_TYPES)),
    "engine.actors": Row(rooms=ACTORS_SEE, libraries=("trio", "httpx", *VALUE_TYPES)),
    # Plugins are called hundreds of times a second, httpx manages a hundred.
    "engine.actors.analysts.http_client": Row(rooms=("engine.actors.analysts.calls",), libraries=("trio", "httptools")),
    # A script of a process of its own, where there is no engine.
    "engine.actors.analysts.child": Row(libraries=("msgspec",)),
    "engine.jobs": Row(rooms=ACTORS_SEE, libraries=("trio", "httpx", *VALUE_TYPES)),
    **{
        name: Row(rooms=("engine.*",), libraries=("trio", *VALUE_TYPES))
        for name in (
            *("engine.explain", "engine.explaining"),
            *("engine.facade", "engine.gauges", "engine.known", "engine.reader", "engine.selector", "engine.start"),
            *("engine.applying", "engine.declared", "engine.declaring", "engine.live"),
            *("engine.lookups", "engine.planning", "engine.programs", "engine.stored_query"),
            "engine.vocabulary",
        )
    },
    "engine.engine": Row(rooms=("engine.*",), libraries=("trio", *VALUE_TYPES)),
    "engine": Row(rooms=("engine.*",)),
    "gateway": Row(
        rooms=("engine",),
        libraries=(
            *("trio", "msgspec", "httptools", "quart", "quart_trio", "hypercorn", "werkzeug"),
            *("httpx", "cyclopts", "rich", "structlog", "prometheus_client", "maxminddb", "backports", "compression"),
        ),
    ),
}
MAY_BUILD_CLOCKS = ("engine", "engine.applying", "engine.engine", "engine.explain", "engine.reader", "engine.clock")
# Of the modules of engine.pipeline, all may import the first and the second may import all; any other is a step.
PIPELINE_SHARED, PIPELINE_CHAIN = ("stage", "documents"), "chain"


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: str
    source: str

    @property
    def is_package(self) -> bool:
        return PurePosixPath(self.path).name == "__init__.py"

    @property
    def name(self) -> str:
        path = PurePosixPath(self.path)
        return ".".join((path.parent if self.is_package else path.with_suffix("")).parts)


@dataclass(frozen=True)
class Import:
    """`target` is the module, or `module.name` where what is imported is no module of ours; `name` what it binds."""

    line: int
    target: str
    name: str


def breaches(sources: Mapping[str, str]) -> list[str]:
    """Every breach of a law in `sources` (path → text), as `path:line: what`."""
    modules = [Module(path, source) for path, source in sorted(sources.items())]
    names = {module.name for module in modules}
    clock = next((module for module in modules if module.name == "engine.clock"), None)
    protocols = _protocols(ast.parse(clock.source)) if clock else set()
    found: list[str] = []
    for module in modules:
        tree = ast.parse(module.source, module.path)
        if module.name.split(".")[0] in ("engine", "gateway"):
            found += (
                f"{module.path}:{line}: {what}" for line, what in _import_breaches(module, tree, names, protocols)
            )
            found += (f"{module.path}:{line}: {what}" for line, what in _docstring_breaches(tree))
        found += (f"{module.path}:{line}: {what}" for line, what in _form_breaches(module, tree))
    return found


def _import_breaches(
    module: Module, tree: ast.Module, names: set[str], protocols: set[str]
) -> Iterator[tuple[int, str]]:
    room = _room_of(module.name)
    if room is None:
        yield 1, f"no row for {module.name} in the table of tests/house.py"
        return
    row = TABLE[room]
    for found in _imports(module, tree, names):
        top = found.target.split(".")[0]
        if top in ("engine", "gateway"):
            if not (_within(found.target, room, *row.rooms) or _seen_by_everyone(found.target, room)):
                yield found.line, f"{room} may not import {found.target}"
            elif found.target == "engine.clock" and room not in MAY_BUILD_CLOCKS and found.name not in protocols:
                yield found.line, f"{room} may import the Protocols of engine.clock, not {found.name or 'all of it'}"
            elif steps := _steps(module.name, found.target):
                yield found.line, f"step {steps[0]} may not import {steps[1]}"
        elif top not in sys.stdlib_module_names:
            if not _within(found.target, *row.libraries):
                yield found.line, f"{room} may not import {found.target}"
        elif (row.pure and _within(found.target, *IMPURE)) or (
            room != "gateway" and _within(found.target, *NEVER_IN_ENGINE)
        ):
            yield found.line, f"{room} may not import {found.target}"
    if row.pure:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and f".{ast.unparse(node)}".endswith(
                tuple(f".{call}" for call in IMPURE_CALLS)
            ):
                yield node.lineno, f"{room} may not use {ast.unparse(node)}"


def _imports(module: Module, tree: ast.Module, names: set[str]) -> Iterator[Import]:
    package = module.name.split(".") if module.is_package else module.name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            ours = source.split(".")[0] in ("engine", "gateway")
            for alias in node.names:
                dotted = f"{source}.{alias.name}"
                yield Import(node.lineno, dotted if dotted in names or not ours else source, alias.name)


def _within(target: str, *allowed: str) -> bool:
    """Whether `target` is one of `allowed` or inside it. The root `engine` is itself only, `engine.*` all of it."""
    return any(
        target == name or (name != "engine" and target.startswith(name.removesuffix("*").rstrip(".") + "."))
        for name in allowed
    )


def _seen_by_everyone(target: str, room: str) -> bool:
    return target in EVERYONE and room not in ("gateway", *EVERYONE)


def _room_of(name: str) -> str | None:
    rooms = [room for room in TABLE if _within(name, room)]
    return max(rooms, key=len, default=None)


def _steps(name: str, target: str) -> tuple[str, str] | None:
    """The two modules when one step of the chain imports another, or the chain."""
    if not (_within(name, "engine.pipeline") and _within(target, "engine.pipeline")):
        return None
    importer, imported = ([*dotted.split("."), ""][2] for dotted in (name, target))
    if importer in ("", PIPELINE_CHAIN) or imported in ("", importer, *PIPELINE_SHARED):
        return None
    return importer, imported


def _protocols(tree: ast.Module) -> set[str]:
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("Protocol") for base in node.bases)
    }


def _docstring_breaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in tree.body:
        if (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
            and not ast.get_docstring(node)
        ):
            yield node.lineno, f"{node.name} has no docstring"


def _form_breaches(module: Module, tree: ast.Module) -> Iterator[tuple[int, str]]:
    docstring = ast.get_docstring(tree) or ""
    if not docstring:
        yield 1, "the module has no docstring"
    lines = len(module.source.splitlines())
    if lines > MAX_LINES and not any(line.startswith(LONG_BECAUSE) for line in docstring.splitlines()):
        yield 1, f"{lines} lines are more than {MAX_LINES}, and no line of the docstring begins {LONG_BECAUSE!r}"
