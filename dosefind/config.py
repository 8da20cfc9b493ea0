"""Reading a trial's config from its TOML file, and building its designs and curves once.

A `Trial` is a protocol with its designs, curves and borrowing; it is made when a config is loaded, and passed on. Each design class
is its own settings schema: a design's table states its settings, and an omitted setting takes the value of the protocol key in its
annotation (`FromTrial`).
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from ._check import MISSING, InputError, Problem, Settings, describe, one_of
from .borrowing import Borrowing, OtherTrial
from .designs import BLRM, DESIGNS, Design
from .given_files import read_file
from .models import CURVES, BivariateNormal, Curve, Exchangeable, Exnex, Hazard, one_parameter
from .models.elicitation import Indifference
from .protocol import Amendment, FromTrial, Protocol, from_trial, in_amendment
from .shown import Shown
from .terminal import argument
from .timing import Accrual, Discontinuation, Gates, Onset

__all__ = ["Trial", "build_borrowing", "build_curves", "build_designs", "load_protocol", "load_trial", "origins", "protocol_schema"]

# Maximum size of a config in bytes; those in this repository have some thousands.
_MOST = 1_000_000


@dataclass(frozen=True, eq=False)
class Trial(Shown):
    """A trial as stated in its protocol, with the protocol's designs and curves, each built once.

    `load_trial` reads one from a config; `Trial.of` makes one of a `Protocol`.

    Attributes
    ----------
    protocol
        The protocol.
    designs
        Its designs by name.
    curves
        Its dose-toxicity curves by name.
    borrowing
        Its borrowing from other trials; ``None`` if it has no such table.

    Examples
    --------
    >>> trial = load_trial("configs/nct05962762.toml")
    >>> trial.designs["boin"].cutoff
    0.95
    """

    protocol: Protocol
    designs: Mapping[str, Design]
    curves: Mapping[str, Curve]
    borrowing: Borrowing | None

    @classmethod
    def of(cls, given: Protocol | Trial) -> Trial:
        """Return a trial unchanged, or build the trial of a protocol.

        Parameters
        ----------
        given
            The trial, or the protocol.

        Raises
        ------
        InputError
            If the settings of a design, a curve or the borrowing are not valid.
        """
        if isinstance(given, Trial):
            return given
        if not isinstance(given, Protocol):
            raise InputError(Problem("trial", given, "must be a Trial or a Protocol: load_trial reads one from a file"))
        # Curves first: otherwise an error in a curve's prior would be reported for a design that uses it.
        curves, designs = build_curves(given), build_designs(given)
        _check_weights(given, designs)
        _refuse_target_of_infusion(given, designs, curves)
        return cls(given, designs, curves, build_borrowing(given))

    @property
    def primary(self) -> str:
        """Return the name of the primary design."""
        return self.protocol.binding or next(iter(self.designs))

    @property
    def without_calendar(self) -> Mapping[str, Design]:
        """Return the designs whose operating characteristics do not depend on a calendar, and the primary design.

        The others decide with outcomes pending. Without a calendar, the results of such a primary design are those of accrual so
        slow that every outcome is known at each decision.
        """
        return {name: design for name, design in self.designs.items() if design.reads == "complete" or name == self.primary}

    @cached_property
    def at_targets(self) -> Mapping[float, Mapping[str, Design]]:
        """Return the designs at each other target of ``target.sensitivity``, by name.

        A design that does not depend on the target is the same object as in ``designs``.
        """
        return {rate: _at_other_target(self.protocol, self.designs, rate) for rate in self.protocol.target.sensitivity}

    @cached_property
    def amended(self) -> tuple[Trial, ...]:
        """Return the trial by each amended version of the protocol, in the order of the amendments."""
        found, versions = [], [version for _, version in self.protocol.versions[1:]]
        for number, (amendment, version) in enumerate(zip(self.protocol.amendment, versions, strict=True), start=1):
            with _in_amendment(number, amendment):
                found.append(Trial.of(version))
        return tuple(found)

    def check(self) -> None:
        """Raise `InputError` unless every version of the protocol, and each other target in it, can be built."""
        assert self.at_targets is not None
        for number, (amendment, version) in enumerate(zip(self.protocol.amendment, self.amended, strict=True), start=1):
            with _in_amendment(number, amendment):
                version.check()

    def in_force(self, day: date) -> Trial:
        """Return the trial by the protocol in force on a day, see `Protocol.in_force`."""
        version = self.protocol.in_force(day)
        return next((trial for trial in self.amended if trial.protocol is version), self)

    def __repr__(self) -> str:
        return f"Trial of {self.protocol!r}"

    __str__ = __repr__


def _check_weights(protocol: Protocol, designs: Mapping[str, Design]) -> None:
    """Refuse to weigh patients who left where a design counts whole patients."""
    whole = [f"{name!r} ({design.title})" for name, design in designs.items() if not design.reads_weights]
    if whole:
        *others, last = [kind.title for kind in DESIGNS.values() if kind.reads_weights]
        reading = f"{', '.join(others)} or {last}"
        allowed = (
            f"must be 'not-evaluable', 'no-dlt' or 'dlt' with designs that count whole patients, here {', '.join(whole)}; a weight "
            f"can be read by {reading}"
        )
        causes = protocol.evaluability.weighs
        if causes:
            raise InputError([Problem(f"evaluability.{cause}", "weight", allowed) for cause in causes])


def _refuse_target_of_infusion(protocol: Protocol, designs: Mapping[str, Design], curves: Mapping[str, Curve]) -> None:
    """Refuse a target per infusion for designs and curves that have one outcome per patient."""
    infusions, rate = protocol.treatment.planned_infusions, protocol.target.rate
    if protocol.target.over == "course" or infusions == 1:
        return
    counting = [f"designs.{name}" for name, design in designs.items() if design.reads != "exposure"]
    counting += [f"curves.{name}" for name, curve in curves.items() if not isinstance(curve, Hazard)]
    if counting:
        course = 1 - (1 - rate) ** infusions
        allowed = (
            f"must be 'course' with {', '.join(counting)}, which count one outcome per patient: {rate:g} per infusion is "
            f"{course:.3f} per course of {infusions} infusions at the same hazard"
        )
        raise InputError(Problem("target.over", protocol.target.over, allowed))


@contextmanager
def _in_amendment(number: int, amendment: Amendment) -> Iterator[None]:
    """State the amendment (from 1) in an error of the version that it makes."""
    try:
        yield
    except InputError as error:
        raise in_amendment(number, amendment, error) from None


def load_trial(path: str | Path) -> Trial:
    """Read and check a config, and build its designs and curves.

    Parameters
    ----------
    path
        A TOML file.

    Returns
    -------
    Trial
        By the original version of the protocol; `Trial.in_force` returns the trial by the version in force on a day.

    Raises
    ------
    InputError
        If the file cannot be read, or anything in it or in an amended version is not valid; the message states the file and every
        key at fault, its value and what is allowed.

    Examples
    --------
    >>> trial = load_trial("configs/nct05962762.toml")
    >>> trial.protocol.doses.amounts
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
        trial = Trial.of(Protocol.read(table))
        trial.check()
    except InputError as error:
        raise InputError(error.problems or str(error), source=str(path)) from None
    except RecursionError:
        raise InputError("is nested too deeply", source=str(path)) from None
    for _, version in trial.protocol.versions:
        version._file, version._sha256 = argument(path.name), hashlib.sha256(content + read).hexdigest()
    return trial


