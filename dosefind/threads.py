"""One thread for matrix products, so that results do not depend on the number of threads.

A BLAS library splits a large product among its threads and adds the parts in another order, which changes the last bits. The
products here are small as well, so that several threads would spend more time waiting than working. Public functions therefore run
with one thread (`one_thread`) and restore the caller's number afterwards. Most libraries have one number per process: while a
function of this package runs, products in other threads of the process have one thread too.

A command-line process has one thread from the start (`hold_one_thread`), whatever its environment says.

BLAS libraries are found by threadpoolctl, which knows OpenBLAS, MKL, BLIS and FlexiBLAS, but not Apple's Accelerate: that one
library keeps the number of ``VECLIB_MAXIMUM_THREADS``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any

__all__ = ["VARIABLES", "OneThread", "hold_one_thread", "one_thread", "one_thread_methods"]

# Read by a library when it is loaded.
VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def _set(library: Any, number: int) -> None:
    # From version 3.8 on, threadpoolctl lets one thread of the process change a library, and silently ignores the others.
    release = getattr(library, "clear_controlling_thread", lambda force: None)
    release(force=True)
    library.set_num_threads(number)
    release(force=True)


class _Own(threading.local):
    """State of one thread: open blocks, and the number of threads of each library before the first of them."""

    depth = 0

    def __init__(self) -> None:
        self.before: dict[str, int] = {}


class _Process:
    """State of the process: libraries by path, threads with an open block, and the numbers before the first of them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held = False
        self.libraries: dict[str, Any] = {}
        self.modules = -1
        self.users = 0
        self.before: dict[str, int] = {}

    def limit(self, own: _Own) -> None:
        """Set every loaded library to one thread, and note its number before."""
        if self.modules != len(sys.modules):
            from threadpoolctl import ThreadpoolController

            self.libraries = {library.filepath: library for library in ThreadpoolController().lib_controllers}
            self.modules = len(sys.modules)
        for path, library in self.libraries.items():
            number = library.num_threads
            own.before.setdefault(path, number)
            self.before.setdefault(path, number)
            if number != 1:
                _set(library, 1)

    def restore(self, own: _Own) -> None:
        """Restore the numbers that are per thread, and after the last user those of the process."""
        for path, library in self.libraries.items():
            # OpenMP has a number per thread.
            if "openmp" in (library.user_api, getattr(library, "threading_layer", None)):
                number = own.before.get(path)
            else:
                number = None if self.users else self.before.get(path)
            if number is not None and number != 1:
                _set(library, number)
        own.before.clear()
        if not self.users:
            self.before.clear()


_own = _Own()
_process = _Process()
if hasattr(os, "register_at_fork"):
    # Another thread may have held the lock.
    os.register_at_fork(after_in_child=lambda: setattr(_process, "lock", threading.Lock()))


class OneThread:
    """A block in which matrix products have one thread; blocks may be nested."""

    def __enter__(self) -> None:
        if _process.held:
            return
        if not _own.depth:
            with _process.lock:
                _process.limit(_own)
                _process.users += 1
        elif _process.modules != len(sys.modules):
            # A module imported since then may have loaded another library.
            with _process.lock:
                _process.limit(_own)
        _own.depth += 1

    def __exit__(self, *_: object) -> None:
        if not _own.depth:
            return
        _own.depth -= 1
        if not _own.depth:
            with _process.lock:
                _process.users -= 1
                _process.restore(_own)


def one_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with one thread for its matrix products."""

    @wraps(function)
    def limited(*given: P.args, **named: P.kwargs) -> R:
        with OneThread():
            return function(*given, **named)

    return limited


def one_thread_methods(owner: type) -> None:
    """Run the constructor and the public methods that a class itself defines with one thread."""
    for name, method in list(vars(owner).items()):
        if isfunction(method) and (name == "__init__" or not name.startswith("_")):
            setattr(owner, name, one_thread(method))


def hold_one_thread() -> None:
    """Set the whole process and the processes that it starts to one thread, if no library has been loaded yet."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    _process.held = _process.held or not {"numpy", "scipy"} & set(sys.modules)
