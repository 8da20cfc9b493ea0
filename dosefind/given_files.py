"""Files supplied by the user: regular files up to a stated size."""

from __future__ import annotations

import stat
from pathlib import Path

from ._check import InputError

__all__ = ["is_folder", "read_file", "read_if_there"]

# What a path can denote other than a file or a folder; reading it may never end.
_OTHERS = (
    (stat.S_ISFIFO, "is a named pipe (FIFO)"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
)


def read_file(path: Path, most: int, advice: str = "") -> bytes:
    """Read a regular file, or a link to one.

    Parameters
    ----------
    path
        The file.
    most
        Maximum size, in bytes.
    advice
        Advice on a larger file, for the message.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If the file does not exist, cannot be read, is larger, or is a folder, named pipe, socket or device.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     read_file(Path(file.name), 10)
    b''
    """
    try:
        found = path.stat()
        other = next((words for is_kind, words in _OTHERS if is_kind(found.st_mode)), None)
        content = b""
        if other is None:
            with path.open("rb") as file:
                content = file.read(most + 1)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except ValueError as error:  # a path with a null character
        raise InputError(f"cannot be read: {str(error).removeprefix('stat: ')}", source=repr(str(path))) from None
    if other is not None:
        raise InputError(f"{other}: must be a regular file", source=str(path))
    if len(content) > most:
        size = max(found.st_size, len(content))
        raise InputError(f"has {_size(size)}, and at most {_size(most)} are read{advice and f': {advice}'}", source=str(path))
    return content


def read_if_there(path: Path, most: int) -> bytes | None:
    """Read a file as `read_file` does; return ``None`` if it does not exist."""
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass  # Reading reports the problem.
    return read_file(path, most)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; false if it cannot be looked up, which opening it will report."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB ({size:,} bytes)" if size >= 1e5 else f"{size:,} bytes"
