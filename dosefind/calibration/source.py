"""A hash of the package's own code that a calibration runs: of what is computed, not of its wording.

A stored calibration is valid as long as the code that made it computes the same. Therefore the hash is of definitions, not of
files: of the engine's `one`, of the model, and of every function, class, constant and import that these reach. A name is followed
to its definition. The class of an attribute is unknown, so all methods and class attributes of its name are reached, in every
class, and so are all methods of a class whose base is unknown here.

Layout, comments, docstrings, annotations without effect, error messages, descriptions of settings and names of private functions
are ignored. So is code that no engine reaches, such as the sentences about a curve, and code that only rejects settings, because
those of a stored result are accepted. `designs`, `trial` and the checks of data are not followed: they make or reject data, and a
correct posterior is correct for any data.
"""

from __future__ import annotations

import ast
from abc import ABC
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from .._check import Checked
from ..blocks.fingerprint import fingerprint, package_hash
from .engines import Engine, Model

__all__ = ["Reached", "reached", "source_hash", "texts"]

PACKAGE = Path(__file__).parents[1]
# Modules whose definitions are followed.
FOLLOWED = ("calibration/engines", "models", "posterior")
# Names called from outside the modules that are followed.
FIRST = ("one",)
# Bases that call no method of a class by a name of its own.
_PLAIN_BASES = {"ABC", "Checked", "NamedTuple", "Protocol", "Shown", "object"}
# Decorators after which a method is called by its name only.
_PLAIN_DECORATORS = {"abstractmethod", "cached_property", "classmethod", "one_thread", "override", "property", "staticmethod"}
# Statements that do nothing besides defining names.
_DEFINING = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.TypeAlias)
# Arguments that are text.
_WORDS = {"description"}

# Fields of a node that do not affect what is computed.
_IDLE = {(ast.FunctionDef, "returns"), (ast.AsyncFunctionDef, "returns"), (ast.arg, "annotation"), (ast.Assert, "msg")}

type Key = tuple[str, ...]
"""A definition: module and name; for a member, module, class and name. An external import: three words, the first empty."""


@dataclass(frozen=True)
class Reached:
    """The code that is reached.

    Attributes
    ----------
    definitions
        Definitions in the order in which they are reached, such as ``"posterior.exact:ExactFit.expect"``.
    checks
        Methods of these classes that only reject settings, which the hash excludes.
    hash
        Hash of what they compute.
    """

    definitions: tuple[str, ...]
    checks: tuple[str, ...]
    hash: str


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
    return _shipped(*(f"{top.__module__.partition('.')[2]}:{top.__qualname__}" for top in (kind, type(model))))


@cache
def _shipped(*classes: str) -> str:
    return reached(classes, FIRST, texts()).hash


def texts() -> dict[str, str]:
    """Return the text of each module that is followed, by its name in the package."""
    files = [path for part in FOLLOWED for path in (*PACKAGE.glob(f"{part}.py"), *sorted((PACKAGE / part).glob("**/*.py")))]
    places = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in files}
    return {".".join(place).removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, place in places.items()}


def reached(classes: Iterable[str], first: Iterable[str], texts: Mapping[str, str]) -> Reached:
    """Return the code that some classes reach if their attributes ``first`` are used.

    Parameters
    ----------
    classes
        Module and name of each class, such as ``"models.power:Power"``.
    first
        Names of attributes.
    texts
        Text of each module by its name.
    """
    walk = _Walk(texts)
    for name in classes:
        walk.name(*name.split(":"))
    for name in first:
        walk.attribute(name)
    parts = [repr(walk.written(key)) for key in walk.each()]
    return Reached(_shown(walk.met), _shown(walk.checks), sha256("\n".join(parts).encode()).hexdigest())


def _shown(keys: Iterable[Key]) -> tuple[str, ...]:
    return tuple(f"{key[0]}:{'.'.join(key[1:])}" for key in keys if key[0] and key[-1])