def load_protocol(path: str | Path) -> Protocol:
    """Read and check a config, and return the protocol only; `load_trial` also builds its designs.

    Parameters
    ----------
    path
        A TOML file.

    Returns
    -------
    Protocol
        The original version; `Protocol.in_force` returns the version in force on a day, `Protocol.versions` all of them.

    Raises
    ------
    InputError
        See `load_trial`.

    Examples
    --------
    >>> load_protocol("configs/nct05962762.toml").doses.amounts
    (1.0, 3.0, 5.0)
    """
    return load_trial(path).protocol


def _with_files(table: dict[str, Any], folder: Path) -> tuple[dict[str, Any], bytes]:
    """Return a config's table with the files that its designs refer to, and the bytes read, for the hash."""
    made, read = dict(table), b""
    amendments = made.get("amendment")
    if isinstance(amendments, list):
        parts = [_with_files(table, folder) if isinstance(table, dict) else (table, b"") for table in amendments]
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


def build_designs(protocol: Protocol, target: float | None = None) -> dict[str, Design]:
    """Return the designs of a protocol, by name.

    Parameters
    ----------
    protocol
        The protocol.
    target
        A target instead of the protocol's, for designs whose own table does not state one. The half-width of an indifference
        interval is then in proportion to the target. The target interval is unchanged: a design that uses it has a prior that was
        stated together with it.

    Raises
    ------
    InputError
        If a design's table has no known kind, or its settings are not valid or contradict each other.
    """
    rate = protocol.target.rate if target is None else target
    return _build("designs", _tables_at(protocol, rate), DESIGNS, protocol, rate)


