"""A page on which exact operating characteristics follow the true DLT rates as they are set: one HTML file, no server, no network.

The file holds what does not depend on the true rates: the final states of each design with their multiplicities, and each decision
that a design can reach. The script beside it (source in ``explore/`` of the repository) weights them.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._check import InputError, Problem, whole
from ...config import Trial
from ...designs import Design
from ...designs.rules import TIE
from ...figures import OPERATING
from ...models import Hazard
from ...operating.lattice import Lattice, lattice
from ...operating.metrics import definitions
from ...operating.tally import FIGURES, OVERDOSE_SHARES
from ...operating.walk import WalkTooLarge
from ...plots.style import amount, unit
from ...protocol import Protocol
from ...provenance import refuse_to_overwrite, write_whole
from ...shown import Shown
from ...tasks.comparison import standards_of
from ...tasks.decision_graph import MOST_NODES, decision_graph
from ...tasks.optimum import curves_of
from ...tasks.stamps import n_assumed, stamp
from ...tasks.steps import decision_table
from ...threads import one_thread
from ...words import _
from ..content import Text
from ..pages.table import decisions, explained

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["MOST_BYTES", "Explorer", "explore"]

MOST_BYTES = 1_100_000
"""Default size of all final states and decisions in the file, in bytes."""
# Memory of the enumeration of one design: a design that needs more does not fit the file.
_MEMORY = 2**29
# True curves that stand for the prior of a curve.
_CURVES = 256
_TYPES = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32, "f8": np.float64}


@dataclass(frozen=True)
class Explorer(Shown):
    """A page to explore, complete.

    Attributes
    ----------
    html
        The text of the HTML file.
    designs
        Names of the designs in it.
    left_out
        Designs whose operating characteristics are not in it, each with the reason.
    """

    html: str = field(repr=False)
    designs: tuple[str, ...]
    left_out: Mapping[str, str]

    @one_thread
    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the file.

        Parameters
        ----------
        path
            The file, such as ``explore.html``.
        force
            Whether to overwrite an existing file.
        """
        path = Path(path)
        refuse_to_overwrite(path.parent, [path.name], force)
        write_whole(path.parent, {path.name: self.html.encode()}, force=force)
        return path

    def _repr_html_(self) -> str:
        given = f'title="explore" sandbox="allow-scripts allow-downloads" srcdoc="{escape(self.html)}"'
        return f'<iframe style="width: 100%; height: 60em" {given}></iframe>'


@one_thread
def explore(
    trial: Trial | Protocol,
    path: str | Path | None = None,
    *,
    force: bool = False,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[float, int], None] | None = None,
) -> Explorer:
    """Return a page on which exact operating characteristics change as the true DLT rates are set.

    It is one HTML file that needs no server and no network: sliders for the true DLT rates, the operating characteristics of each
    design, its decision table, and a player of what each design does after given outcomes, for planning.

    Parameters
    ----------
    trial
        The trial, from `load_trial`, or its protocol.
    path
        Where to write the file; by default it is not written.
    force
        Whether to overwrite an existing file.
    most_bytes
        Largest size of the final states and decisions in the file; designs that exceed it are listed with the reason.
    progress
        Called with the number of designs done and their total number.

    Returns
    -------
    Explorer
        The page; in a notebook it shows itself.

    Raises
    ------
    InputError
        If the file exists, or no design can be explored.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> page = explore(load_trial("configs/nct05962762.toml"))
    >>> page.designs[:3], list(page.left_out)
    (('3+3', 'crm-6', 'crm'), ['rolling-6'])
    """
    trial = Trial.of(trial)
    whole("most_bytes", most_bytes, 1)
    if path is not None:
        refuse_to_overwrite(Path(path).parent, [Path(path).name], force)
    blob, left_out = _Blob(most_bytes), {}
    priors = [
        {"name": name, **dict(zip(("rates", "weights"), map(blob.add, curves_of(curve, _CURVES)), strict=True))}
        for name, curve in trial.curves.items()
        if not isinstance(curve, Hazard)
    ]
    shown = [_design(trial, name, design) for name, design in trial.designs.items()]
    # Operating characteristics come first; decisions have what they leave.
    for number, (name, design) in enumerate(trial.designs.items()):
        why = _not_exact(trial, name, design)
        if not why:
            try:
                shown[number]["states"] = blob.add_all(_final_states(trial, lattice(design, memory_limit=_MEMORY)))
            except (WalkTooLarge, _Full) as error:
                why = str(error)
        if why:
            left_out[name] = why
        if progress is not None:
            progress(number + 1, len(shown))
    if len(left_out) == len(shown):
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise InputError(Problem("designs", None, f"none can be explored ({reasons})"))
    for one, design in zip(shown, trial.designs.values(), strict=True):
        one["graph"] = _graph(blob, design, trial.protocol.n_doses)
    page = Explorer(_html(trial, priors, shown, left_out, blob), tuple(one["name"] for one in shown if "states" in one), left_out)
    if path is not None:
        page.save(path, force=force)
    return page


def _design(trial: Trial, name: str, design: Design) -> dict[str, Any]:
    """Return what is in the file of a design besides its final states and decisions."""
    return {
        "name": name,
        "title": design.title,
        "primary": name == trial.primary,
        "cap": design.most_per_dose or 0,
        "reasons": [design.explain(reason) for reason in design.reasons],
        "rules": list(design.rules()),
        "table": _table(trial, name),
    }


def _not_exact(trial: Trial, name: str, design: Design) -> str:
    """Return why a design has no exact operating characteristics by DLT rates, or nothing."""
    if name not in trial.without_calendar:
        return _("decides with outcomes pending: its operating characteristics need a calendar (dosefind calendar)")
    if design.tracks != ("dlt",):
        return _("also counts responses: its operating characteristics need response rates")
    return ""


