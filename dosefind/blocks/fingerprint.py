"""A hash of values and of all user code that they reach.

A stored result is valid as long as nothing on which it depends has changed. User code is hashed in its compiled form in memory,
which also exists without source (``python -c``, standard input, a notebook): bytecode, constants, defaults,
closures, and the functions, classes, constants and modules that it names, recursively. Code of Python, of dosefind and of installed
packages is identified by its name and by its file; versions are hashed elsewhere.

What code reads from files, the environment or a clock is not detected.
"""

from __future__ import annotations

import copyreg
import dis
import functools
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path
from types import BuiltinFunctionType, BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from pydantic import BaseModel

__all__ = ["UnknownError", "fingerprint", "is_own", "package_hash"]

PACKAGE = Path(__file__).resolve().parents[1]
# Rooms that show results, or call what makes them: no result of a block depends on them.
ABOVE = {"summaries.py", "validation", "tasks", "plots", "show", "cli.py", "__main__.py"}

# Entries that Python and pydantic add to the dictionary of a class; values of fields are part of an instance.
_NOTED = {
    *("__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__annotations__"),
    *("__abstractmethods__", "_abc_impl", "__signature__", "__class_vars__", "__private_attributes__", "__orig_bases__"),
    *("__parameters__", "__type_params__", "__dataclass_fields__", "__dataclass_params__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "__conditional_annotations__"),
}
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range)
_WRAPPERS = (staticmethod, classmethod, property, functools.cached_property, functools.partial, functools.partialmethod)
_NOT_OWN = {
    PACKAGE,
    *(Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "platstdlib")),
}
# With these, code runs text as code.
_BY_TEXT = {"eval", "exec", "__import__", "import_module", "run_path", "run_module"}


class UnknownError(Exception):
    """An object on which a result depends has no hash; the message names it."""


def fingerprint(*values: Any) -> str:
    """Return the hash of values and of the user code that they reach.

    Raises
    ------
    UnknownError
        If they reach an object without a hash, such as a lock or an open file.
    """
    walk = _Walk()
    try:
        walk.add(values)
    except RecursionError:
        raise UnknownError("values that are nested too deeply") from None
    return walk.hash.hexdigest()


@functools.cache
def package_hash() -> str:
    """Return the hash of the files of the package on which a result can depend, byte by byte."""
    places = {path.relative_to(PACKAGE): path for path in PACKAGE.glob("**/*.py")}
    return sha256(b"".join(places[place].read_bytes() for place in sorted(places) if place.parts[0] not in ABOVE)).hexdigest()


def is_own(module: str | None) -> bool:
    """Return whether a module is the user's: not of Python, dosefind or an installed package."""
    top = (module or "__main__").partition(".")[0]
    if top == "__main__":
        return True
    loaded = (sys.modules.get(name) for name in (module or "", top))
    files = (getattr(value, "__file__", None) for value in loaded)
    file = next((file for file in files if file), None)
    # Modules without a file are Python's own, or made by user code.
    return top not in {*sys.stdlib_module_names, *sys.builtin_module_names} if file is None else _is_own_file(file)


@functools.lru_cache(maxsize=4096)
def _is_own_file(file: str) -> bool:
    path = Path(file).resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return not (installed or _NOT_OWN & set(path.parents))


@functools.lru_cache(maxsize=1024)
def _file_hash(path: str, changed: float, size: int) -> str:
    return sha256(Path(path).read_bytes()).hexdigest()


