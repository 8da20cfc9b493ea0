"""What a result needs to be made again, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._check import Settings
from ..config import Trial, origins
from ..designs import Design
from ..protocol import Assumption, Protocol
from ..provenance import REPRODUCIBLE, versions
from ..timing import Gates, Onset
from ..words import _

__all__ = ["n_assumed", "plain", "stamp"]

# How amounts in patient data are read: without patients nothing depends on it.
_OF_PATIENT_DATA = ("doses.tolerance", "doses.arms", "treatment.split_days")
# What results of endpoints depend on.
_OF_ENDPOINTS = ("endpoints", "doses.tolerance", "doses.arms", "treatment.infusion_days")
# What a protocol records for readers and for conduct, but no result of a design depends on.
_RECORDED_ONLY = (
    *("treatment.infusion_days", "treatment.window", "treatment.infusion_tolerance_days", "treatment.no_overlap"),
    *("dlt", "evaluability", "limits.group", "doses.reference", "pause"),
    *_OF_PATIENT_DATA,
)


def _without_effect(trial: Trial, designs: Mapping[str, Design]) -> list[str]:
    """Return the keys that are given and have no effect."""
    protocol, found = trial.protocol, []
    used = _left_to_trial(designs, protocol.designs) | _left_to_trial(trial.curves, protocol.curves)
    for key in _RECORDED_ONLY:
        part, _, name = key.rpartition(".")
        table = getattr(protocol, part) if part else protocol
        if name in table.model_fields_set and getattr(table, name) is not None and key not in used:
            found.append(key)
    return found


def _left_to_trial(made: Mapping[str, Settings], tables: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return keys of the protocol that give designs or curves a setting which their own tables leave out."""
    every = ((name, *one) for name, kind in made.items() for one in origins(type(kind)).items())
    return {origin.key for name, setting, origin in every if setting not in tables[name]}


def stamp(
    trial: Trial | Protocol,
    design: str | None = None,
    *,
    borrows: bool = False,
    conducts: bool = False,
    timed: bool = False,
    assesses: bool = False,
    measures: bool = False,
) -> dict[str, Any]:
    """Return what is needed to reproduce a result, and its assumptions, as attributes.

    Of a result of one ``design``, the rules of the others and what is assumed of them are left out; so is what is assumed of
    borrowing, of a result that ``borrows`` nothing, and of evaluability and of pauses, of one that does not ``conduct`` a trial;
    and of accrual and the times to events, of one that is not ``timed``; and of efficacy, of one that does not assess it. A result
    that ``measures`` endpoints has only what they depend on.
    """
    trial = Trial.of(trial)
    protocol = trial.protocol
    shown = trial.designs if timed or conducts or design is not None else trial.without_calendar
    built = {name: made for name, made in shown.items() if design in (None, name)}
    assumed = [a for a in _assumed(trial, built) if not a.key.startswith("designs.") or a.key.split(".")[1] in built]
    unused = [] if conducts or timed else _without_effect(trial, built)
    if protocol.borrowing and not borrows:
        unused.append("borrowing")
    if protocol.efficacy is not None and not (assesses or conducts):
        unused.append("efficacy")
    if protocol.endpoints is not None and not conducts:
        unused.append("endpoints")
    if protocol.amendment and not conducts:
        unused.append("amendment")
    # What is assumed of whole tables that have no effect here would only bury the rest.
    idle = {"borrowing": not borrows, "dlt": not conducts, "evaluability": not conducts, "pause": not conducts}
    idle |= {"efficacy": not (assesses or conducts), "endpoints": True}
    times = timed or conducts
    idle |= {"accrual": not timed, "onset": not times, "discontinuation": not timed, "gates": not times}
    assumed = [a for a in assumed if not idle.get(a.key.split(".")[0]) and (conducts or a.key not in _OF_PATIENT_DATA)]
    if measures:
        # No result of a design is among them.
        built, unused = {}, []
        assumed = [a for a in protocol.assumptions() if a.key.startswith(_OF_ENDPOINTS)]
    conduct = {"pause": protocol.pause_rules()} if conducts else {}
    return {
        "protocol": protocol.record.id,
        "protocol_version": protocol.record.version_date.isoformat(),
        "amended_on": ", ".join(day.isoformat() for day in protocol.amended_on),
        "config": protocol.file,
        "config_sha256": protocol.sha256,
        "versions": versions(),
        "reproducible": REPRODUCIBLE,
        "without_effect": ", ".join(unused),
        "assumptions": [a._replace(value=plain(a.value)) for a in assumed],
        "rules": {name: [*made.rules(), *_gates(protocol, made)] for name, made in built.items()},
        **conduct,
    }


def _gates(protocol: Protocol, design: Design) -> list[str]:
    """Return the protocol's gates as sentences; that there are none, for a design that decides by follow-up."""
    if design.reads == "complete" or (protocol.gates is None and design.reads == "pending"):
        return []
    return (protocol.gates or Gates()).sentences(protocol.treatment.dlt_window_days)


def _assumed(trial: Trial, designs: Mapping[str, Design]) -> list[Assumption]:
    """Return the assumptions of the protocol, and the settings of each design that neither its table nor the trial gives."""
    protocol = trial.protocol
    found = protocol.assumptions()
    if protocol.onset is None:
        # A table that is not there is not among the defaults of the protocol; pending outcomes and calendars use it all the same.
        found.append(Assumption("onset", Onset(), _("dosefind's default")))
    if protocol.binding is None and len(protocol.designs) > 1:
        found.append(
            Assumption("binding", next(iter(protocol.designs)), "dosefind's default: the first design is the primary design")
        )
    for name, design in designs.items():
        unset = {key: value for key, value in design.in_force().items() if key not in design.model_fields_set}
        found.append(_by_default(f"designs.{name}", unset))
    for name, curve in trial.curves.items():
        unset = {key: getattr(curve, key) for key in type(curve).model_fields if key not in curve.model_fields_set}
        shown = {key: value for key, value in unset.items() if value is not None}
        if shown:
            found.append(_by_default(f"curves.{name}", shown))
    return found


def n_assumed(stamped: Mapping[str, Any]) -> int:
    """Return the number of settings, or tables of settings, that a result depends on and that the protocol does not state."""
    return len({assumed.key for assumed in stamped["assumptions"]})


def _by_default(key: str, unset: Mapping[str, Any]) -> Assumption:
    shown = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in unset.items()}
    return Assumption(key, shown, f"defaults of this kind of {key.split('s.')[0]}: {plain(shown)}")


def plain(value: Any) -> Any:
    """Return a setting's value as text that a reader can check against the config."""
    if isinstance(value, (Mapping, list, tuple)) and not value:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_within(entry)}" for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_within, value))
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    return value if isinstance(value, (int, float, str)) else str(value)


def _within(value: Any) -> str:
    """Return a value within a table or a list as a config has it."""
    if value is None or value is True or value is False:
        return {None: "none", True: "true", False: "false"}[value]
    words = str(plain(value))
    if not value or not isinstance(value, (Mapping, list, tuple)):
        return words
    return f"{{{words}}}" if isinstance(value, Mapping) else f"[{words}]"