class _Walk:
    """A traversal of definitions, written as nested tuples that are the same in every version of Python."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        read = {name: _read(text) for name, text in texts.items()}
        self.bound = {name: bound for name, (bound, _) in read.items()}
        self.private = set().union(*(private for _, private in read.values()))
        self.packages = {name for name in texts if any(other.startswith(f"{name}.") for other in texts)}
        self.met: dict[Key, None] = {}
        self.checks: dict[Key, None] = {}
        self.waiting: deque[Key] = deque()
        self.attributes: dict[str, None] = {}
        # Members of each class that is reached, by class and name.
        self.members: dict[Key, dict[str, list[ast.stmt]]] = {}
        self.tokens: dict[Key, str] = {}

    def each(self) -> Iterator[Key]:
        """Yield each definition once; writing one adds the definitions that it reaches."""
        while self.waiting:
            yield self.waiting.popleft()

    def add(self, key: Key) -> None:
        """Add a definition, and the statements of its module that do more than define names."""
        for definition in (key, (key[0], "")):
            if definition not in self.met and definition[-1] in (key[-1], *self.bound.get(definition[0], ())):
                self.met[definition] = None
                self.waiting.append(definition)

    def name(self, module: str, name: str) -> Key | None:
        """Add the definition of a name used in a module, unless it is local or built in."""
        key = self.resolved(module, name)
        if key is not None:
            self.add(key)
        return key

    def attribute(self, name: str) -> None:
        """Add the members of this name of all classes, including those reached later."""
        if name not in self.attributes:
            self.attributes[name] = None
            for owner, members in self.members.items():
                if name in members:
                    self.add((*owner, name))

    def resolved(self, module: str, name: str) -> Key | None:
        """Return the definition of a name in a module, followed through imports."""
        statements = self.bound[module].get(name)
        if statements is None:
            return None
        last = statements[-1]
        if isinstance(last, ast.Import):
            return "", next(node.name for node in last.names if name in (node.asname, node.name)), ""
        if not isinstance(last, ast.ImportFrom):
            return module, name
        original = next(node.name for node in last.names if name in (node.asname, node.name))
        if not last.level:
            return "", last.module or "", original
        above = module.split(".")[: len(module.split(".")) - last.level + (module in self.packages)]
        source = ".".join([*above, *(last.module or "").split(".")]).strip(".")
        if f"{source}.{original}".strip(".") in self.bound:
            raise NotImplementedError(f"the module {source}.{original} as an object, in {module}: import names from it")
        return self.resolved(source, original) if source in self.bound else ("", "dosefind", original)

    def written(self, key: Key) -> Any:
        """Write one definition, and add the definitions that it reaches."""
        if not key[0]:
            return key
        module, name = key[0], key[-1]
        if len(key) == 3:
            return tuple(self.plain(node, module, name=self.token(name)) for node in self.members[key[:2]][name])
        kept = []
        for node in self.bound[module][name]:
            if isinstance(node, ast.ClassDef):
                kept.append(self.a_class(node, module))
            else:
                kept.append(self.plain(node, module, name=self.token(name, key)))
        return tuple(kept)

    def a_class(self, node: ast.ClassDef, module: str) -> Any:
        """Write a class without its members, and add the members that are reached."""
        key = module, node.name
        bases = [self.resolved(module, base.id) if isinstance(base, ast.Name) else None for base in node.bases]
        known = all(base is not None and (base[0] in self.bound or base[-1] in _PLAIN_BASES) for base in bases)
        members: dict[str, list[ast.stmt]] = {}
        fields, always = [], []
        for statement in node.body:
            name = _member(statement)
            if _only_checks(statement):
                self.checks[*key, str(name)] = None
            elif name is None:
                fields.append(statement)
            else:
                members.setdefault(name, []).append(statement)
                always += [name] * (not known or _is_called(statement))
        self.members[key] = members
        for name in (*always, *(name for name in self.attributes if name in members)):
            self.add((*key, name))
        head = [*node.decorator_list, *node.bases, *node.keywords]
        token = self.token(node.name, key)
        return "class", token, [self.plain(part, module) for part in head], self.body(fields, module, annotated=True)

    def body(self, statements: Iterable[ast.stmt], module: str, annotated: bool = False) -> Any:
        kept = [self.plain(node, module, annotated=annotated) for node in statements if not _is_idle(node)]
        return tuple(node for node in kept if node is not None)

    def plain(self, node: Any, module: str, *, name: str | None = None, annotated: bool = False) -> Any:
        """Write a part of a syntax tree, and add the definitions that it reaches.

        Parameters
        ----------
        node
            The part.
        module
            Module in which it is.
        name
            Name to write for a definition, if it is not its own.
        annotated
            Whether annotations are included, as in a class.
        """
        if isinstance(node, list):
            return self.body(node, module) if node and isinstance(node[0], ast.stmt) else tuple(self.plain(n, module) for n in node)
        if isinstance(node, str):
            return self.token(node)
        if not isinstance(node, ast.AST):
            return repr(node)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node.value.isidentifier():
                self.attribute(node.value)
            return "Constant", repr(node.value)
        if isinstance(node, ast.Name):
            key = self.name(module, node.id)
            return "Name", self.token(node.id) if key is None else self.token(key[-1] or key[1], key)
        if isinstance(node, ast.Attribute):
            self.attribute(node.attr)
        if isinstance(node, ast.MatchClass):
            for attribute in node.kwd_attrs:
                self.attribute(attribute)
        if isinstance(node, ast.AnnAssign) and not annotated:
            if node.value is None:
                return None
            node = ast.Assign([node.target], node.value)
        if isinstance(node, ast.ClassDef):
            head = [self.plain(part, module) for part in (*node.decorator_list, *node.bases, *node.keywords)]
            return "class", self.token(node.name), head, self.body(node.body, module, annotated=True)
        fields = {"name": name} if name is not None and "name" in node._fields else {}
        parts = {field: value for field, value in _computing(node) if value not in (None, []) and field not in fields}
        return type(node).__name__, fields, *((field, self.plain(value, module)) for field, value in parts.items())

    def token(self, name: str, key: Key | None = None) -> str:
        """Return the text written for a name; for a private name, its number."""
        if name not in self.private:
            return name
        return self.tokens.setdefault((name,) if key is None else key, f"private {len(self.tokens)}")


@lru_cache(maxsize=64)
def _read(text: str) -> tuple[dict[str, list[ast.stmt]], frozenset[str]]:
    """Return the statements of a module by the names that they define, and its private names."""
    tree = ast.parse(text)
    return _bound(tree.body), frozenset(name for name in _defined(tree) if _is_private(name))


def _bound(body: Iterable[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module by the names that they define."""
    found: dict[str, list[ast.stmt]] = {}
    for node in body:
        if not _is_idle(node):
            names = dict.fromkeys(_names(node)) if isinstance(node, _DEFINING) else {"": None, **dict.fromkeys(_names(node))}
            for name in names:
                found.setdefault(name, []).append(node)
    return found


