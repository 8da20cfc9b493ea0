"""Words that report a death: in reasons for discontinuation, terms and outcomes of adverse events, and free text.

Text is compared in plain letters (`letters`). Another word is added to `_DEATH`, wording that contains such a word but does not
report a death to `_NO_DEATH`. A missed word could let an escalation pass, so in doubt a text reports a death.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .letters import has_look_alikes, one_slip, plain_letters

__all__ = ["is_death", "is_fatal_outcome", "is_understood_outcome", "resembles_death"]

# Hyphens inside a word, underscores and spaces are read as one space; a dash between spaces is kept.
_SPACES = re.compile(r"(?<=\w)[-\u2010-\u2015](?=\w)|[_\s]+")
# Texts whose reading is cached, because the texts of a table repeat.
_TEXTS = 50_000
_PERSON = r"(patient|pt|subject|participant|he|she)"
_DEATH = re.compile(
    r"\b(fatal|fatale|fatality|fatalities|fatally|deaths?|died|dead|deceased?|exitus|lethal|letal|letalis|expired|mortality|demise"
    r"|succumbed|succumbs|killed|perished|pass(ed|es)? away|passed on|suicide|homicide|euthanasia|autopsy|necropsy|post ?mortem"
    rf"|loss of life|(not|no longer) (alive|living)|grade 5|{_PERSON} (has )?(dies|passed$)"
    # German and French, without accents.
    r"|todes\w*|verstorben\w*|gestorben|verstarb|todlich\w*|toedlich\w*|tot aufgefunden|ist tot"
    r"|deces|deced\w*|mort|morte|mortel\w*)\b"
    r"|tod\b|^tot$|^dies$"
    # A dagger, alone or before a date.
    r"|[\u2020\u271d] ?\d|^[\u2020\u271d]$"
)
# Wording that contains one of these words but does not report the death of the patient.
_NO_DEATH = re.compile(
    r"\b(not|non|never|near|nearly) (yet )?(fatal|lethal|dead|deceased|expired|died|killed)\b"
    r"|\bnonfatal\b|\bno (deaths?|fatality|fatalities|mortality)\b|\bnot (due to |a )?death\b|\bnear death\b"
    r"|\b(fear|thoughts?|risk|danger) of (death|dying)\b|\bdeath of (a )?relative\b|\bdeath in (the )?family\b|\bfamily death\b"
    r"|\b(cell|tissue|tooth|nerve|f(o)?etal|intra ?uterine) (death|demise)\b|\bdead (end|tooth|teeth|skin|tissue|space|cells?)\b"
    r"|\bdeceased donors?\b"
    r"|\bsuicide (attempts?|ideation|thoughts?|threats?|risk|gesture)\b|\battempted suicide\b"
    r"|\b(risk|threats?|thoughts?|attempts?) (of|at) suicide\b"
    r"|\b(consent|product|drug|kit|medication|insurance|visa) (has |had )?expired\b"
    r"|\bexpired (consent|product|drug|kit|medication|device|vaccine)\b"
)
# Codes of outcomes: ICH E2B(R3), E.i.7, where 5 is fatal and 0 unknown; E2B(R2) has 6 for unknown.
_FATAL_CODE = re.compile(r"0?5(\.0*)?")
_CODE = re.compile(r"0?[0-6](\.0*)?")
_OUTCOME_WORDS = frozenset(
    re.findall(
        r"\w+",
        """
        recovered recovering recovery resolved resolving resolution subsided abated cured healed improved improving
        reduced decreased worsened worsening stable stabilised stabilized unchanged ongoing on going continuing
        continues continued persistent persisting persists chronic permanent present open closed pending controlled
        treated treatment under progress process normal normalised normalized returned return baseline sequelae sequela
        sequel damage disability condition complete completely partial partially fully not no non nonfatal fatal near
        with without to in at of or and is has was the yet still longer end study event events ae grade lost follow up
        available reported applicable assessed alive survived unknown unk u un na n a none
        """,
    )
)
_NEAR_DEATH = ("fatal", "death", "died", "dead", "deceased", "lethal", "demise", "expired")


@lru_cache(maxsize=_TEXTS)
def is_death(text: str | None) -> bool:
    """Return whether a reason for discontinuation, a term, the outcome of an event or its severity reports a death."""
    if text is None or (text.isascii() and text.lower() == text.upper()):
        # No letters, as in a date.
        return False
    plain = _plain(text)
    return _DEATH.search(plain) is not None and _DEATH.search(_NO_DEATH.sub(" ", plain)) is not None


@lru_cache(maxsize=_TEXTS)
def is_fatal_outcome(text: str | None) -> bool:
    """Return whether the outcome of an event reports a death, by words or by the code of ICH E2B."""
    return is_death(text) or _FATAL_CODE.fullmatch(_plain(text)) is not None


@lru_cache(maxsize=_TEXTS)
def is_understood_outcome(text: str) -> bool:
    """Return whether the outcome of an event consists of words known for outcomes, or is a code of ICH E2B."""
    plain = _plain(text)
    return is_fatal_outcome(text) or _CODE.fullmatch(plain) is not None or set(re.findall(r"\w+", plain)) <= _OUTCOME_WORDS


@lru_cache(maxsize=_TEXTS)
def resembles_death(text: str) -> bool:
    """Return whether an outcome that reports no death may be intended to.

    A word mixes scripts or is one typing error from a word for death, or the outcome is the beginning of one, as in a truncated
    file.
    """
    if has_look_alikes(text):
        return not is_death(text)
    if is_understood_outcome(text):
        return False
    plain = _plain(text)
    words = [word for word in re.findall(r"\w+", plain) if word not in _OUTCOME_WORDS]
    slips = any(one_slip(word, other) for word in words for other in _NEAR_DEATH)
    return slips or any(other.startswith(plain) for other in _NEAR_DEATH)


def _plain(text: str | None) -> str:
    plain = plain_letters(text or "")
    return " ".join((plain if plain.isascii() and "-" not in plain and "_" not in plain else _SPACES.sub(" ", plain)).split())