class _Walk:
    """A traversal of everything that is reached; an object met again is identified by its position."""

    def __init__(self) -> None:
        self.hash = sha256()
        self.met: dict[int, int] = {}
        # So that no memory address is used twice.
        self.kept: list[Any] = []
        self.done: dict[int, set[str]] = {}

    def say(self, *words: str) -> None:
        for word in words:
            coded = word.encode("utf-8", "surrogatepass")
            self.hash.update(len(coded).to_bytes(8, "big") + coded)

    def add(self, value: Any) -> None:
        """Add one value."""
        if isinstance(value, _PLAIN):
            self.say(type(value).__name__, repr(value))
            # A subclass has its own code, as an enumeration has.
            if type(value) not in _PLAIN:
                self.add(type(value))
        elif type(value) is tuple:
            self.say("tuple", str(len(value)))
            for entry in value:
                self.add(entry)
        elif type(value) in (set, frozenset):
            self.say("set", *sorted(fingerprint(entry) for entry in value))
        elif isinstance(value, ModuleType):
            self.module(value, set())
        elif id(value) in self.met:
            self.say("met", str(self.met[id(value)]))
        else:
            self.met[id(value)] = len(self.met)
            self.kept.append(value)
            self.add_new(value)

    def add_new(self, value: Any) -> None:
        """Add a value that has not been met before."""
        kind: Any = type(value)
        if kind is list:
            self.say("list")
            self.add(tuple(value))
        elif kind is dict:
            self.say("dict")
            self.add(tuple(value.items()))
        elif kind is np.ndarray and value.dtype != object:
            self.say("array", str(value.dtype.descr), str(value.shape), np.ascontiguousarray(value).tobytes().hex())
        elif isinstance(value, CodeType):
            self.code(value)
        elif isinstance(value, FunctionType):
            self.function(value)
        elif isinstance(value, MethodType):
            self.say("method")
            self.add((value.__func__, value.__self__))
        elif isinstance(value, type):
            self.a_class(value)
        elif isinstance(value, _WRAPPERS):
            self.say(kind.__name__)
            names = ("__func__", "fget", "fset", "fdel", "func", "args", "keywords")
            self.add(tuple(getattr(value, name, None) for name in names))
        elif isinstance(value, BaseModel):
            self.say("settings")
            fields = {name: value.__dict__.get(name) for name in type(value).model_fields}
            self.add((kind, fields, value.__pydantic_extra__, value.__pydantic_private__))
        elif isinstance(getattr(value, "__wrapped__", None), FunctionType):
            # As by functools.lru_cache.
            self.say("wrapped", kind.__name__)
            self.add(value.__wrapped__)
        elif isinstance(value, BuiltinFunctionType | BuiltinMethodType):
            self.named(value)
            if not isinstance(value.__self__, ModuleType | None):
                self.add(value.__self__)
        elif isinstance(value, np.ufunc):
            self.say("ufunc", value.__name__)
        elif callable(value) and not is_own(getattr(value, "__module__", "")) and hasattr(value, "__qualname__"):
            self.named(value)
        elif kind.__name__ in ("member_descriptor", "getset_descriptor", "wrapper_descriptor", "method_descriptor"):
            self.say(kind.__name__, value.__qualname__)
        else:
            self.reduced(value)

    def named(self, value: Any) -> None:
        """Add code that is not the user's by its name, and by its file if that is neither Python's nor dosefind's."""
        module = getattr(value, "__module__", None) or "builtins"
        self.say("name", module, getattr(value, "__qualname__", ""))
        self.of_file(module)

    def of_file(self, module: str) -> None:
        """Add the content of a module's file, of a package that is neither Python's nor dosefind's."""
        top = module.partition(".")[0]
        file = getattr(sys.modules.get(module), "__file__", None)
        if top == "dosefind" or top in sys.stdlib_module_names or file is None:
            return
        try:
            status = Path(file).stat()
            self.say(_file_hash(file, status.st_mtime, status.st_size))
        except OSError:
            raise UnknownError(f"the module {module}, whose file cannot be read") from None

    def module(self, module: ModuleType, names: set[str]) -> None:
        """Add a module, and those of its names that code uses."""
        self.say("module", module.__name__)
        if not is_own(module.__name__) or str(getattr(module, "__file__", "")).endswith((".so", ".pyd")):
            self.of_file(module.__name__)
            return
        done = self.done.setdefault(id(module), set())
        for name in sorted((names - done) & set(vars(module))):
            done.add(name)
            self.say(name)
            value = vars(module)[name]
            self.module(value, names) if isinstance(value, ModuleType) else self.add(value)

    def function(self, function: FunctionType) -> None:
        """Add a function: its code if it is the user's, and its closure in any case."""
        module = function.__globals__.get("__name__")
        cells = []
        for cell in function.__closure__ or ():
            try:
                cells.append(cell.cell_contents)
            except ValueError:
                cells.append("an empty cell")
        if not is_own(module):
            self.say("name", str(module), function.__code__.co_qualname)
            self.of_file(str(module))
            # A decorator encloses a function of the user's.
            self.add(tuple(cell for cell in cells if isinstance(cell, FunctionType | type | MethodType)))
            return
        self.say("function")
        self.add((function.__code__, function.__defaults__, function.__kwdefaults__, tuple(cells)))
        self.add({name: value for name, value in vars(function).items() if name != "__wrapped__"})
        self.globals_of(function.__code__, function.__globals__)

    def globals_of(self, code: CodeType, names: dict[str, Any]) -> None:
        """Add the module names that code uses, and the modules that it imports itself."""
        used = _names(code)
        if by_text := sorted(used & _BY_TEXT):
            raise UnknownError(f"code that uses {by_text[0]}, in {names.get('__name__', 'a function')}")
        modules = [value for name in sorted(used & set(names)) if isinstance(value := names[name], ModuleType)]
        for name in sorted(used & set(names)):
            if not isinstance(names[name], ModuleType):
                self.say(name)
                self.add(names[name])
        for name, wanted, level in sorted(_imports(code)):
            try:
                modules.append(__import__(name, names, None, wanted, level))
            except Exception:
                self.say("not importable", name)
        for module in modules:
            self.module(module, used)

    def code(self, code: CodeType) -> None:
        """Add compiled code without its line numbers."""
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self.say("code")
        self.add((code.co_code, counts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars))
        self.add((code.co_exceptiontable, code.co_consts))

    def a_class(self, cls: type) -> None:
        """Add a class: its name, and if it is the user's, its bases and the content of its body."""
        if not is_own(cls.__module__):
            self.named(cls)
            return
        self.say("class", cls.__qualname__)
        self.add((cls.__bases__, type(cls)))
        for name, value in sorted(vars(cls).items()):
            if name not in _NOTED and not name.startswith("__pydantic"):
                self.say(name)
                self.add(value)

    def reduced(self, value: Any) -> None:
        """Add an object by its pickled form."""
        kind: Any = type(value)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            parts: Any = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:
            raise UnknownError(f"an object of the type {kind.__module__}.{kind.__qualname__}") from None
        self.say("object")
        self.add(kind)
        if isinstance(parts, str):
            self.say(parts)
            return
        call, arguments, state, *items = (*parts, None, None, None)[:5]
        self.add((call, arguments, state, *(None if each is None else list(each) for each in items)))


def _names(code: CodeType) -> set[str]:
    """Return the names that code uses, including those in text constants, as for ``getattr`` and ``globals``."""
    texts = [value for value in code.co_consts if isinstance(value, str) and value.isidentifier()]
    inner = [_names(value) for value in code.co_consts if isinstance(value, CodeType)]
    return {*code.co_names, *texts}.union(*inner)


def _imports(code: CodeType) -> set[tuple[str, tuple[str, ...], int]]:
    """Return the modules that code imports itself: name, names taken from it, level of a relative import."""
    found, before = set(), []
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            level, wanted = before
            found.add((str(step.argval), tuple(wanted or ()), int(level or 0)))
        before = [*before, step.argval][-2:]
    return found.union(*(_imports(value) for value in code.co_consts if isinstance(value, CodeType)))