def _names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement defines."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (node.asname or node.name for node in statement.names)
    else:
        # The variables of a comprehension are its own.
        simple = isinstance(statement, (ast.Assign, ast.AnnAssign, ast.TypeAlias))
        parts = [part for field, part in ast.iter_fields(statement) if not simple or field in ("targets", "target", "name")]
        for node in (node for part in parts for each in (part if isinstance(part, list) else [part]) for node in _walked(each)):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
                yield from _names(node)


def _walked(part: Any) -> Iterator[ast.AST]:
    return ast.walk(part) if isinstance(part, ast.AST) else iter(())


def _defined(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a module defines anywhere, including attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            yield from _names(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _member(statement: ast.stmt) -> str | None:
    """Return the name of a method or of a class variable, or ``None`` for a field."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        inner = [node.id for node in ast.walk(statement.annotation) if isinstance(node, ast.Name)]
        return statement.target.id if inner[:1] == ["ClassVar"] else None
    return None


def _is_called(statement: ast.stmt) -> bool:
    """Return whether a member is called other than by name: by the language, or by its decorators."""
    name = _member(statement) or ""
    decorators = getattr(statement, "decorator_list", [])
    return name.startswith("__") or any(not isinstance(node, ast.Name) or node.id not in _PLAIN_DECORATORS for node in decorators)


def _only_checks(statement: ast.stmt) -> bool:
    """Return whether a method is a validator that raises or returns the settings unchanged."""
    if not isinstance(statement, ast.FunctionDef):
        return False
    inside = [node for part in statement.body for node in ast.walk(part)]
    checked = statement.args.args[-1].arg if statement.args.args else ""
    validates = any(isinstance(node, ast.Call) and "validator" in ast.unparse(node.func) for node in statement.decorator_list)
    returned = [node.value for node in inside if isinstance(node, ast.Return)]
    stored = [node for node in inside if isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))]
    changes = any(not isinstance(node, ast.Name) or node.id == checked for node in stored)
    by_name = any(
        "setattr" in getattr(node, "attr", getattr(node, "id", ""))
        for node in inside
        if isinstance(node, (ast.Name, ast.Attribute))
    )
    as_given = all(isinstance(node, ast.Name) and node.id == checked for node in returned)
    return validates and bool(returned) and as_given and not changes and not by_name


def _is_idle(statement: ast.stmt) -> bool:
    """Return whether a statement does nothing when the code runs: a docstring, or imports for types."""
    if isinstance(statement, ast.If):
        return isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str)


def _computing(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a node that affect what is computed."""
    for field, value in ast.iter_fields(node):
        if isinstance(node, ast.Raise):
            # The error matters, its message does not.
            if field == "exc":
                yield field, value.func if isinstance(value, ast.Call) else value
        elif isinstance(node, ast.Call) and field == "keywords":
            yield field, [child for child in value if child.arg not in _WORDS]
        elif (type(node), field) not in _IDLE and field != "type_comment":
            yield field, value