class _Full(Exception):
    """What is to be added exceeds the size of the file."""


class _Blob:
    """Arrays one after the other, each aligned to eight bytes, up to a size after compression."""

    def __init__(self, most_bytes: int) -> None:
        self.parts: list[bytes] = []
        self.length, self.left = 0, most_bytes

    def add_all(self, arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
        """Add arrays; return where each is.

        Raises
        ------
        _Full
            If they exceed what is left.
        """
        made = {name: _narrow(np.asarray(values)) for name, values in arrays.items()}
        needed = sum(len(gzip.compress(values.tobytes(), 6, mtime=0)) for _kind, values in made.values()) * 4 // 3
        if needed > self.left:
            words = _("needs {needed} kB of the {left} kB that are left for final states in the file")
            raise _Full(words.format(needed=needed // 1000, left=self.left // 1000))
        self.left -= needed
        return {name: self._place(kind, values) for name, (kind, values) in made.items()}

    def add(self, values: np.ndarray) -> dict[str, Any]:
        """Add an array whatever its size; return where it is."""
        return self._place(*_narrow(values))

    def _place(self, kind: str, values: np.ndarray) -> dict[str, Any]:
        data = values.tobytes()
        place = {"type": kind, "at": self.length, "length": values.size}
        self.parts.append(data + bytes(-len(data) % 8))
        self.length += len(self.parts[-1])
        return place

    def text(self) -> str:
        return base64.b64encode(gzip.compress(b"".join(self.parts), 9, mtime=0)).decode()


def _narrow(values: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the narrowest type that holds the values, and the values in it, little-endian."""
    if values.dtype.kind == "f":
        return "f8", values.astype("<f8")
    largest = int(values.max(initial=0))
    kind = "u1" if largest < 2**8 else "u2" if largest < 2**16 else "u4"
    return kind, values.astype(np.dtype(_TYPES[kind]).newbyteorder("<"))


def _final_states(trial: Trial, found: Lattice) -> dict[str, np.ndarray]:
    """Return the final states of a design, dose by dose, as they are in the file."""
    trials, ends = found.trials, found.ends
    columns = {"n": ends.n.T, "y": ends.y.T, "ways": ends.ways, "choice": trials.choice + 1, "reason": ends.reason}
    columns["not_reached"] = trials.not_reached.astype(int)
    if found.design.reads == "complete":
        columns["days"] = trial.protocol.treatment.least_days(ends.n.astype(float), ends.visits)
    return columns


def _graph(blob: _Blob, design: Design, n_doses: int) -> dict[str, Any] | None:
    """Return the decisions of a design as they are in the file: all, or those of as many cohorts as fit; ``None`` if none do."""
    if design.tracks != ("dlt",):
        return None
    for most_nodes in (MOST_NODES, 10_000, 1_000):
        found = decision_graph(design, n_doses, most_nodes)
        columns = {"dose": found.dose + 1, "size": found.size, "choice": found.choice + 1}
        columns |= {"words": found.words, "reason": found.reason, "children": found.children}
        try:
            return {**blob.add_all(columns), "texts": found.texts, "explained": found.explained}
        except _Full:
            continue
    return None


def _table(trial: Trial, name: str) -> dict[str, Any]:
    """Return the decision table of a design as plain text."""
    found = decision_table(trial, name)
    table = decisions(found)
    return {
        "heads": [_plain(column.heading) for column in table.columns],
        "rows": [[_plain(cell) for cell in row] for row in table.rows],
        "notes": [*map(_plain, table.notes), _plain(explained(found))],
    }


def _plain(words: Text) -> str:
    return "".join(run.text for run in words)


def _html(trial: Trial, priors: list[dict[str, Any]], shown: list[dict[str, Any]], left_out: Mapping[str, str], blob: _Blob) -> str:
    protocol, stamped = trial.protocol, stamp(trial)
    target, standards = protocol.target, standards_of(protocol)
    meant = definitions(standards)
    quantities = {
        name: {"label": _(one.label), "unit": one.unit, "digits": one.digits, "definition": meant[name], "of": FIGURES.get(name)}
        for name, one in OPERATING.items()
        if one.label
    }
    facts = {
        "protocol": protocol.record.id,
        "title": protocol.record.title,
        "config": {"file": stamped["config"], "sha256": stamped["config_sha256"], "assumed": n_assumed(stamped)},
        "versions": stamped["versions"],
        "amounts": [amount(value, unit(protocol.doses.unit)) for value in protocol.doses.amounts],
        "target": {
            "rate": target.rate,
            "low": target.interval[0],
            "high": target.interval[1],
            "margin": target.mtd_margin,
            "overdose": target.overdose_limit,
            "tie": TIE,
        },
        "shares": OVERDOSE_SHARES,
        "scenarios": [{"name": name, "rates": row} for name, row in zip(protocol.scenarios, protocol.truths.tolist(), strict=True)],
        "priors": priors,
        "quantities": quantities,
        "designs": shown,
        "left_out": [{"name": name, "reason": why} for name, why in left_out.items()],
    }
    script = _resource("explore.js")
    # A browser takes a text's line ends as line feeds before it compares the hash.
    allowed = base64.b64encode(sha256(script.encode()).digest()).decode()
    return _template().render(facts=facts, blob=blob.text(), script=script, style=_resource("explore.css"), allowed=allowed)


def _resource(name: str) -> str:
    return files("dosefind.show.explore").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("dosefind.show", "explore")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("explore.html.jinja")
