"""Running the reference cases, and what a record of it states: the installation, its files, and each difference."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._check import InputError, Problem
from ..provenance import versions
from ..threads import one_thread
from .cases import CASES, Case

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Checked", "SelfCheck", "selfcheck"]

_PACKAGE = Path(__file__).parents[1]
# What an installation has besides the files that were installed.
_MADE = {".pyc", ".pyo"}


@dataclass(frozen=True)
class Checked:
    """A reference case that was computed.

    Attributes
    ----------
    case
        The case.
    n
        Number of values compared.
    difference
        Largest difference; infinite where the computation failed.
    error
        What failed, empty if nothing did.
    """

    case: Case
    n: int
    difference: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Return whether values were compared and every difference is within the tolerance."""
        return self.n > 0 and self.difference <= self.case.tolerance


@dataclass(frozen=True, repr=False)
class SelfCheck:
    """The reference cases as computed by an installation.

    Attributes
    ----------
    checked
        Each case.
    versions
        Versions of the software.
    machine
        Operating system and processor.
    files
        SHA-256 of each file of the package, by its path within the package; references among them.
    """

    checked: tuple[Checked, ...]
    versions: dict[str, str]
    machine: str
    files: dict[str, str]

    @property
    def passed(self) -> bool:
        """Return whether every case passed."""
        return all(one.passed for one in self.checked)

    @property
    def package_sha256(self) -> str:
        """Return one hash of all files: of the lines of path and hash, in the order of the paths."""
        return hashlib.sha256("".join(f"{path}  {digits}\n" for path, digits in sorted(self.files.items())).encode()).hexdigest()

    @property
    def table(self) -> pd.DataFrame:
        """Return one row per case: values compared, largest difference, tolerance, and whether it passed."""
        import pandas as pd

        rows = [
            {
                "case": one.case.name,
                "values": one.n,
                "difference": one.difference,
                "tolerance": one.case.tolerance,
                "passed": one.passed,
            }
            for one in self.checked
        ]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        failed = [one.case.name for one in self.checked if not one.passed]
        said = f"failed: {', '.join(failed)}" if failed else "all passed"
        return f"SelfCheck of dosefind {self.versions['dosefind']}: {len(self.checked)} reference cases, {said}"


@one_thread
def selfcheck(names: Sequence[str] | None = None) -> SelfCheck:
    """Compute the reference cases on this installation and compare them with their references.

    Parameters
    ----------
    names
        Names of the cases; all of them by default.

    Returns
    -------
    SelfCheck
        Its ``passed`` says whether every case agrees within its tolerance; `validation_record` makes a record of it.

    Raises
    ------
    InputError
        If there is no case of a name.

    Examples
    --------
    >>> selfcheck(["BOIN rates", "BOIN selections"])
    SelfCheck of dosefind 0.1.0: 2 reference cases, all passed
    """
    known = {case.name: case for case in CASES}
    for name in names or ():
        if name not in known:
            raise InputError(Problem("names", name, f"must be one of {', '.join(known)}"))
    chosen = CASES if names is None else [known[name] for name in names]
    machine = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return SelfCheck(tuple(map(_check, chosen)), versions(), machine, _files())


def _check(case: Case) -> Checked:
    """Compute a case; an error is a failure of the installation, which the record states."""
    n, worst = 0, 0.0
    try:
        for ours, theirs in case.compute():
            found, expected = np.asarray(ours, float), np.asarray(theirs, float)
            if found.shape != expected.shape:
                return Checked(case, n, np.inf, f"{found.shape} values for {expected.shape} of the reference")
            n += found.size
            # What is not a number agrees with nothing.
            apart = np.nan_to_num(np.abs(found - expected), nan=np.inf)
            worst = max(worst, float(apart.max(initial=0.0)))
    except Exception as error:
        return Checked(case, n, np.inf, f"{type(error).__name__}: {error}")
    return Checked(case, n, worst)


def _files() -> dict[str, str]:
    """Return the hash of each file of the package, apart from what Python makes of them."""
    found = {}
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and path.suffix not in _MADE:
            found[path.relative_to(_PACKAGE).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
