"""A hash of the package's own code that a calibration runs: of what is computed, not of its wording.

A stored calibration is valid as long as the code that made it computes the same. Therefore the hash is of definitions, not of
files: of the engine's `one`, of the model, and of every function, class and constant whose name these use, in whatever module; of a
class only the methods whose names are used, or that are called without their names. Definitions are written as syntax trees without
layout, comments, annotations of functions, messages and sentences (texts with a blank), and with numbers for local variables and
private names. `designs`, `trial` and the checks of data are not followed: they make or reject data, and a correct posterior is
correct for any data.
"""

from __future__ import annotations

import ast
from abc import ABC
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from .._check import Checked
from ..blocks.fingerprint import fingerprint, package_hash
from .engines import Engine, Model

__all__ = ["reached", "source_hash", "texts"]

PACKAGE = Path(__file__).parents[1]
# Modules whose definitions are followed.
FOLLOWED = ("calibration/engines", "models", "posterior")
# Fields of a node that do not affect what is computed.
IDLE = {"annotation", "ctx", "msg", "returns", "type_comment"}


def source_hash(kind: type[Engine], model: Model) -> str:
    """Return the hash of the code of a model and an engine.

    If a class is external, the hash is of all code of this package on which a result can depend, and of the compiled code of
    that class and the code that it reaches.

    Raises
    ------
    UnknownError
        If an external class reaches an object without a hash.
    """
    classes = [base for top in (kind, type(model)) for base in top.__mro__ if base not in (ABC, *Checked.__mro__)]
    own = [base for base in classes if not base.__module__.startswith("dosefind.")]
    if own:
        return sha256(repr([package_hash(), *map(fingerprint, own)]).encode()).hexdigest()
    return _shipped(kind.__name__, type(model).__name__)


@cache
def _shipped(*classes: str) -> str:
    return sha256(repr([text for _, text in reached(classes, texts())]).encode()).hexdigest()


def texts() -> dict[str, str]:
    """Return the text of each module that is followed, by its name in the package."""
    files = [path for part in FOLLOWED for path in (*PACKAGE.glob(f"{part}.py"), *sorted((PACKAGE / part).glob("**/*.py")))]
    places = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in files}
    return {".".join(place).removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, place in places.items()}


def reached(classes: Iterable[str], texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the definitions that an engine and a model reach: the place of each, and what it computes.

    Parameters
    ----------
    classes
        Names of their classes.
    texts
        Text of each module by its name.
    """
    modules = [_read(*module) for module in texts.items()]
    writer = _Writer({name for _, private in modules for name in private}, [*classes, ".one"])
    by_name: dict[str, list[_Definition]] = defaultdict(list)
    for definition in (definition for definitions, _ in modules for definition in definitions):
        for name in definition.names:
            by_name[name].append(definition)
    found: dict[_Definition, str] = {}
    while new := [each for name in writer.used for each in by_name[name] if each not in found and each.owner in writer.used]:
        for definition in new:
            found[definition] = writer.definition(definition)
    if objects := writer.used.keys() & {module.rpartition(".")[2] for module in texts}:
        raise NotImplementedError(f"{objects.pop()}: import names from a module, whose attributes are not followed")
    return [(definition.place, text) for definition, text in found.items()]


@dataclass(frozen=True, eq=False)
class _Definition:
    """A statement of a module, without methods if it is a class, or a method."""

    place: str
    node: ast.AST
    # Names by which it is reached, those of attributes after a dot.
    names: Iterable[str]
    # Names of its module, each as it is written.
    known: Mapping[str, str]
    owner: str = ".one"


@lru_cache(maxsize=64)
def _read(module: str, text: str) -> tuple[list[_Definition], set[str]]:
    """Return the definitions of a module, and its private names."""
    tree = ast.parse(text)
    names = {name for node in ast.walk(tree) for name in _stored(node)}
    return list(_definitions(module, tree.body)), {name for name in names if name.startswith("_") and not name.endswith("__")}


def _definitions(module: str, body: list[ast.stmt]) -> Iterator[_Definition]:
    """Yield the definitions of a module; a statement that defines no name is reached with any of them."""
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    others = [node for node in body if node not in imports and not _is_idle(node)]
    known = {name: text for node in (*imports, *others) for name, text in _names(node).items()}
    for node in others:
        if isinstance(node, ast.ClassDef):
            fields: list[ast.stmt] = []
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    called = part.name.startswith("__") or any(isinstance(by, ast.Call) for by in part.decorator_list)
                    names = [node.name if called else f".{part.name}"]
                    yield _Definition(f"{module}:{node.name}.{part.name}", part, names, known, node.name)
                elif isinstance(part, ast.AnnAssign) and not ast.unparse(part.annotation).startswith("ClassVar"):
                    # Annotations of fields can compute, as those of pydantic do.
                    fields += [ast.Expr(part.annotation), part]
                else:
                    fields.append(part)
            head = ast.ClassDef(node.name, node.bases, node.keywords, fields, node.decorator_list, node.type_params)
            yield _Definition(f"{module}:{node.name}", head, [node.name], known)
        else:
            names = list(_names(node))
            always = [name for other in others for name in _names(other)]
            yield _Definition(f"{module}:{', '.join(names)}", node, names or always, known)


def _names(node: ast.stmt) -> dict[str, str]:
    """Return the names that a statement of a module defines; for those imported from elsewhere, their origin."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        source = f"{node.module}." if isinstance(node, ast.ImportFrom) and not node.level else ""
        return {name: f"{source}{alias.name}" for alias in node.names for name in _stored(alias)}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name: node.name}
    targets = [getattr(node, field, []) for field in ("targets", "target", "name")]
    parts = [part for target in targets for part in (target if isinstance(target, list) else [target])]
    return {name: name for part in parts for inner in ast.walk(part) for name in _stored(inner)}


