"""Reading a protocol from its TOML file, and building the designs that it names.

Each design class is its own settings schema: a design's table gives its settings, and what the trial fixes (number of doses,
target, largest sample, cohort size, start level) is filled in where the class has such a setting and the table does not say
otherwise.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._check import MISSING, InputError, Problem, Settings, describe, one_of
from .borrowing import Borrowing, OtherTrial
from .designs import DESIGNS, Design
from .given_files import read_file
from .models import CURVES, BivariateNormal, Curve, Exchangeable, Exnex, Logistic2, one_parameter
from .models.elicitation import Indifference
from .protocol import Amendment, Protocol, in_amendment
from .terminal import argument

__all__ = ["build_borrowing", "build_curves", "build_designs", "load_protocol", "protocol_schema"]

# Largest config that is read, in bytes; those of this repository have some thousands.
_MOST = 1_000_000


def load_protocol(path: str | Path) -> Protocol:
    """Read and check a protocol.

    Parameters
    ----------
    path
        A TOML file.

    Returns
    -------
    Protocol
        The original version; `Protocol.in_force` gives the version in force on a day, `Protocol.versions` all of them.

    Raises
    ------
    InputError
        If the file cannot be read or anything in it or in an amended version is wrong; the message names the file and every key at
        fault, its value and what is allowed.

    Examples
    --------
    >>> load_protocol("configs/nct05962762.toml").doses.amounts
    (1.0, 3.0, 5.0)
    """
    path = Path(path)
    content = read_file(path, _MOST)
    try:
        table = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", source=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"is not valid TOML: {error}", source=str(path)) from None
    except ValueError:
        raise InputError("is not valid TOML: a number has thousands of digits", source=str(path)) from None
    except RecursionError:
        raise InputError("is not valid TOML: nested too deeply", source=str(path)) from None
    table, read = _with_files(table, path.parent)
    try:
        protocol = Protocol.read(table)
        _build_all(protocol)
        for number, (amendment, (_, version)) in enumerate(zip(protocol.amendment, protocol.versions[1:], strict=True), start=1):
            try:
                _build_all(version)
            except InputError as error:
                raise in_amendment(number, amendment, error) from None
    except InputError as error:
        raise InputError(error.problems or str(error), source=str(path)) from None
    except RecursionError:
        raise InputError("is nested too deeply", source=str(path)) from None
    for _, version in protocol.versions:
        version._file, version._sha256 = argument(path.name), hashlib.sha256(content + read).hexdigest()
    return protocol


def _with_files(table: dict[str, Any], folder: Path) -> tuple[dict[str, Any], bytes]:
    """A config's table with what its designs name of files read, and what was read, for the hash; nothing where there are none."""
    made, read = dict(table), b""
    amendments = made.get("amendment")
    if isinstance(amendments, list):
        parts = [_with_files(one, folder) if isinstance(one, dict) else (one, b"") for one in amendments]
        made["amendment"], read = [part for part, _ in parts], b"".join(more for _, more in parts)
    designs = made.get("designs")
    for name, design in designs.items() if isinstance(designs, dict) else ():
        kind = design.get("kind") if isinstance(design, dict) else None
        if isinstance(kind, str) and kind in DESIGNS:
            settings = DESIGNS[kind].with_files(design, folder)
            if settings != design:
                made["designs"] = made["designs"] | {name: settings}
                read += json.dumps(settings, sort_keys=True).encode()
    return made, read


def _build_all(protocol: Protocol) -> None:
    """Build everything that a protocol names, so that whatever is wrong is an `InputError` now."""
    # Curves first: a design that takes a curve's prior would be named in its place.
    build_curves(protocol)
    build_designs(protocol)
    build_borrowing(protocol)
    for rate in protocol.target.sensitivity:
        _build_for_other_target(protocol, rate)


def build_designs(protocol: Protocol, target: float | None = None) -> dict[str, Design]:
    """The designs of a protocol, by name.

    Parameters
    ----------
    protocol
        The protocol.
    target
        A target in place of the protocol's, for designs whose own table does not fix one. The half-width of an indifference
        interval is then in proportion to the target. The target interval stays: a design that chooses by it has a prior that was
        stated together with it.

    Raises
    ------
    InputError
        If a design's table names no known kind, or its settings are wrong or contradict each other.
    """
    rate = protocol.target.rate if target is None else target
    tables = {name: _at_target(table, rate / protocol.target.rate) for name, table in protocol.designs.items()}
    trial = {
        **_of_the_trial(protocol, rate),
        "max_n": protocol.limits.max_n,
        "cohort_size": protocol.limits.cohort_size,
        "start": protocol.limits.start_level,
    }
    return _build("designs", tables, DESIGNS, trial)


