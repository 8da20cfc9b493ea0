"""Parts that both reports have: what the report is of, methods and versions, limits of the analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from ...words import _
from ..content import Bullets, Column, Definitions, Run, Section, Table, Text, data, filled, text
from . import common
from .sensitivity import Sensitivity
from .settings import setting_words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ...protocol import Protocol

__all__ = ["assumed", "facts", "labels", "limits", "method", "sensitivity_table", "short_hash"]


def short_hash(digits: str) -> Text:
    """Return the beginning of a hash, which the section on methods gives as a whole."""
    return text(f"{digits[:12]}\u2026")


def labels() -> dict[str, str]:
    """Return the words of the renderers by their keys."""
    return {
        "contents": _("Contents"),
        "skip": _("Skip to the report"),
        "table": _("Table"),
        "figure": _("Figure"),
        "footer": _(
            "Made by dosefind from the config and the data named above. It supports the decision of the "
            "signatories and does not replace it."
        ),
    }


def facts(protocol: Protocol, stamp: Mapping[str, Any], *more: tuple[str, Text]) -> Definitions:
    """Return what a report is of: protocol, config and versions; ``more`` by keys of the labels below."""
    record = protocol.record
    labels = {
        "protocol": _("Protocol"),
        "trial": _("Title"),
        "product": _("Product"),
        "version": _("Protocol version of"),
        "cut": _("Data cutoff"),
        "binding": _("Primary design"),
        "data_hash": _("SHA-256 of the data"),
        "config": _("Config"),
        "config_hash": _("SHA-256 of the config"),
        "software": _("Software"),
    }
    said: list[tuple[str, Text]] = [
        ("protocol", text(data(record.id))),
        ("trial", text(data(record.title))),
        ("product", text(data(record.product))),
        ("version", text(record.version_date.isoformat())),
        *more,
        ("config", text(data(stamp["config"]))),
        ("config_hash", short_hash(stamp["config_sha256"])),
        ("software", text(_versions(stamp))),
    ]
    return Definitions(tuple((text(labels[key]), (words,)) for key, words in said if words != (Run(""),)))


def _versions(stamp: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in stamp["versions"].items())


def sensitivity_table(table: pd.DataFrame, caption: Text) -> Table:
    """Return the table of a sensitivity analysis, with what its columns mean below."""
    shown = Sensitivity(table)
    whole = shown.by_change(caption)
    return Table(whole.caption, whole.columns, whole.rows, shown.definitions())


def assumed(stamp: Mapping[str, Any]) -> Section:
    """Return the settings that the protocol does not state, each with its label."""
    whole = common.assumptions(stamp)
    (listed,) = (block for block in whole.blocks if isinstance(block, Table))
    labels = (setting_words(key) for key, _value, _why in stamp["assumptions"])
    columns = (Column(text(_("setting"))), Column(text(_("key of the config"))), *listed.columns[1:])
    rows = tuple((label, *row) for label, row in zip(labels, listed.rows, strict=True))
    return replace(whole, id="assumed", blocks=(replace(listed, columns=columns, rows=rows),), detail=False)


def method(stamp: Mapping[str, Any], first: Sequence[Text], summary: xr.Dataset | None) -> Section:
    """Return how everything was computed: first what is particular to the report, then hashes, versions and the curves."""
    config = {"config": data(stamp["config"]), "digits": stamp["config_sha256"]}
    lines = [*first, filled(_("The config is {config}, SHA-256 {digits}."), **config)]
    if "data_sha256" in stamp:
        lines.append(filled(_("The data have SHA-256 {digits}."), digits=stamp["data_sha256"]))
    lines.append(filled(_("Versions: {versions}."), versions=_versions(stamp)))
    words = _(
        "The same config, data and versions give the same report, byte for byte. The date is that of the data "
        "cutoff or of the protocol version."
    )
    lines.append(text(words))
    inner = []
    if summary is not None:
        by_curve = common.rules_of(summary.attrs["curve_rules"], "")
        inner.append(Section("curves", text(_("Dose-toxicity curves")), (by_curve,)))
    return Section("method", text(_("Methods and versions")), (Bullets(tuple(lines)),), tuple(inner))


def limits(protocol: Protocol, own: Literal["planned", "conduct"]) -> Section:
    """Return what the analysis cannot say: of a trial as planned or one with patients, and of both."""
    planned = [
        _(
            "The true DLT rates are not known. The operating characteristics hold under the scenarios and say nothing of DLT rates "
            "that differ much from all of them."
        ),
        _(
            "The operating characteristics assume a trial that follows the rules: every patient is evaluable for DLT and receives "
            "the assigned dose, and no outcome is pending at a decision."
        ),
    ]
    conduct = [
        _("Grades of adverse events and their relationship to treatment are as in the data; they were not reassessed."),
        _(
            "The designs are evaluated for every possible result of the pending outcomes. The posterior excludes pending patients, "
            "including their follow-up so far."
        ),
    ]
    both = [
        _(
            "A DLT after the end of its window does not count, and late or long-term toxicity is not modelled; serious events "
            "after the window are listed."
        ),
        _(
            "DLT rates are assumed to increase with dose, along a curve. Beyond the doses and patients observed, the results "
            "depend on the curve and its prior."
        ),
        _(
            "With so few patients every interval is wide. A design's recommendation is the result of a rule applied to counts; it "
            "uses nothing else about the patients."
        ),
    ]
    if protocol.utility is None:
        both.insert(2, _("Efficacy is not part of this analysis."))
    items = (planned if own == "planned" else conduct) + both
    return Section("limits", text(_("Limits of this analysis")), (Bullets(tuple(map(text, items))),))
