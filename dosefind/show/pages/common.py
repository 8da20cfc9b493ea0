"""Pieces that several pages have."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...figures import Quantity
from ...tasks.stamps import n_assumed
from ...words import _, counted
from ..content import Block, Bullets, Definitions, Paragraph, Section, Table, Text, data, filled, table, text

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "alike",
    "assumed_words",
    "assumptions",
    "choice",
    "definitions",
    "ended",
    "exposure",
    "heading",
    "level_words",
    "place_words",
    "points",
    "raised",
    "rules",
    "rules_of",
    "stop_words",
    "version",
]

# Most sentences by which a design is described by its difference from another.
_APART = 2


def ended(words: str) -> str:
    """Return words with a full stop, as the end of a sentence."""
    return words if words.endswith((".", "!", "?")) else f"{words}."


def raised(words: str) -> str:
    """Return words with a full stop, and with a capital letter unless they begin with the name of a file, as a whole sentence."""
    first = words.partition(" ")[0].rstrip(":,")
    return ended(words) if "." in first else f"{words[:1].upper()}{ended(words[1:])}"


def choice(label: object) -> str:
    """Return a level, or that there is none, as it is printed in a cell."""
    return _("none") if label == "none" else str(label)


def level_words(label: object) -> str:
    """Return a choice of dose in words: the level, or that there is none."""
    return _("none") if str(label) == "none" else _("level {level}").format(level=label)


def exposure(courses: Sequence[Mapping[str, Any]]) -> Table:
    """Return the exposure of each patient in each interval of the course, from the rows of `tasks.periods.course_rows`."""
    intervals = range(1, len(courses[0]["exposure"]) + 1)
    heads = (_("patient"), _("level"), _("infusions"), _("days"), _("DLT"))
    heads += (*(filled(_("interval {number}"), number=number) for number in intervals), _("left out"))
    rows = []
    for one in courses:
        level = "\u2013" if one["level"] is None else str(one["level"])
        known = (str(one["infusions"]), str(one["days"]), _("yes") if one["dlt"] else _("no"))
        rows.append((data(one["subject"]), level, *known, *(f"{share:.2f}" for share in one["exposure"]), one["left_out"]))
    words = _(
        "Exposure of each patient: infusions given, days from the first infusion to the DLT or the end of follow-up, and share "
        "of each interval that was observed."
    )
    return table(words, heads, rows)


def heading(quantity: Quantity) -> str:
    """Return the label of a quantity, with % for a probability."""
    return _("{label}, %").format(label=_(quantity.label)) if quantity.unit == "%" else _(quantity.label)


def place_words(place: int, n_doses: int) -> str:
    """Return where the MTD is, by its place among the labels of ``mtd_level``."""
    if place == 0:
        return _("below level 1")
    return (_("level {level} or above") if place == n_doses else _("level {level}")).format(level=place)


def stop_words(level: str | None, not_reached: bool) -> str:
    """Return a stop in words, with the level selected as MTD, or that there is none."""
    if level is None:
        return _("stop: no MTD")
    words = _("stop: level {level}, MTD not reached") if not_reached else _("stop: MTD level {level}")
    return words.format(level=level)


def version(stamp: Mapping[str, Any]) -> tuple[Block, ...]:
    """Return which version of the protocol a result is of, where the config has amendments."""
    if not stamp.get("amended_on"):
        return ()
    words = _("Protocol version of {day}; the config has amendments of {days}.")
    return (Paragraph(filled(words, day=stamp["protocol_version"], days=stamp["amended_on"])),)


def assumed_words(stamp: Mapping[str, Any]) -> Text:
    """Return how many settings a result depends on that the protocol does not state."""
    n = n_assumed(stamp)
    return text(
        counted(
            "{n} setting is an assumption, not stated in the protocol.",
            "{n} settings are assumptions, not stated in the protocol.",
            n,
        )
    )


def assumptions(stamp: Mapping[str, Any]) -> Section:
    """Return what is assumed: key, value and reason of each setting, and the keys that no result here depends on."""
    rows = []
    for key, value, why in stamp["assumptions"]:
        # Designs and scenarios are described as a whole elsewhere.
        shown = "" if key.startswith(("scenarios", "designs", "endpoints.visits", "endpoints.parameters")) else str(value)
        rows.append((data(key), data(shown), data(why)))
    unused = stamp["without_effect"]
    notes = (filled(_("Given in the config, but no result here depends on it: {keys}."), keys=data(unused)),) if unused else ()
    caption = _("Settings that the protocol does not state, with the reason for each value.")
    listed = table(caption, (_("setting"), _("value"), _("reason")), rows, notes=notes, numeric=())
    return Section("assumptions", text(_("Assumptions")), (listed,), detail=True)


def rules(stamp: Mapping[str, Any]) -> Section:
    """Return the rules of the designs that a result is of."""
    by_design = stamp["rules"]
    title = counted("Rules of the design", "Rules of the designs", len(by_design))
    return Section("rules", text(title), (rules_of(by_design, _("Every design")),), detail=True)


def rules_of(by_name: Mapping[str, Sequence[str]], every: str) -> Definitions:
    """Return rules of designs or curves; those that all have once, and one that is like another by the difference from it.

    Parameters
    ----------
    by_name
        Sentences by name.
    every
        Term for the sentences that all have.
    """
    shared = [one for one in next(iter(by_name.values())) if all(one in said for said in by_name.values())]
    shared = shared if len(by_name) > 1 else []
    whole: dict[str, list[str]] = {}
    items: list[tuple[Text, tuple[Text, ...]]] = []
    for name, said in by_name.items():
        own = [sentence for sentence in said if sentence not in shared]
        like = _like(own, whole)
        if not like:
            whole[name] = own
        items.append((text(data(name)), like or tuple(map(text, own))))
    # First, so that a single one does not look like a rule of the last design.
    return Definitions((*([(text(every), tuple(map(text, shared)))] if shared else []), *items))


def _like(own: Sequence[str], told: Mapping[str, Sequence[str]]) -> tuple[Text, ...]:
    """Return the rules of a design by their difference from the most similar design told; nothing where none is similar."""
    if not told:
        return ()
    name, others = min(told.items(), key=lambda item: len({*own} ^ {*item[1]}))
    added, dropped = [one for one in own if one not in others], [other for other in others if other not in own]
    if len(added) + len(dropped) > min(_APART, len(own) - 1):
        return ()
    like = data(name)
    lines = [filled(_("Same rules as {design}, with the further rule: \u201c{rule}\u201d"), design=like, rule=one) for one in added]
    lines += [filled(_("Same rules as {design}, without the rule: \u201c{rule}\u201d"), design=like, rule=one) for one in dropped]
    return tuple(lines) or (filled(_("Same rules as {design}."), design=like),)


def definitions(quantities: Mapping[str, Quantity], result: xr.Dataset, names: Iterable[str] | None = None) -> Section:
    """Return what the results mean that are shown under a label, as the result itself defines them."""
    items = []
    for name in quantities if names is None else names:
        meant = result[name].attrs.get("definition", "") if name in result.variables else ""
        if meant and quantities[name].label:
            items.append((text(_(quantities[name].label)), (text(f"{meant}."),)))
    return Section("definitions", text(_("Definitions")), (Definitions(tuple(items)),), detail=True)


def alike[Item: Hashable](rows: Iterable[tuple[str, Item]]) -> dict[Item, list[str]]:
    """Return the names that have the same item, by that item."""
    together: dict[Item, list[str]] = {}
    for name, item in rows:
        together.setdefault(item, []).append(name)
    return together


def points(sentences: Iterable[str]) -> Bullets:
    """Return sentences as a list."""
    return Bullets(tuple(map(text, sentences)))
