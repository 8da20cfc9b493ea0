"""Results of blocks in a folder, each a file whose name identifies its content.

The name of a file has the hash of its content and of the job of the block, so a file that was damaged, truncated or swapped with
another is rejected, and its results are computed again.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..provenance import refuse_to_overwrite, write_whole

__all__ = ["Block", "Stored", "blocks_of"]

Block = tuple[int, int]
"""First index, and number of indices."""

# Maximum size of a block's file in bytes.
_LARGEST = 2**26


def blocks_of(total: int, size: int) -> list[Block]:
    """Return the blocks of ``size`` indices of a total; the last may be smaller."""
    return [(first, min(size, total - first)) for first in range(0, total, size)]


@dataclass(frozen=True)
class Stored:
    """Results of one job.

    Attributes
    ----------
    folder
        Their location.
    key
        Hash of everything on which the results depend.
    valid
        Whether an array of floats can be the result of a block of a number of indices.
    """

    folder: Path
    key: str
    valid: Callable[[np.ndarray, int], bool]

    def check(self) -> None:
        """Raise `InputError` if files cannot be written to the folder."""
        refuse_to_overwrite(self.folder, [], True)

    def read(self, block: Block) -> np.ndarray | None:
        """Return the result of a block, or ``None`` if there is none or the file has changed since it was written."""
        for path in sorted(self.folder.glob(f"{_stem(block)}-*.npy")):
            try:
                if not path.is_file() or path.stat().st_size > _LARGEST:
                    continue
                content = path.read_bytes()
            except OSError:
                continue
            if path.name != self._name(block, content):
                continue
            result = np.load(io.BytesIO(content), allow_pickle=False)
            if self._possible(result, block):
                return result
        return None

    def write(self, block: Block, result: np.ndarray) -> None:
        """Write the result of a block; an array that cannot be a result is not stored."""
        if not self._possible(result, block):
            return
        content = io.BytesIO()
        np.save(content, result, allow_pickle=False)
        name = self._name(block, content.getvalue())
        write_whole(self.folder, {name: content.getvalue()})
        # Damaged files of the same block.
        for path in self.folder.glob(f"{_stem(block)}-*.npy"):
            if path.name != name and path.is_file():
                path.unlink(missing_ok=True)

    def _possible(self, result: np.ndarray, block: Block) -> bool:
        return result.dtype == float and self.valid(result, block[1])

    def _name(self, block: Block, content: bytes) -> str:
        return f"{_stem(block)}-{sha256(f'{self.key} {block} '.encode() + content).hexdigest()[:32]}.npy"


def _stem(block: Block) -> str:
    return f"{block[0]:06d}-{block[1]}"
