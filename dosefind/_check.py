"""Validation of external input, and the error that it raises.

Every mistake that a user can make (a key in a config, an argument of a call, a token of an outcome string)
ends in `InputError`, whose message states the place, the value and what is allowed. Settings classes derive
from `Settings`, which turns pydantic's findings into such messages; functions use the checks below. `Shown`, from which
settings and results derive, provides the HTML that a notebook shows.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from .shown import Shown

__all__ = [
    "KEY",
    "MISSING",
    "MOST_COUNTED",
    "MOST_DOSES",
    "MOST_SEED",
    "NAME",
    "Checked",
    "InputError",
    "Problem",
    "Settings",
    "Shown",
    "broadcast_counts",
    "calendar_day",
    "count",
    "counts",
    "curve_values",
    "describe",
    "folder_of",
    "found_problems",
    "number",
    "of_type",
    "one_of",
    "probability",
    "reach",
    "seed_of",
    "shown_key",
    "some_of",
    "whole",
]

MISSING: Any = object()
"""Stands for the value of a missing key."""

# Text that a terminal or a file can show: no control characters.
NAME = r"^[^\x00-\x1f\x7f-\x9f]{1,200}$"
KEY = r"^[A-Za-z0-9+_-]{1,40}$"

# Maximum number of patients in one trial. Counts are 16-bit integers (`trial.COUNT`): the margin up to 32,767 leaves room for the
# cohorts that a design may still add, at most 1,000 patients (`designs.base`), so that no sum of counts overflows.
MOST_COUNTED = 30_000

# Maximum number of dose levels: outcome notation writes a level in two digits. Dose grids as fine as in crmPack's examples have 41.
MOST_DOSES = 99

# Largest seed: a NetCDF file, which stores the seed, has no integer type beyond signed 64 bits.
MOST_SEED = 2**63 - 1

# A reference dose lower or higher than all doses by more than this factor is taken to be in another unit.
_REACH = 2.0


@dataclass(frozen=True)
class Problem:
    """One problem: its location (empty for the whole table), the value found there, and what is allowed."""

    where: str
    value: Any
    allowed: str

    def __str__(self) -> str:
        shown = "" if self.value is MISSING else f" = {_shorten(self.value)}"
        return f"{self.where}{shown}: {self.allowed}" if self.where else self.allowed

    def within(self, prefix: str) -> Problem:
        """Return the same problem, located from an enclosing table with the key ``prefix``."""
        return Problem(".".join(filter(None, (prefix, self.where))), self.value, self.allowed)


class InputError(ValueError):
    """Input that is not valid.

    Parameters
    ----------
    problems
        The problems; a plain string if there is no key to name.
    source
        The file that the input came from, if any.
    """

    def __init__(self, problems: str | Problem | Iterable[Problem], source: str | None = None) -> None:
        if isinstance(problems, Problem):
            problems = [problems]
        self.problems: list[Problem] = [] if isinstance(problems, str) else list(problems)
        text = problems if isinstance(problems, str) else "\n  ".join(map(str, self.problems))
        self.source = source
        # A file name can contain line ends, and must not produce lines that look like separate messages.
        named = repr(source) if source and len(source.splitlines()) > 1 else source
        super().__init__(f"{named}: {text}" if source else text)

    def within(self, prefix: str) -> list[Problem]:
        """Return the same error, located from an enclosing table with the key ``prefix``."""
        if not self.problems:
            return [Problem(prefix, MISSING, str(self))]
        return [problem.within(prefix) for problem in self.problems]


class Settings(Shown, BaseModel):
    """Base of every settings class: frozen, no unknown keys, errors as `InputError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __dir__(self) -> list[str]:
        """Return the names offered for completion: settings and the class's own methods, without those of pydantic."""
        return sorted({name for name in super().__dir__() if not name.startswith("__")} - {*dir(BaseModel)})

    @classmethod
    def read(cls, table: dict[str, Any]) -> Any:
        """Build from a plain table; raise `InputError` listing every problem found."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise InputError(found_problems(error, cls)) from None


class Checked(Settings):
    """Settings that users also construct directly; problems are raised as `InputError` there too."""

    def __init__(self, /, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise InputError(found_problems(error, type(self))) from None


def describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Add the text of a settings class's docstring to its JSON Schema: the summary and the description of each attribute.

    Attributes missing from its own docstring are taken from those of its base classes.
    """
    schema["description"] = " ".join(inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].split())
    words: dict[str, str] = {}
    for kind in model.__mro__:
        words = _attributes(kind) | words
    for name, entry in schema["properties"].items():
        if name in words:
            entry.setdefault("description", words[name])


def _attributes(kind: type) -> dict[str, str]:
    """Return the description of each attribute in the class's own docstring."""
    names: list[str] = []
    words: dict[str, list[str]] = {}
    doc = inspect.cleandoc(vars(kind).get("__doc__") or "")
    for line in doc.partition("Attributes\n----------\n")[2].partition("\n\n")[0].splitlines():
        if line.startswith(" "):
            for name in names:
                words[name].append(line.strip())
        else:
            names = line.split(", ")
            words |= {name: [] for name in names}
    return {name: " ".join(lines) for name, lines in words.items()}


def found_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return the problems that pydantic found in the settings of ``model``."""
    found: dict[Any, list[Any]] = {}
    items = error.errors(include_url=False)
    for item in items:
        # If entries of a list were rejected, pydantic also reports that the list is too short.
        if item["type"] == "too_short" and any(_within(other["loc"], item["loc"]) for other in items):
            continue
        # A default that depends on an invalid setting is not reported.
        if item["type"] == "default_factory_not_called":
            continue
        place, branch, owner = _place(model, item["loc"])
        # If a setting may be of several kinds, pydantic reports on each of them: keep the report on the kind that was intended.
        found.setdefault(place[:branch], []).append((place, item, owner))
    problems: list[Problem] = []
    for place, items in found.items():
        meant = [item for item in items if len(item[0]) > len(place) or not _is_another_kind(item[1])]
        if len(items) > 1 and not meant:
            words = [_words(item).removeprefix("must be ") for _, item, _ in items]
            problems.append(Problem(_dotted(place), items[0][1]["input"], f"must be {' or '.join(dict.fromkeys(words))}"))
            continue
        for at, item, owner in meant if len(items) > 1 else items:
            problems += _problems(at, item, owner)
    return problems


def _within(place: Sequence[int | str], of: Sequence[int | str]) -> bool:
    return len(place) > len(of) and place[: len(of)] == of


def _problems(place: tuple[int | str, ...], item: Any, owner: type[BaseModel] | None) -> list[Problem]:
    where = _dotted(place)
    raised = item.get("ctx", {}).get("error")
    if isinstance(raised, InputError):
        return raised.within(where)
    if item["type"] == "extra_forbidden":
        return [Problem(where, item["input"], _unknown_key(str(place[-1]), owner))]
    if item["type"] == "missing":
        return [Problem(where, MISSING, "required, but missing")]
    if item["type"] in ("union_tag_invalid", "union_tag_not_found"):
        # The key that states the kind of the table.
        context = item["ctx"]
        key, tags = context["discriminator"].strip("'"), context.get("expected_tags") or _tags(owner, str(place[-1]))
        found = context.get("tag", MISSING)
        asked = "required, but missing: one of" if found is MISSING else "must be one of"
        return [Problem(f"{where}.{key}", found, f"{asked} {tags}")]
    # A check of a whole table has no single value to show.
    return [Problem(where, item["input"] if place and not isinstance(item["input"], dict) else MISSING, _words(item))]


# Pydantic's names of value types, in the words of a config file.
_KINDS = {
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "string": "text",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "date": "a date such as 2023-08-30",
}
_PATTERNS = {
    NAME: "must be text of 1 to 200 characters, none of them a control character",
    KEY: "must be a name of 1 to 40 letters, digits, '+', '_' or '-'",
}


def _words(item: Any) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if kind in ("too_short", "too_long"):
        bound, number = ("least", context["min_length"]) if kind == "too_short" else ("most", context["max_length"])
        return f"must have at {bound} {number} {'entries' if number > 1 else 'entry'}"
    if _is_another_kind(item) and kind.split("_")[0] in _KINDS:
        return f"must be {_KINDS[kind.split('_')[0]]}"
    return item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _is_another_kind(item: Any) -> bool:
    """Return whether a value is of an entirely different kind from the one required."""
    return item["type"].endswith(("_type", "_parsing", "_from_float", "_inexact", "literal_error"))


def _place(model: type[BaseModel], location: Sequence[int | str]) -> tuple[tuple[int | str, ...], int | None, Any]:
    """Return the location of a finding as a reader of the file knows it, with the settings class of its last key.

    The second value is the number of parts that lead to a setting of several kinds, ``None`` if there is no such setting.
    """
    place: list[int | str] = []
    branch = owner = None
    current: Any = model
    for part in location:
        options = [option for option in get_args(current) if option is not type(None)]
        union = get_origin(current) in (Union, UnionType)
        if union and len(options) == 1:
            current, union = options[0], False
        if union:
            # This part is pydantic's name for one of the kinds.
            branch = len(place)
            current = next((option for option in options if part in (getattr(option, "__name__", None), *_kinds_of(option))), None)
        elif isinstance(part, int):
            place.append(part)
            owner, current = None, next(iter(get_args(current)), None)
        elif part != "[key]":
            place.append(part)
            fields = getattr(current, "model_fields", {})
            owner, current = (current if fields else None), (fields[part].annotation if part in fields else None)
    return tuple(place), branch, owner


def _kinds_of(option: Any) -> tuple[str, ...]:
    """Return the values of the key ``kind`` by which pydantic distinguishes a settings class, if it has this key."""
    fields = getattr(option, "model_fields", {})
    return get_args(fields["kind"].annotation) if "kind" in fields else ()


def _tags(owner: type[BaseModel] | None, key: str) -> str:
    """Return the kinds of table that a setting may be, as listed in a message."""
    options = get_args(owner.model_fields[key].annotation) if owner is not None else ()
    return ", ".join(repr(kind) for option in options for kind in _kinds_of(option))


def _unknown_key(key: str, model: type[BaseModel] | None) -> str:
    if model is None:
        return "unknown key"
    allowed = list(model.model_fields)
    # Stricter than difflib's default of 0.6, at which "start" is suggested for "target".
    near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown key{hint} (allowed: {', '.join(allowed)})"


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{shown_key(part)}" if text else shown_key(part)
    return text


def shown_key(key: str) -> str:
    """Return a key of a file as shown in a message, with non-printable characters escaped."""
    return key if key.isprintable() and key else repr(key)


def _shorten(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def probability(name: str, value: float) -> float:
    """Return ``value`` as a float if it is strictly between 0 and 1."""
    rate = number(name, value, "a probability between 0 and 1 (exclusive)")
    if not 0 < rate < 1:
        raise InputError(Problem(name, value, "must be a probability between 0 and 1 (exclusive)"))
    return rate


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int if it is a whole number from ``low`` to ``high``."""
    allowed = f"must be a whole number from {low} to {high}" if high is not None else f"must be a whole number, at least {low}"
    if not is_integer(value) or value < low or (high is not None and value > high):
        raise InputError(Problem(name, value, allowed))
    return int(value)


def seed_of(value: Any) -> int:
    """Return ``value`` as an int if it is a seed: a whole number from 0 to `MOST_SEED`."""
    if whole("seed", value, 0) > MOST_SEED:
        raise InputError(Problem("seed", value, f"must be a whole number from 0 to {MOST_SEED}"))
    return int(value)


def calendar_day(name: str, value: Any) -> date:
    """Return ``value`` if it is a date, without a time of day."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InputError(Problem(name, value, "must be a date such as date(2024, 3, 1)"))
    return value


def of_type(name: str, value: Any, kind: type, advice: str) -> None:
    """Raise unless ``value`` is of the class ``kind``; ``advice`` says how to obtain one."""
    if not isinstance(value, kind):
        raise InputError(Problem(name, value, f"must be a {kind.__name__}: {advice}"))


def some_of(name: str, value: Any, advice: str) -> list[Any]:
    """Return the entries of ``value`` if it is a list, a tuple or an array of them; ``advice`` says what it should hold."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.tolist()
    if not isinstance(value, (list, tuple)):
        raise InputError(Problem(name, value, f"must be a list {advice}"))
    return list(value)


def folder_of(name: str, value: Any) -> Path:
    """Return ``value`` as the path of a folder."""
    if not isinstance(value, (str, Path)) or "\0" in str(value):
        raise InputError(Problem(name, value, "must be the path of a folder"))
    return Path(value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return ``value`` if it is one of ``allowed``."""
    options = list(allowed)
    if value not in options:
        near = difflib.get_close_matches(str(value), list(map(str, options)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(Problem(name, value, f"must be one of {', '.join(map(repr, options))}{hint}"))
    return value


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer of Python or NumPy, whose durations are integers by their class alone."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64))


def count(name: str, value: Any, low: int, high: int) -> int:
    """Return ``value`` as an int if it is a count from ``low`` to ``high``; `counts` defines what is accepted as a count."""
    found = _as_count(value)
    if found is None or not low <= found <= high:
        raise InputError(Problem(name, value, f"must be a whole number from {low} to {high}"))
    return found


def counts(n: Any, y: Any, n_doses: int | None = None, *, batch: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return patients ``n`` and DLTs ``y`` at each dose as integer arrays.

    Whole numbers from 0 to `MOST_COUNTED` are accepted, in lists, arrays and Series, and so are floats that are exactly whole,
    such as 3.0, because a table with a missing cell stores its counts as floats. Booleans, text, complex numbers, missing and
    masked entries are rejected.

    Parameters
    ----------
    n, y : (doses,) arrays
        Patients and DLTs at each dose; with ``batch`` also ``(trials, doses)``.
    n_doses
        Number of doses, if it is known.
    batch
        Whether several trials are accepted.

    Returns
    -------
    pair of int64 arrays
        ``n`` and ``y``, of the shape that was given.

    Raises
    ------
    InputError
        If an entry is not a count, the shapes differ, a dose has more DLTs than patients, or a trial has more than
        `MOST_COUNTED` patients in total.

    Examples
    --------
    >>> counts([3, 3], [0, 4], 2)
    Traceback (most recent call last):
    dosefind._check.InputError: y = [0, 4]: must not exceed the patients at the dose: level 2 has 3
    """
    n, y = (_whole_numbers(name, values, n_doses, batch) for name, values in (("n", n), ("y", y)))
    if n.shape != y.shape:
        raise InputError(Problem("y", y.tolist(), f"must hold a count for each of n = {_shorten(n.tolist())}"))
    over = np.atleast_2d(y > n)
    if over.any():
        row = int(over.any(axis=1).argmax())
        patients, dlts = np.atleast_2d(n)[row], np.atleast_2d(y)[row]
        level = int(over[row].argmax())
        allowed = f"must not exceed the patients at the dose: level {level + 1} has {patients[level]}"
        raise InputError(Problem("y", dlts.tolist(), allowed))
    # Summed dose by dose: a sum along a short axis is many times slower.
    total = np.atleast_1d(sum(n.T, np.zeros(n.shape[:-1], np.int64)))
    if total.max(initial=0) > MOST_COUNTED:
        most = np.atleast_2d(n)[int(total.argmax())]
        raise InputError(Problem("n", most.tolist(), f"must be at most {MOST_COUNTED} patients in total, but is {total.max()}"))
    return n, y


def broadcast_counts(n: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return patients ``n`` and DLTs ``y`` of any number of groups, with broadcastable shapes, as int64 arrays; see `counts`."""
    found = {name: _counted(values) for name, values in (("n", n), ("y", y))}
    for name, values in (("n", n), ("y", y)):
        if found[name] is None:
            shown = values.tolist() if hasattr(values, "tolist") else values
            raise InputError(Problem(name, shown, f"must be whole numbers from 0 to {MOST_COUNTED}"))
    patients, dlts = (np.asarray(found[name]) for name in ("n", "y"))
    try:
        over = dlts > patients
    except ValueError:
        raise InputError(Problem("y", dlts.tolist(), f"must hold a count for each of n = {_shorten(patients.tolist())}")) from None
    if over.any():
        raise InputError(Problem("y", dlts.tolist(), f"must be at most n = {_shorten(patients.tolist())}"))
    return patients, dlts


def _whole_numbers(name: str, values: Any, n_doses: int | None, batch: bool) -> np.ndarray:
    array = _counted(values)
    shaped = array is not None and array.ndim in ((1, 2) if batch else (1,)) and array.shape[-1] == (n_doses or array.shape[-1])
    if array is None or not shaped or array.shape[-1] == 0:
        how_many = "whole numbers" if n_doses is None else f"{n_doses} whole numbers"
        per_trial = "; several trials as rows of equal length" if batch else ""
        allowed = f"must be {how_many} from 0 to {MOST_COUNTED}, one per dose{per_trial}"
        # Shown as a list, which fits on one line.
        shown = array if array is not None else values
        raise InputError(Problem(name, shown.tolist() if hasattr(shown, "tolist") else shown, allowed))
    return array


def _counted(values: Any) -> np.ndarray | None:
    """Return the entries as int64, or ``None`` if any of them is not a count."""
    if _is_masked(values):
        return None
    numeric = getattr(getattr(values, "dtype", None), "kind", "O") in "iuf"
    try:
        # A list is read entry by entry: NumPy would convert True beside 3 to 1, and a masked entry to the value under the mask.
        array = np.asarray(values) if numeric else np.array(values, dtype=object)
    except (TypeError, ValueError):
        return None
    if array.dtype.kind in "iuf":
        sound = (array >= 0) & (array <= MOST_COUNTED)
        if array.dtype.kind == "f":
            sound &= array == np.floor(array)
        return array.astype(np.int64) if sound.all() else None
    entries = [_as_count(entry) for entry in array.flat]
    if any(entry is None or not 0 <= entry <= MOST_COUNTED for entry in entries):
        return None
    return np.array(entries, np.int64).reshape(array.shape)


def _is_masked(values: Any) -> bool:
    return bool(np.ma.is_masked(values)) or (isinstance(values, (list, tuple)) and any(map(_is_masked, values)))


def _as_count(value: Any) -> int | None:
    """Return a whole number as an int, or ``None`` if it is not one."""
    if is_integer(value):
        return int(value)
    return int(value) if isinstance(value, (float, np.floating)) and value.is_integer() else None


def rows_of_numbers(values: Any) -> np.ndarray | None:
    """Return one row or rows of numbers as a float array ``(rows, entries)``; ``None`` where an entry is no number or is masked."""
    try:
        array = np.atleast_2d(np.asarray(values))
        # Arrays of objects have entries of any kind; of the others, texts, dates and booleans would pass for numbers.
        numbers = array.dtype.kind in "iuf" or (array.dtype == object and all(map(_is_number, array.ravel().tolist())))
        return array.astype(float) if numbers and array.ndim == 2 and not _is_masked(values) else None
    except (TypeError, ValueError):
        return None


def _is_number(value: Any) -> bool:
    return is_integer(value) or isinstance(value, (float, np.floating))


def curve_values(name: str, values: Any, n_doses: int | None = None) -> np.ndarray:
    """Return true DLT probabilities as a ``(scenarios, doses)`` array.

    Each row must hold probabilities in [0, 1] that do not decrease with the dose.
    """
    array = rows_of_numbers(values)
    if array is None or (array.shape[1] == 0 and n_doses is None):
        raise InputError(Problem(name, values, "must be rows of numbers of equal length, one probability per dose"))
    width = array.shape[1] if n_doses is None else n_doses
    bad = {
        f"must hold {width} probabilities, one per dose": np.full(len(array), array.shape[1] != width),
        "must be probabilities in [0, 1]": ~((array >= 0) & (array <= 1)).all(axis=1),
        "must not decrease with the dose": (np.diff(array, axis=1) < 0).any(axis=1),
    }
    for allowed, rows in bad.items():
        if rows.any():
            raise InputError(Problem(name, array[np.argmax(rows)].tolist(), allowed))
    return array


def reach(amounts: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and highest plausible reference dose for these amounts; a dose outside is taken to be in another unit."""
    return amounts[0] / _REACH, amounts[-1] * _REACH


def number(name: str, value: Any, allowed: str) -> float:
    """Return ``value`` as a float if it is a number; otherwise raise with ``allowed`` as the requirement."""
    if not _is_number(value):
        raise InputError(Problem(name, value, f"must be {allowed}"))
    return float(value)
