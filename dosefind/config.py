"""Reading a protocol from its TOML file, and building the designs that it names.

Each design class is its own settings schema: a design's table gives its settings, and what the trial fixes (number of doses,
target, largest sample, cohort size, start level) is filled in where the class has such a setting and the table does not say
otherwise.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from ._check import MISSING, InputError, Problem, describe, one_of
from .designs import DESIGNS, Design
from .protocol import Protocol

__all__ = ["build_designs", "load_protocol", "protocol_schema"]


def load_protocol(path: str | Path) -> Protocol:
    """Read and check a protocol.

    Parameters
    ----------
    path
        A TOML file.

    Returns
    -------
    Protocol

    Raises
    ------
    InputError
        If the file cannot be read or anything in it is wrong; the message names the file and every key at fault, its value and what
        is allowed.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", source=str(path)) from None
    except ValueError as error:  # a path with a null character
        raise InputError(f"cannot be read: {error}", source=repr(str(path))) from None
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", source=str(path)) from None
    except RecursionError:
        raise InputError("is not valid TOML: nested too deeply", source=str(path)) from None
    try:
        protocol = Protocol.read(table)
        build_designs(protocol)
        for rate in protocol.target.sensitivity:
            _build_for_other_target(protocol, rate)
    except InputError as error:
        raise InputError(error.problems or str(error), source=str(path)) from None
    protocol._file, protocol._sha256 = path.name, hashlib.sha256(content).hexdigest()
    return protocol


def build_designs(protocol: Protocol, target: float | None = None) -> dict[str, Design]:
    """The designs of a protocol, by name.

    Parameters
    ----------
    protocol
        The protocol.
    target
        A target in place of the protocol's, for designs whose own table does not fix one.

    Raises
    ------
    InputError
        If a design's table names no known kind, or its settings are wrong or contradict each other.
    """
    trial = {
        "n_doses": protocol.n_doses,
        "target": protocol.target.rate if target is None else target,
        "max_n": protocol.limits.max_n,
        "cohort_size": protocol.limits.cohort_size,
        "start": protocol.limits.start_level,
    }
    built: dict[str, Design] = {}
    problems: list[Problem] = []
    for name, table in protocol.designs.items():
        settings = {key: value for key, value in table.items() if key != "kind"}
        try:
            if "kind" not in table:
                raise InputError(Problem("kind", MISSING, f"required, but missing: one of {', '.join(map(repr, DESIGNS))}"))
            design = DESIGNS[one_of("kind", table["kind"], DESIGNS)]
            known = {key: value for key, value in trial.items() if key in design.model_fields}
            if settings.get("n_doses", protocol.n_doses) != protocol.n_doses:
                raise InputError(Problem("n_doses", settings["n_doses"], f"must be {protocol.n_doses}, as many as doses.amounts"))
            built[name] = design(**{**known, **settings})
        except InputError as error:
            problems += [_with_origin(p, settings).within(f"designs.{name}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return built


def _build_for_other_target(protocol: Protocol, rate: float) -> None:
    try:
        build_designs(protocol, rate)
    except InputError as error:
        problems = [
            Problem(p.where, p.value, f"{p.allowed} (at the target {rate:g} of target.sensitivity)") for p in error.problems
        ]
        raise InputError(problems) from None


# Where a design's setting comes from when its own table does not give it.
_ORIGINS = {
    "n_doses": "doses.amounts",
    "target": "target.rate",
    "max_n": "limits.max_n",
    "cohort_size": "limits.cohort_size",
    "start": "limits.start_level",
}


def _with_origin(problem: Problem, settings: dict[str, Any]) -> Problem:
    """The same problem, naming the key at fault where a design got the value from the trial's."""
    key = problem.where.split("[")[0]
    if key in settings or key not in _ORIGINS or problem.value is MISSING:
        return problem
    return Problem(problem.where, problem.value, f"{problem.allowed} (it comes from {_ORIGINS[key]})")


def protocol_schema() -> dict[str, Any]:
    """JSON Schema of a protocol file, designs included, for editors."""
    schema = Protocol.model_json_schema()
    describe(schema, Protocol)
    filled_in = {"n_doses", "target", "max_n", "cohort_size", "start"}
    options = []
    for kind, design in DESIGNS.items():
        one = design.model_json_schema()
        describe(one, design)
        schema.setdefault("$defs", {}).update(one.pop("$defs", {}))
        one["properties"] = {"kind": {"const": kind, "description": "kind of design"}, **one["properties"]}
        one["required"] = ["kind", *(key for key in one.get("required", []) if key not in filled_in)]
        options.append(one)
    schema["properties"]["designs"]["patternProperties"] = {"^[A-Za-z0-9+_-]{1,40}$": {"oneOf": options}}
    schema["properties"]["designs"].pop("additionalProperties", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