def _at_target(table: dict[str, Any], ratio: float) -> dict[str, Any]:
    """A design's table where the target is ``ratio`` times the protocol's: a skeleton's half-width in proportion."""
    skeleton = table.get("skeleton")
    if ratio == 1 or "target" in table or not isinstance(skeleton, dict) or not isinstance(skeleton.get("halfwidth"), float):
        return table
    return {**table, "skeleton": {**skeleton, "halfwidth": round(skeleton["halfwidth"] * ratio, 12)}}


def build_curves(protocol: Protocol) -> dict[str, Curve]:
    """The dose-toxicity curves of a protocol, by name.

    Parameters
    ----------
    protocol
        The protocol.

    Raises
    ------
    InputError
        If a curve's table names no known kind, or its settings are wrong.
    """
    trial = {key: value for key, value in _of_the_trial(protocol, protocol.target.rate).items() if key != "prior"}
    tables = {name: _with_skeleton(name, table, trial) for name, table in protocol.curves.items()}
    return _build("curves", tables, CURVES, trial)


def build_borrowing(protocol: Protocol) -> Borrowing | None:
    """What a protocol borrows from other trials, ``None`` where it has no such table.

    Parameters
    ----------
    protocol
        The protocol.

    Raises
    ------
    InputError
        If its settings are wrong, or no model of the trials follows from them.
    """
    if not protocol.borrowing:
        return None
    try:
        borrowing = Borrowing.read(protocol.borrowing)
        borrowing.model(protocol)
    except InputError as error:
        raise InputError(error.within("borrowing")) from None
    protocol.check_assumed(key for key in protocol.assumed if key.startswith("borrowing."))
    return borrowing


def _with_skeleton(name: str, table: dict[str, Any], trial: dict[str, Any]) -> dict[str, Any]:
    """A curve's table with its skeleton as numbers, if it is said by an indifference interval."""
    kinds = one_parameter()
    if not isinstance(table.get("skeleton"), dict) or table.get("kind") not in kinds:
        return table
    try:
        options = {key: table[key] for key in kinds[table["kind"]].options() if key in table}
        interval = Indifference.read(table["skeleton"])
        return {**table, "skeleton": interval.levels(trial["target"], trial["n_doses"], table["kind"], **options)}
    except InputError as error:
        raise InputError([p.within(f"curves.{name}.skeleton") for p in error.problems]) from None


def _of_the_trial(protocol: Protocol, target: float) -> dict[str, Any]:
    """Settings that the trial fixes for whatever has them."""
    reference = protocol.doses.reference
    priors = [table["prior"] for table in protocol.curves.values() if table.get("kind") == Logistic2.kind and "prior" in table]
    given = {
        "n_doses": protocol.n_doses,
        "target": target,
        "interval": protocol.target.interval,
        "doses": protocol.doses.amounts,
        "reference": None if reference is None else reference.amount,
        "prior": priors[0] if priors else None,
    }
    return {key: value for key, value in given.items() if value is not None}