def _at_other_target(protocol: Protocol, designs: Mapping[str, Design], rate: float) -> dict[str, Design]:
    """Return the designs at another target; a design whose settings do not change is the same object."""
    tables = _tables_at(protocol, rate)

    def differs(name: str, kind: type[Design]) -> bool:
        settings = _filled_in(kind, protocol.designs[name], protocol, protocol.target.rate)
        return _filled_in(kind, tables[name], protocol, rate) != settings

    other = {name: tables[name] for name, design in designs.items() if differs(name, type(design))}
    try:
        protocol.target.at(rate)
        made = _build("designs", other, DESIGNS, protocol, rate)
    except InputError as error:
        problems = [
            Problem(p.where, p.value, f"{p.allowed} (at the target {rate:g} of target.sensitivity)") for p in error.problems
        ]
        raise InputError(problems) from None
    return {name: made.get(name, design) for name, design in designs.items()}


def _tables_at(protocol: Protocol, rate: float) -> dict[str, dict[str, Any]]:
    """Return the tables of the designs at a target."""
    return {name: _at_target(table, rate / protocol.target.rate) for name, table in protocol.designs.items()}


def _at_target(table: dict[str, Any], ratio: float) -> dict[str, Any]:
    """Return a design's table at ``ratio`` times the protocol's target, with a skeleton's half-width in proportion."""
    skeleton = table.get("skeleton")
    if ratio == 1 or "target" in table or not isinstance(skeleton, dict) or not isinstance(skeleton.get("halfwidth"), float):
        return table
    return {**table, "skeleton": {**skeleton, "halfwidth": round(skeleton["halfwidth"] * ratio, 12)}}


def build_curves(protocol: Protocol) -> dict[str, Curve]:
    """Return the dose-toxicity curves of a protocol, by name.

    Parameters
    ----------
    protocol
        The protocol.

    Raises
    ------
    InputError
        If a curve's table has no known kind, or its settings are not valid.
    """
    tables = {name: _with_skeleton(name, table, protocol) for name, table in protocol.curves.items()}
    return _build("curves", tables, CURVES, protocol, protocol.target.rate)


def build_borrowing(protocol: Protocol) -> Borrowing | None:
    """Return the borrowing of a protocol from other trials, or ``None`` if it has no such table.

    Parameters
    ----------
    protocol
        The protocol.

    Raises
    ------
    InputError
        If its settings are not valid, or do not define a model of the trials.
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


def _with_skeleton(name: str, table: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """Return a curve's table with its skeleton as numbers, if it is defined by an indifference interval."""
    kinds = one_parameter()
    if not isinstance(table.get("skeleton"), dict) or table.get("kind") not in kinds:
        return table
    try:
        options = {key: table[key] for key in kinds[table["kind"]].options() if key in table}
        interval = Indifference.read(table["skeleton"])
        return {**table, "skeleton": interval.levels(protocol.target.rate, protocol.n_doses, table["kind"], **options)}
    except InputError as error:
        raise InputError([p.within(f"curves.{name}.skeleton") for p in error.problems]) from None


# Curves on a dose scale use the doses of the trial.
_OF_CURVES = {name: origin for name, origin in from_trial(BLRM).items() if name in ("doses", "reference")}


def origins(kind: type[Settings]) -> dict[str, FromTrial]:
    """Return the settings of a design or curve whose values the trial supplies if its table does not, each with its origin."""
    of_curves = {name: origin for name, origin in _OF_CURVES.items() if name in kind.model_fields}
    return of_curves | from_trial(kind)


def _filled_in(kind: type[Settings], table: Mapping[str, Any], protocol: Protocol, target: float) -> dict[str, Any]:
    """Return the settings of a table, completed from the trial, whose target may differ from the protocol's."""
    given = {name: target if origin.key == "target.rate" else origin.value(protocol) for name, origin in origins(kind).items()}
    known = {name: value for name, value in given.items() if value is not None}
    return {**known, **{key: value for key, value in table.items() if key != "kind"}}


def _build[T: Settings](
    place: str, tables: Mapping[str, dict[str, Any]], registry: Mapping[str, type[T]], protocol: Protocol, target: float
) -> dict[str, T]:
    """Return the settings in the tables, each completed from the trial."""
    built: dict[str, T] = {}
    problems: list[Problem] = []
    n_doses = protocol.n_doses
    for name, table in tables.items():
        settings = {key: value for key, value in table.items() if key != "kind"}
        left: dict[str, FromTrial] = {}
        try:
            if "kind" not in table:
                raise InputError(Problem("kind", MISSING, f"required, but missing: one of {', '.join(map(repr, registry))}"))
            kind = registry[one_of("kind", table["kind"], registry)]
            left = {name: origin for name, origin in origins(kind).items() if name not in settings}
            _refuse_extreme(settings.get("prior"))
            if settings.get("n_doses", n_doses) != n_doses:
                raise InputError(Problem("n_doses", settings["n_doses"], f"must be {n_doses}, the number of doses.amounts"))
            made = kind(**_filled_in(kind, table, protocol, target))
            if getattr(made, "n_doses", n_doses) != n_doses:
                allowed = f"must have {n_doses} entries, one per dose of doses.amounts"
                key = "skeleton" if "skeleton" in settings else "doses"
                raise InputError(Problem(key, settings.get(key, MISSING), allowed))
            built[name] = made
        except InputError as error:
            problems += [_with_origin(p, left).within(f"{place}.{name}") for p in error.problems]
    if problems:
        raise InputError(problems)
    return built


