"""Blocks on one process, several, or a Dask cluster.

Worker processes leave an interruption to the process that started them, and end when it ends, in whatever way. A process that dies
is replaced, and its blocks are done again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from .._check import folder_of, whole
from ..interruption import noticed
from ..provenance import versions
from ..threads import VARIABLES, OneThread
from .fingerprint import UnknownError, fingerprint, package_hash
from .stored import Block, Stored, blocks_of

__all__ = ["Job", "run"]

# Number of times in a row that dead processes are replaced before the run is abandoned.
PATIENCE = 3
# Seconds until a worker notices that its parent has ended.
SOON = 0.5
# Number of blocks per worker that are under way, or completed and waiting for an earlier one.
AHEAD = 4

type Task = tuple[Job, Block]


class Job(ABC):
    """Work in blocks: everything on which its results depend besides the indices. It can be pickled.

    Attributes
    ----------
    block_size
        Number of indices per block: the maximum repeated after a kill.
    """

    block_size: int

    @abstractmethod
    def block(self, first: int, count: int) -> np.ndarray:
        """Return the results of ``count`` indices from ``first``, an array of floats that depends on nothing else."""

    @abstractmethod
    def settings(self) -> tuple[Any, ...]:
        """Return everything on which the results depend besides this package and the indices."""

    @abstractmethod
    def valid(self, result: np.ndarray, count: int) -> bool:
        """Return whether an array of floats can be the result of ``count`` indices."""

    def key(self) -> str:
        """Return the hash of everything on which the results depend: settings, user code, this package's code, versions.

        Raises
        ------
        UnknownError
            If the user's code reaches an object without a hash.
        """
        parts = fingerprint(type(self), *self.settings()), package_hash(), versions()
        return sha256(repr(parts).encode()).hexdigest()[:16]


def run(jobs: Sequence[Job], total: int, workers: Any = 1, cache: str | Path | None = None) -> Generator[np.ndarray]:
    """Yield the results of the first ``total`` indices of each job, block by block, job after job.

    Only a few blocks per worker are held at a time. If results are not all taken, close the generator, which ends the workers.

    Parameters
    ----------
    jobs
        What is done.
    total
        Number of indices of each job.
    workers
        Number of processes, or a Dask client.
    cache
        Folder in which completed blocks are stored and found again. It is not used for a job, with a warning, if changes of
        user code cannot be detected.

    Raises
    ------
    InputError
        If the number of workers is not valid, or nothing can be written to the folder.
    """
    if not hasattr(workers, "submit"):
        workers = whole("workers", workers, 1, 1000)
    stores = [None if cache is None else _store(folder_of("cache", cache), job) for job in jobs]
    tasks = [(job, block, store) for job, store in zip(jobs, stores, strict=True) for block in blocks_of(total, job.block_size)]
    return _in_order(tasks, workers)


def _store(folder: Path, job: Job) -> Stored | None:
    """Return the stored results of a job in the folder for all jobs."""
    try:
        key = job.key()
    except UnknownError as error:
        words = (
            f"the cache {folder} is not used: whether a stored result is still valid cannot be checked, as it depends on {error}"
        )
        warnings.warn(words, stacklevel=3)
        return None
    stored = Stored(folder / key, key, job.valid)
    stored.check()
    return stored


def _in_order(tasks: Sequence[tuple[Job, Block, Stored | None]], workers: Any) -> Generator[np.ndarray]:
    """Yield the results of tasks in their order; those that are completed early wait for the ones before them."""
    early: dict[int, np.ndarray] = {}
    begun = 0
    with _team(workers) as team:
        for at in range(len(tasks)):
            while at not in early:
                while begun < min(at + team.ahead, len(tasks)):
                    job, block, store = tasks[begun]
                    found = None if store is None else store.read(block)
                    if found is None:
                        team.tasks[begun] = job, block
                    else:
                        early[begun] = found
                    begun += 1
                if at in early:
                    break
                for place, result in team.completed():
                    _, block, store = tasks[place]
                    if store is not None:
                        store.write(block, result)
                    early[place] = result
            yield early.pop(at)


def _made(task: Task) -> np.ndarray:
    job, block = task
    with OneThread(), noticed():
        return job.block(*block)


# Workers --------------------------------------------------------------------------------------------------------------


class _Team:
    """Whoever works on blocks: tasks by their places in the order of results."""

    ahead = 1

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}

    def completed(self) -> list[tuple[int, np.ndarray]]:
        """Work until a block is completed; return the results that there are by then, with their places."""
        return [(place, _made(self.tasks.pop(place))) for place in list(self.tasks)]

    def close(self, kill: bool) -> None:
        """End the work: after what is under way, or immediately."""


class _Cluster(_Team):
    """A Dask client; its scheduler reassigns the blocks of a worker that died."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        self.client = client
        self.ahead = AHEAD * max(1, sum(client.nthreads().values()))
        self.futures: dict[int, Any] = {}

    def submit(self, task: Task) -> Any:
        return self.client.submit(_made, task, pure=False)

    def first_of(self, futures: list[Any]) -> Any:
        from distributed import wait

        return wait(futures, return_when="FIRST_COMPLETED")

    def completed(self) -> list[tuple[int, np.ndarray]]:
        for place in self.tasks.keys() - self.futures.keys():
            self.futures[place] = self.submit(self.tasks[place])
        done = self.first_of(list(self.futures.values())).done
        found = [(place, future.result()) for place, future in self.futures.items() if future in done]
        for place, _ in found:
            del self.futures[place], self.tasks[place]
        return found

    def close(self, kill: bool) -> None:
        if kill:
            with suppress(Exception):
                self.client.cancel(list(self.futures.values()))


class _Processes(_Cluster):
    """Processes of this machine, all of which are replaced if one dies."""

    def __init__(self, workers: int) -> None:
        _Team.__init__(self)
        self.workers, self.ahead = workers, AHEAD * workers
        self.futures, self.pool, self.died = {}, None, 0

    def submit(self, task: Task) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor

        if self.pool is None:
            env = dict.fromkeys(VARIABLES, "1")
            self.pool = ProcessPoolExecutor(self.workers, initializer=_begin_worker, initargs=(os.getpid(),), env=env)
        return self.pool.submit(_made, task)

    def first_of(self, futures: list[Any]) -> Any:
        from joblib.externals.loky import wait

        return wait(futures, return_when="FIRST_COMPLETED")

    def completed(self) -> list[tuple[int, np.ndarray]]:
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        try:
            found = super().completed()
        except TerminatedWorkerError:
            self.died += 1
            if self.died > PATIENCE:
                raise
            # A process that died ends all others of its pool. What was under way is begun again.
            self.close(kill=True)
            self.futures.clear()
            return []
        self.died = 0
        return found

    def close(self, kill: bool) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, kill_workers=kill)
            self.pool = None


@contextmanager
def _team(workers: Any) -> Iterator[_Team]:
    """Yield what works on blocks, and end it after this block, immediately if that fails or is interrupted."""
    team = _Cluster(workers) if not isinstance(workers, int) else _Team() if workers == 1 else _Processes(workers)
    try:
        yield team
    except BaseException:
        team.close(kill=True)
        raise
    team.close(kill=False)


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
