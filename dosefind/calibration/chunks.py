"""Chunks of results in a folder, each a file that says by its name what it must hold.

A file's name has the hash of its content and of what the chunk is of, so a file that was damaged, cut short or put in the place of
another is not taken, and what it should hold is worked out again.
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

# Bytes of a file beyond which it cannot be a chunk.
_LARGEST = 2**26


@dataclass(frozen=True)
class Chunks:
    """Chunks of one job.

    Attributes
    ----------
    folder
        Where they are.
    key
        Hash of all that the results depend on.
    """

    folder: Path
    key: str

    def check(self) -> None:
        """Raise `InputError` if the folder cannot take files."""
        refuse_to_overwrite(self.folder, [], True)

    def read(self, chunk: Chunk) -> np.ndarray | None:
        """Return the rows of a chunk; none where there are none, or where the file is not as it was written."""
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
        """Write the rows of a chunk; rows that cannot be results are not kept."""
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
    """Return whether rows can be those of a chunk: PIT values from 0 to 1 and their errors, finite."""
    if rows.dtype != float or rows.ndim != 3 or rows.shape[:2] != (chunk[1], 2):
        return False
    pit, error = rows[:, 0], rows[:, 1]
    return bool(np.isfinite(rows).all() and (pit >= 0).all() and (pit <= 1).all() and (error >= 0).all())


def _stem(chunk: Chunk) -> str:
    return f"{chunk[0]:06d}-{chunk[1]}"