def _build[T: Settings](
    place: str, tables: Mapping[str, dict[str, Any]], registry: Mapping[str, type[T]], trial: dict[str, Any]
) -> dict[str, T]:
    """What the tables say, each filled in with what the trial fixes."""
    built: dict[str, T] = {}
    problems: list[Problem] = []
    for name, table in tables.items():
        settings = {key: value for key, value in table.items() if key != "kind"}
        try:
            if "kind" not in table:
                raise InputError(Problem("kind", MISSING, f"required, but missing: one of {', '.join(map(repr, registry))}"))
            kind = registry[one_of("kind", table["kind"], registry)]
            known = {key: value for key, value in trial.items() if key in kind.model_fields}
            _refuse_extreme(settings.get("prior"))
            if settings.get("n_doses", trial["n_doses"]) != trial["n_doses"]:
                raise InputError(Problem("n_doses", settings["n_doses"], f"must be {trial['n_doses']}, as many as doses.amounts"))
            made = kind(**{**known, **settings})
            if getattr(made, "n_doses", trial["n_doses"]) != trial["n_doses"]:
                allowed = f"must have {trial['n_doses']} entries, one a dose of doses.amounts"
                key = "skeleton" if "skeleton" in settings else "doses"
                raise InputError(Problem(key, settings.get(key, MISSING), allowed))
            built[name] = made
        except InputError as error:
            problems += [_with_origin(p, settings).within(f"{place}.{name}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return built


# Largest absolute means and standard deviations of log alpha and log beta, on the scale of logits: a median DLT rate at the
# reference dose below 0.005% or above 99.995%, and a slope that varies by a factor of 350 each way within two standard deviations.
# Quadrature of posteriors so far from the data takes minutes before it gives up.
_EXTREME = {"mean": (10.0, 10.0), "sd": (10.0, 3.0)}


def _refuse_extreme(prior: Any) -> None:
    """Raise `InputError` if a mean or a standard deviation of a prior, or of one of several that are mixed, is beyond any meant."""
    several = isinstance(prior, list)
    for number, one in enumerate(prior if several else [prior], start=1):
        for key, limits in _EXTREME.items() if isinstance(one, dict) else ():
            values = one.get(key)
            for place, (value, most) in enumerate(zip(values if isinstance(values, list) else [], limits, strict=False), start=1):
                if isinstance(value, (int, float)) and abs(value) > most:
                    where = f"prior{f'[{number}]' * several}.{key}[{place}]"
                    least = f"from -{most:g} to" if key == "mean" else "at most"
                    allowed = f"must be {least} {most:g}, on the scale of logits"
                    raise InputError(Problem(where, value, allowed))


def _build_for_other_target(protocol: Protocol, rate: float) -> None:
    try:
        protocol.target.at(rate)
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
    "interval": "target.interval",
    "doses": "doses.amounts",
    "reference": "doses.reference",
    "prior": "the prior of the first curve of kind 'logistic-2'",
}


def _with_origin(problem: Problem, settings: dict[str, Any]) -> Problem:
    """The same problem, naming the key at fault where a design got the value from the trial's."""
    key = problem.where.split("[")[0]
    key = key.split(".")[0]
    if key in settings or key not in _ORIGINS:
        return problem
    if problem.value is MISSING:
        return Problem(problem.where, MISSING, f"{problem.allowed} (give it here or as {_ORIGINS[key]})")
    return Problem(problem.where, problem.value, f"{problem.allowed} (it comes from {_ORIGINS[key]})")


# Tables that no amendment changes.
_NOT_AMENDED = ("PartRule", "Intake")


def protocol_schema() -> dict[str, Any]:
    """JSON Schema of a protocol file, designs included, for editors."""
    schema = Protocol.model_json_schema()
    describe(schema, Protocol)
    filled_in = {"n_doses", "target", "max_n", "cohort_size", "start", "interval", "doses", "reference", "prior"}
    for place, registry, required in (("designs", DESIGNS, filled_in), ("curves", CURVES, filled_in - {"prior"})):
        options = []
        for kind, one_kind in registry.items():
            one = one_kind.model_json_schema()
            describe(one, one_kind)
            schema.setdefault("$defs", {}).update(one.pop("$defs", {}))
            one["properties"] = {"kind": {"const": kind, "description": f"kind of {place[:-1]}"}, **one["properties"]}
            one["required"] = ["kind", *(key for key in one.get("required", []) if key not in required)]
            options.append(one)
        schema["properties"][place]["patternProperties"] = {"^[A-Za-z0-9+_-]{1,40}$": {"oneOf": options}}
        schema["properties"][place].pop("additionalProperties", None)
    borrowing = Borrowing.model_json_schema()
    describe(borrowing, Borrowing)
    parts = borrowing.pop("$defs")
    schema["$defs"] = parts | schema["$defs"]
    for part in (Exchangeable, Exnex, OtherTrial, BivariateNormal):
        describe(schema["$defs"][part.__name__], part)
    # An analysis asks what is pooled.
    borrowing["required"].append("pooled")
    schema["properties"]["borrowing"] = borrowing
    _describe_amendments(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _describe_amendments(schema: dict[str, Any]) -> None:
    """Give the tables of an amendment the keys of the tables that they change, none of them required."""
    describe(schema["$defs"]["Amendment"], Amendment)
    defs = {name: definition for name, definition in schema["$defs"].items() if name != "Amendment"}
    tables = schema["$defs"]["Amendment"]["properties"]
    for name in Amendment.model_fields:
        if tables[name].get("type") == "object" and name != "assumed":
            tables[name]["allOf"] = [_as_amended(schema["properties"][name])]
    # Rules on parts have days of their own, and no amendment changes them.
    schema["$defs"] |= {f"Amended{name}": _as_amended(definition) for name, definition in defs.items() if name not in _NOT_AMENDED}


def _as_amended(schema: Any) -> Any:
    """Return the schema of a table of which any keys may be left out."""
    if isinstance(schema, list):
        return [_as_amended(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _as_amended(part) for key, part in schema.items() if not (key == "required" and isinstance(part, list))}
    if "$ref" in found:
        found["$ref"] = found["$ref"].replace("#/$defs/", "#/$defs/Amended")
    # Without its kind, a table of settings may fit several kinds.
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    return found
