"""Checks of what comes from outside, and the one error they raise.

Everything a person can get wrong (a key in a config, an argument of a call, a token of an outcome string)
ends in `InputError`, whose message names the place, the value and what is allowed. Settings classes derive
from `Settings`, which turns pydantic's findings into such messages; functions use the small checks below.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["InputError", "Problem", "Settings", "curve_values", "found_problems", "one_of", "probability", "whole"]

_MISSING = object()


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it stands, the value found there, and what is allowed."""

    where: str
    value: Any
    allowed: str

    def __str__(self) -> str:
        shown = "" if self.value is _MISSING else f" = {_shorten(self.value)}"
        return f"{self.where}{shown}: {self.allowed}"


class InputError(ValueError):
    """Input that cannot be used.

    Parameters
    ----------
    problems
        What is wrong; a plain string where there is no key to name.
    source
        The file that the input came from, if any.
    """

    def __init__(self, problems: str | Problem | Iterable[Problem], source: str | None = None) -> None:
        if isinstance(problems, Problem):
            problems = [problems]
        self.problems: list[Problem] = [] if isinstance(problems, str) else list(problems)
        text = problems if isinstance(problems, str) else "\n  ".join(map(str, self.problems))
        self.source = source
        super().__init__(f"{source}: {text}" if source else text)

    def within(self, prefix: str) -> list[Problem]:
        """The same problems as seen from an enclosing table, ``prefix`` being its key."""
        if not self.problems:
            return [Problem(prefix, _MISSING, str(self))]
        return [Problem(f"{prefix}.{p.where}", p.value, p.allowed) for p in self.problems]


class Settings(BaseModel):
    """Base of every settings class: frozen, no unknown keys, errors as `InputError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, table: dict[str, Any]) -> Any:
        """Build from a plain table; raise `InputError` that lists every problem found."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise InputError(found_problems(error, cls)) from None


def found_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """What pydantic found wrong with the settings of ``model``."""
    return [_problem(item, model) for item in error.errors(include_url=False)]


def _problem(item: Any, model: type[BaseModel]) -> Problem:
    location: tuple[int | str, ...] = item["loc"]
    where = _dotted(location) or model.__name__
    if item["type"] == "extra_forbidden":
        return Problem(where, item["input"], _unknown_key(str(location[-1]), _model_at(model, location[:-1])))
    if item["type"] == "missing":
        return Problem(where, _MISSING, "required, but missing")
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    # A check of the whole table has no value of its own to show.
    value = item["input"] if location and not isinstance(item["input"], dict) else _MISSING
    return Problem(where, value, message)


def _unknown_key(key: str, model: type[BaseModel] | None) -> str:
    if model is None:
        return "unknown key"
    allowed = list(model.model_fields)
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown key{hint} (allowed: {', '.join(allowed)})"


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """The settings class that the keys of ``location`` lead to, if there is one."""
    current: Any = model
    for key in map(str, location):
        field = current.model_fields.get(key) if isinstance(current, type) and issubclass(current, BaseModel) else None
        if field is None:
            return None
        candidates = (field.annotation, *getattr(field.annotation, "__args__", ()))
        current = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return current


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _shorten(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def probability(name: str, value: float) -> float:
    """Return ``value`` as a float if it lies strictly between 0 and 1."""
    number = _number(name, value, "a probability between 0 and 1, both excluded")
    if not 0 < number < 1:
        raise InputError(Problem(name, value, "must be a probability between 0 and 1, both excluded"))
    return number


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int if it is a whole number from ``low`` to ``high``."""
    allowed = f"must be a whole number from {low} to {high}" if high is not None else f"must be a whole number, at least {low}"
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low or (high is not None and value > high):
        raise InputError(Problem(name, value, allowed))
    return int(value)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return ``value`` if it is among ``allowed``."""
    options = list(allowed)
    if value not in options:
        near = difflib.get_close_matches(str(value), list(map(str, options)), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(Problem(name, value, f"must be one of {', '.join(map(repr, options))}{hint}"))
    return value


def curve_values(name: str, values: Any, n_doses: int | None = None) -> np.ndarray:
    """Return true DLT probabilities as a ``(scenarios, doses)`` array.

    Each row must hold probabilities in [0, 1] that do not fall with the dose.
    """
    try:
        array = np.atleast_2d(np.asarray(values, dtype=float))
    except (TypeError, ValueError):
        raise InputError(Problem(name, values, "must be rows of numbers of equal length, one probability a dose")) from None
    if array.ndim != 2 or array.shape[1] == 0:
        raise InputError(Problem(name, values, "must be rows of numbers of equal length, one probability a dose"))
    for row in array:
        if n_doses is not None and len(row) != n_doses:
            raise InputError(Problem(name, row.tolist(), f"must hold {n_doses} probabilities, one a dose"))
        if not np.all((row >= 0) & (row <= 1)):
            raise InputError(Problem(name, row.tolist(), "must be probabilities in [0, 1]"))
        if np.any(np.diff(row) < 0):
            raise InputError(Problem(name, row.tolist(), "must not fall with the dose"))
    return array


def _number(name: str, value: Any, allowed: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(Problem(name, value, f"must be {allowed}"))
    return float(value)
