"""Chunks of results in a folder, each a file whose name identifies its content.

The name of a file has the hash of its content and of the job of the chunk, so a file that was damaged, truncated or swapped with
another is rejected, and its results are computed again.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..provenance import refuse_to_overwrite, write_whole

__all__ = ["Chunk", "Chunks"]

Chunk = tuple[int, int]
"""First index, and number of data sets."""

# Maximum size of a chunk's file in bytes.
_LARGEST = 2**26


@dataclass(frozen=True)
class Chunks:
    """Chunks of one job.

    Attributes
    ----------
    folder
        Their location.
    key
        Hash of everything on which the results depend.
    """

    folder: Path
    key: str

    def check(self) -> None:
        """Raise `InputError` if files cannot be written to the folder."""
        refuse_to_overwrite(self.folder, [], True)

    def read(self, chunk: Chunk) -> np.ndarray | None:
        """Return the rows of a chunk, or ``None`` if there are none or the file has changed since it was written."""
        for path in sorted(self.folder.glob(f"{_stem(chunk)}-*.npy")):
            try:
                if not path.is_file() or path.stat().st_size > _LARGEST:
                    continue
                content = path.read_bytes()
            except OSError:
                continue
            if path.name != self._name(chunk, content):
                continue
            rows = np.load(io.BytesIO(content), allow_pickle=False)
            if valid(rows, chunk):
                return rows
        return None

    def write(self, chunk: Chunk, rows: np.ndarray) -> None:
        """Write the rows of a chunk; rows that cannot be results are not stored."""
        if not valid(rows, chunk):
            return
        content = io.BytesIO()
        np.save(content, rows, allow_pickle=False)
        name = self._name(chunk, content.getvalue())
        write_whole(self.folder, {name: content.getvalue()})
        # Damaged files of the same chunk.
        for path in self.folder.glob(f"{_stem(chunk)}-*.npy"):
            if path.name != name and path.is_file():
                path.unlink(missing_ok=True)

    def _name(self, chunk: Chunk, content: bytes) -> str:
        return f"{_stem(chunk)}-{sha256(f'{self.key} {chunk} '.encode() + content).hexdigest()[:32]}.npy"


def valid(rows: np.ndarray, chunk: Chunk) -> bool:
    """Return whether rows can be those of a chunk: finite PIT values from 0 to 1 and their errors."""
    if rows.dtype != float or rows.ndim != 3 or rows.shape[:2] != (chunk[1], 2):
        return False
    pit, error = rows[:, 0], rows[:, 1]
    return bool(np.isfinite(rows).all() and (pit >= 0).all() and (pit <= 1).all() and (error >= 0).all())


def _stem(chunk: Chunk) -> str:
    return f"{chunk[0]:06d}-{chunk[1]}"
