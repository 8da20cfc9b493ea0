"""Many simulated data sets, on one process, several, or a Dask cluster; stored as they are completed, so that a run can resume.

The result of a data set is a pure function of its job, its seed and its index, computed on one thread, so any number of workers
in any order gives the same bits. Work is distributed in chunks of neighbouring indices. In a folder, each chunk is a file
that gets its name only when it is complete (`chunks`); the folder's own name is a hash of everything on which the results depend,
including user code (`fingerprint`).

Worker processes leave an interruption to the process that started them, and end when it ends, in whatever way.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..interruption import noticed
from ..posterior.mcmc import NutsSettings
from ..provenance import sampler_versions, versions
from ..threads import VARIABLES, OneThread
from .chunks import Chunk, Chunks
from .engines import Engine, Layout, Model
from .fingerprint import UnknownError, fingerprint
from .source import package_hash

__all__ = ["CHUNK", "Job", "closing_processes", "run"]

# Number of data sets per chunk: the maximum repeated after a kill.
CHUNK = 25
# Number of times that dead processes are replaced before the run is abandoned.
PATIENCE = 3
# Seconds until a worker notices that its parent has ended.
SOON = 0.5


@dataclass(frozen=True)
class Job:
    """Data sets of one model, engine and layout: everything on which their results depend besides the indices."""

    kind: type[Engine]
    model: Model
    settings: NutsSettings | None
    label: str
    layout: Layout
    seed: int

    def rows(self, first: int, count: int) -> np.ndarray:
        """Return results of `Engine.one` for ``count`` indices from ``first``, ``(count, 2, quantities)``."""
        # Frozen settings are hashable, which pyright does not see.
        engine = _engine(self.kind, self.model, self.settings)  # type: ignore[arg-type]
        with OneThread(), noticed():
            return np.array([engine.one(self.layout, self.label, self.seed, first + at) for at in range(count)])

    def key(self) -> str:
        """Return the hash of everything on which the results depend: settings, user code, this package's code, versions.

        Raises
        ------
        UnknownError
            If the user's code reaches an object without a hash.
        """
        settings = self.kind, self.model, self.settings, self.label, self.layout, self.seed
        parts = fingerprint(*settings), package_hash(), versions(), sampler_versions()
        return sha256(repr(parts).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _engine(kind: type[Engine], model: Model, settings: NutsSettings | None) -> Engine:
    return kind(model, settings)


def run(
    job: Job, n_sets: int, workers: Any = 1, folder: Path | None = None, say: Callable[[int], object] = lambda done: None
) -> np.ndarray:
    """Return the results of the first ``n_sets`` data sets, ``(n_sets, 2, quantities)``.

    Parameters
    ----------
    job
        Their model, engine and layout.
    n_sets
        Number of data sets.
    workers
        Number of processes, or a Dask client.
    folder
        Folder in which completed chunks are stored and found again. It is not used, with a warning, if changes of
        user code cannot be detected.
    say
        Called with the number of data sets of each chunk that is completed or found.
    """
    kept = None if folder is None else _chunks_in(folder, job)
    found = {chunk: None if kept is None else kept.read(chunk) for chunk in _chunks(n_sets)}
    rows = {chunk: rows_of_chunk for chunk, rows_of_chunk in found.items() if rows_of_chunk is not None}
    for _, count in rows:
        say(count)
    for chunk, made in _made(job, [chunk for chunk in found if chunk not in rows], workers):
        if kept is not None:
            kept.write(chunk, made)
        rows[chunk] = made
        say(chunk[1])
    return np.concatenate([rows[chunk] for chunk in found])


def _chunks_in(folder: Path, job: Job) -> Chunks | None:
    """Return the chunks of a job in the folder for all jobs."""
    try:
        key = job.key()
    except UnknownError as error:
        words = (
            f"the cache {folder} is not used: whether a stored result is still valid cannot be checked, as it depends on {error}"
        )
        warnings.warn(words, stacklevel=2)
        return None
    kept = Chunks(folder / key, key)
    kept.check()
    return kept


@contextmanager
def closing_processes(workers: Any) -> Iterator[None]:
    """End the processes of `run` after the block, or immediately if it fails or is interrupted."""
    try:
        yield
    except BaseException:
        _close(workers, kill=True)
        raise
    _close(workers)


def _chunks(n_sets: int) -> list[Chunk]:
    return [(first, min(CHUNK, n_sets - first)) for first in range(0, n_sets, CHUNK)]


def _made(job: Job, chunks: Sequence[Chunk], workers: Any) -> Iterator[tuple[Chunk, np.ndarray]]:
    """Yield the rows of each chunk as they are completed, in any order."""
    if not isinstance(workers, int):
        yield from _by_dask(job, chunks, workers)
    elif workers == 1:
        yield from (_one_chunk(job, chunk) for chunk in chunks)
    else:
        yield from _by_processes(job, chunks, workers)


def _one_chunk(job: Job, chunk: Chunk) -> tuple[Chunk, np.ndarray]:
    return chunk, job.rows(*chunk)


# Pools of worker processes by their number.
_pools: dict[Any, Any] = {}


def _pool(workers: int) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    if workers not in _pools:
        env = dict.fromkeys(VARIABLES, "1")
        _pools[workers] = ProcessPoolExecutor(workers, initializer=_begin_worker, initargs=(os.getpid(),), env=env)
    return _pools[workers]


def _close(workers: Any, kill: bool = False) -> None:
    """End the processes of a pool, if there is one: after their work, or immediately."""
    pool = _pools.pop(workers, None) if isinstance(workers, int) else None
    if pool is not None:
        pool.shutdown(wait=True, kill_workers=kill)


def _begin_worker(parent: int) -> None:
    """Begin a worker process, which leaves interruptions to its parent and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    """End this process when its parent has ended."""
    if sys.platform == "win32":
        import ctypes

        kernel = ctypes.windll.kernel32
        # The right to wait for it; an ended process has no handle.
        handle = kernel.OpenProcess(0x00100000, False, parent)
        if handle:
            kernel.WaitForSingleObject(handle, 0xFFFFFFFF)
    else:
        never = threading.Event()
        while os.getppid() == parent:
            never.wait(SOON)
    os._exit(1)


def _by_processes(job: Job, chunks: Sequence[Chunk], workers: int) -> Iterator[tuple[Chunk, np.ndarray]]:
    from joblib.externals.loky import as_completed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    left = set(chunks)
    for attempt in range(PATIENCE + 1):
        try:
            pool = _pool(workers)
            for made in as_completed([pool.submit(_one_chunk, job, chunk) for chunk in sorted(left)]):
                chunk, rows = made.result()
                left.remove(chunk)
                yield chunk, rows
            return
        except TerminatedWorkerError:
            # A process that died ends all others of its pool.
            _close(workers, kill=True)
            if attempt == PATIENCE:
                raise
        except BaseException:
            _close(workers, kill=True)
            raise


def _by_dask(job: Job, chunks: Sequence[Chunk], client: Any) -> Iterator[tuple[Chunk, np.ndarray]]:
    from distributed import as_completed

    # The scheduler reassigns the chunks of a worker that died.
    futures = [client.submit(_one_chunk, job, chunk, pure=False) for chunk in chunks]
    try:
        for _, found in as_completed(futures, with_results=True):
            yield found
    except BaseException:
        with suppress(Exception):
            client.cancel(futures)
        raise
