"""Many simulated data sets, on one process, several, or a Dask cluster; kept as they are done, so that a run can be resumed.

A data set's result is a pure function of what it is of, its seed and its index, worked out on one thread, so the same bits come
from any number of workers in any order. Work is handed out in chunks of neighbouring indices. In a folder, each chunk is a file
that appears under its name only when it is complete; the folder's own name is a hash of all that the results depend on.
"""

from __future__ import annotations

import ast
import inspect
from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from .._check import Checked
from ..interruption import noticed
from ..posterior.mcmc import NutsSettings
from ..provenance import sampler_versions, versions, write_whole
from .engines import Engine, Layout, Model

__all__ = ["CHUNK", "Job", "closing_processes", "run", "source_hash"]

# Data sets that are handed out, and kept, together: the most that is done again after a kill.
CHUNK = 25
# How often processes that died are replaced before the run is given up.
PATIENCE = 3
PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Job:
    """Data sets of one model, engine and layout: everything that their results depend on besides the indices."""

    kind: type[Engine]
    model: Model
    settings: NutsSettings | None
    label: str
    layout: Layout
    seed: int

    def rows(self, first: int, count: int) -> np.ndarray:
        """Results of `Engine.one` for so many indices, ``(count, 2, quantities)``."""
        from threadpoolctl import threadpool_limits

        # Frozen settings have a hash, which pyright does not see.
        engine = _engine(self.kind, self.model, self.settings)  # type: ignore[arg-type]
        # Sums on several threads are added up in another order.
        with threadpool_limits(1), noticed():
            return np.array([engine.one(self.layout, self.label, self.seed, first + at) for at in range(count)])

    def key(self) -> str:
        """Hash of what the results depend on, versions included; a design made of functions has another in each process."""
        settings = self.model, self.settings, self.label, self.layout, self.seed
        parts = settings, source_hash(self.kind, self.model), versions(), sampler_versions()
        return sha256(repr(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _engine(kind: type[Engine], model: Model, settings: NutsSettings | None) -> Engine:
    return kind(model, settings)


def run(
    job: Job, n_sets: int, workers: Any = 1, cache: Path | None = None, say: Callable[[int], object] = lambda done: None
) -> np.ndarray:
    """Results of the first ``n_sets`` data sets, ``(n_sets, 2, quantities)``.

    Parameters
    ----------
    job
        What they are of.
    n_sets
        How many.
    workers
        Processes, or a Dask client.
    cache
        Folder in which chunks that are done are kept, and found again.
    say
        Called with the number of data sets of each chunk that is done or found.
    """
    folder = None if cache is None else cache / job.key()
    found = {chunk: _kept(folder, chunk) for chunk in _chunks(n_sets)}
    rows = {chunk: kept for chunk, kept in found.items() if kept is not None}
    for _, count in rows:
        say(count)
    for chunk, made in _made(job, [chunk for chunk in found if chunk not in rows], workers):
        if folder is not None:
            write_whole(folder, {_file(chunk): lambda path, made=made: np.save(path, made)})
        rows[chunk] = made
        say(chunk[1])
    return np.concatenate([rows[chunk] for chunk in found])


@contextmanager
def closing_processes(workers: Any) -> Iterator[None]:
    """End the processes of `run` after the block: each model that they compile makes them larger, until joblib replaces them."""
    try:
        yield
    finally:
        if isinstance(workers, int) and workers > 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(wait=True)


def _chunks(n_sets: int) -> list[tuple[int, int]]:
    return [(first, min(CHUNK, n_sets - first)) for first in range(0, n_sets, CHUNK)]


def _file(chunk: tuple[int, int]) -> str:
    return f"{chunk[0]:06d}-{chunk[1]}.npy"


def _kept(folder: Path | None, chunk: tuple[int, int]) -> np.ndarray | None:
    """The rows of a chunk from an earlier run; none where there are none, or not all of them."""
    if folder is None:
        return None
    try:
        rows = np.load(folder / _file(chunk))
    except (OSError, ValueError, EOFError):
        return None
    return rows if len(rows) == chunk[1] else None


def _made(job: Job, chunks: Sequence[tuple[int, int]], workers: Any) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Rows of each chunk as they are done, in any order."""
    if not isinstance(workers, int):
        yield from _by_dask(job, chunks, workers)
    elif workers == 1:
        yield from (_one_chunk(job, chunk) for chunk in chunks)
    else:
        yield from _by_processes(job, chunks, workers)


def _one_chunk(job: Job, chunk: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    return chunk, job.rows(*chunk)


def _by_processes(job: Job, chunks: Sequence[tuple[int, int]], workers: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = set(chunks)
    for attempt in range(PATIENCE + 1):
        pool = Parallel(n_jobs=workers, return_as="generator_unordered")
        try:
            made: Any = pool(delayed(_one_chunk)(job, chunk) for chunk in sorted(left))
            for chunk, rows in made:
                left.remove(chunk)
                yield chunk, rows
            return
        except TerminatedWorkerError:
            # A process that died takes all others of its pool with it.
            if attempt == PATIENCE:
                raise


def _by_dask(job: Job, chunks: Sequence[tuple[int, int]], client: Any) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    from distributed import as_completed

    # The scheduler hands the chunks of a worker that died to another.
    futures = [client.submit(_one_chunk, job, chunk, pure=False) for chunk in chunks]
    for _, found in as_completed(futures, with_results=True):
        yield found


def source_hash(kind: type[Engine], model: Model) -> str:
    """Hash of the code of a model and an engine, in which comments, docstrings and layout do not count.

    Of this package, the modules that either uses; of a class from elsewhere, its own code where that can be found.
    """
    classes = [one for top in (kind, type(model)) for one in top.__mro__ if one not in (ABC, *Checked.__mro__)]
    inside = [one for one in classes if one.__module__.startswith("dosefind.")]
    modules = {one.__module__.partition(".")[2] for one in inside} | set(kind.sources)
    texts = [(PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8") for name in sorted(modules)]
    texts += [_own_code(one) for one in classes if one not in inside]
    return sha256(repr([_plain(ast.parse(text)) for text in texts]).encode()).hexdigest()


def _own_code(one: type) -> str:
    try:
        return dedent(inspect.getsource(one))
    except (OSError, TypeError):
        return one.__qualname__


def _plain(node: Any) -> Any:
    """A syntax tree as nested tuples that are the same in every version of Python, without docstrings."""
    if isinstance(node, list):
        return tuple(_plain(one) for one in node)
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    return type(node).__name__, *((name, _plain(value)) for name, value in fields.items())