def _stored(node: ast.AST) -> Iterator[str]:
    """Yield the name that a part of a syntax tree stores, if it does."""
    if isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.Name | ast.Attribute):
        if isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr
    elif isinstance(name := getattr(node, "name", None), str):
        yield name


def _is_idle(node: Any) -> bool:
    """Return whether a statement does nothing when the code runs: a docstring, or imports for types."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Writer:
    """Writes definitions as tuples that are the same in every version of Python, and notes the names that they use."""

    def __init__(self, private: set[str], used: Iterable[str]) -> None:
        self.private, self.used = private, dict.fromkeys(used)
        self.numbers: dict[str, int] = {}

    def definition(self, definition: _Definition) -> str:
        _, *nodes = ast.walk(definition.node)
        names = dict.fromkeys(name for node in nodes if not isinstance(node, ast.Attribute) for name in _stored(node))
        # Fields of a class are used by their names, and so may parameters be.
        has_fields = any(isinstance(node, ast.ClassDef) for node in (definition.node, *nodes))
        local = {name: name if has_fields else f"local {number}" for number, name in enumerate(names)}
        local |= {node.arg: node.arg for node in nodes if isinstance(node, ast.arg)}
        self.known = definition.known
        self.local = {name: text for name, text in local.items() if name not in self.known}
        return repr(self.written(definition.node))

    def use(self, name: str, before: str = "") -> str:
        """Return the text for a name that is used: the number of a private one."""
        self.used[before + name] = None
        return f"private {self.numbers.setdefault(name, len(self.numbers))}" if name in self.private else name

    def written(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.written(part) for part in node if not _is_idle(part)]
        if isinstance(node, str):
            return self.use(node, ".")
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Name):
            return self.local.get(node.id) or self.use(self.known.get(node.id, node.id))
        if isinstance(node, ast.Attribute):
            return self.written(node.value), self.use(node.attr, ".")
        if isinstance(node, ast.keyword):
            return node.arg, self.written(node.value)
        if isinstance(node, ast.alias):
            return self.use(node.name), [self.local.get(name) for name in _stored(node)]
        if isinstance(node, ast.Constant | ast.JoinedStr):
            texts = [part.value for part in getattr(node, "values", [node]) if isinstance(part, ast.Constant)]
            if any(isinstance(text, str) and " " in text for text in texts):
                return "sentence"
        if isinstance(node, ast.Constant):
            is_name = isinstance(node.value, str) and node.value.isidentifier()
            return "constant", self.use(str(node.value), ".") if is_name else repr(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "marked"):
            # A sentence marked for translation is the sentence.
            return self.written(node.args[0])
        if isinstance(node, ast.AnnAssign):
            return self.written(ast.Assign([node.target], node.value or ast.Constant(None)))
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            return "raise", self.written(node.exc.func)
        fields = {name: value for name, value in ast.iter_fields(node) if name not in IDLE and value not in (None, [])}
        for name, value in fields.items():
            is_name = isinstance(value, str)
            fields[name] = self.local.get(value) or self.use(value, "def ") if is_name else self.written(value)
        return type(node).__name__, fields
