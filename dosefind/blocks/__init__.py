"""Work in blocks of neighbouring indices, on one process, several or a Dask cluster, stored as it is completed.

A `Job` states what is done for a block; `run` yields the results of all its blocks in their order. A result is a pure function of
its job and its indices, computed on one thread, so any number of workers in any order gives the same bits, and a run that was
interrupted goes on from the files of the blocks that it completed.
"""

from .running import Job, run
from .stored import Block, blocks_of

__all__ = ["Block", "Job", "blocks_of", "run"]