# Largest absolute means and standard deviations of log alpha and log beta, on the logit scale: a median DLT rate at the
# reference dose below 0.005% or above 99.995%, a median slope of 55 or 1/55, and slopes that vary by a factor of 350 in each
# direction within two standard deviations. Quadrature of posteriors so far from the data takes minutes before it fails.
_EXTREME = {"mean": (10.0, 4.0), "sd": (10.0, 3.0)}


def _refuse_extreme(prior: Any) -> None:
    """Raise `InputError` if a mean or a standard deviation of a prior, or of a mixture component, is implausibly large."""
    several = isinstance(prior, list)
    for number, component in enumerate(prior if several else [prior], start=1):
        for key, limits in _EXTREME.items() if isinstance(component, dict) else ():
            values = component.get(key)
            for place, (value, most) in enumerate(zip(values if isinstance(values, list) else [], limits, strict=False), start=1):
                if isinstance(value, (int, float)) and abs(value) > most:
                    where = f"prior{f'[{number}]' * several}.{key}[{place}]"
                    least = f"from -{most:g} to" if key == "mean" else "at most"
                    allowed = f"must be {least} {most:g}, on the logit scale"
                    raise InputError(Problem(where, value, allowed))


def _with_origin(problem: Problem, left: Mapping[str, FromTrial]) -> Problem:
    """Return the same problem, with the origin of the setting at fault if the trial supplies it."""
    origin = left.get(problem.where.split("[")[0].split(".")[0])
    if origin is None:
        return problem
    if problem.value is MISSING:
        return Problem(problem.where, MISSING, f"{problem.allowed} (give it here or as {origin})")
    return Problem(problem.where, problem.value, f"{problem.allowed} (it comes from {origin})")


# Tables that no amendment changes.
_NOT_AMENDED = ("PartRule", "Intake")


def protocol_schema() -> dict[str, Any]:
    """Return the JSON Schema of a protocol file, including designs, for editors."""
    schema = Protocol.model_json_schema()
    describe(schema, Protocol)
    for place, registry in (("designs", DESIGNS), ("curves", CURVES)):
        options = []
        for kind, one_kind in registry.items():
            settings = one_kind.model_json_schema()
            describe(settings, one_kind)
            schema.setdefault("$defs", {}).update(settings.pop("$defs", {}))
            settings["properties"] = {"kind": {"const": kind, "description": f"kind of {place[:-1]}"}, **settings["properties"]}
            settings["required"] = ["kind", *(key for key in settings.get("required", []) if key not in origins(one_kind))]
            options.append(settings)
        schema["properties"][place]["patternProperties"] = {"^[A-Za-z0-9+_-]{1,40}$": {"oneOf": options}}
        schema["properties"][place].pop("additionalProperties", None)
    borrowing = Borrowing.model_json_schema()
    describe(borrowing, Borrowing)
    parts = borrowing.pop("$defs")
    schema["$defs"] = parts | schema["$defs"]
    for part in (Exchangeable, Exnex, OtherTrial, BivariateNormal, Accrual, Onset, Discontinuation, Gates):
        describe(schema["$defs"][part.__name__], part)
    # An analysis asks for the borrowed quantity.
    borrowing["required"].append("pooled")
    schema["properties"]["borrowing"] = borrowing
    _describe_amendments(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _describe_amendments(schema: dict[str, Any]) -> None:
    """Add to an amendment's tables the keys of the tables that they change, none of them required."""
    describe(schema["$defs"]["Amendment"], Amendment)
    defs = {name: definition for name, definition in schema["$defs"].items() if name != "Amendment"}
    tables = schema["$defs"]["Amendment"]["properties"]
    for name in Amendment.model_fields:
        if tables[name].get("type") == "object" and name != "assumed":
            tables[name]["allOf"] = [_as_amended(schema["properties"][name])]
    # Rules on parts have their own dates, and no amendment changes them.
    schema["$defs"] |= {f"Amended{name}": _as_amended(definition) for name, definition in defs.items() if name not in _NOT_AMENDED}


def _as_amended(schema: Any) -> Any:
    """Return the schema of a table with all keys optional."""
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
