"""Scores from measured values: MELD and its variants, Child-Pugh, EQ-5D-5L, CLDQ, ASAS.

Units are arguments without a default, because bilirubin and creatinine in mg/dL read as umol/L give another score without any
error. A missing value gives a missing score; nothing is imputed. Texts of questionnaires are not part of this package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .._check import InputError, Problem, one_of

__all__ = ["CHILD_PUGH", "CLDQ", "asas", "child_pugh", "cldq", "eq5d5l_china", "implausible", "meld", "meld_3", "meld_na"]

Bilirubin = Literal["umol/L", "mg/dL"]
# umol/L in 1 mg/dL, as in the record of NCT05948982.
_BILIRUBIN, _CREATININE = 17.1, 88.4

CHILD_PUGH: Mapping[str, tuple[float, float]] = {
    "bilirubin umol/L": (34.0, 51.0),
    "bilirubin mg/dL": (2.0, 3.0),
    "albumin g/L": (35.0, 28.0),
    "albumin g/dL": (3.5, 2.8),
    "pt s": (4.0, 6.0),
    "inr": (1.7, 2.3),
}
"""Cut-offs of the Child-Pugh score: the values between them, both included, have 2 points. Albumin of 30 instead of 28 g/L is a
documented variant."""

CLDQ: Mapping[str, tuple[int, ...]] = {
    "abdominal": (1, 5, 17),
    "fatigue": (2, 4, 8, 11, 13),
    "systemic": (3, 6, 21, 23, 27),
    "activity": (7, 9, 14),
    "emotional": (10, 12, 15, 16, 19, 20, 24, 26),
    "worry": (18, 22, 25, 28, 29),
}
"""Items of each domain of the Chronic Liver Disease Questionnaire: BMC Research Notes 2012;5:446, doi:10.1186/1756-0500-5-446."""

# Decrements of levels 2 to 5: mobility, self-care, usual activities, pain or discomfort, anxiety or depression.
_CHINA = np.array(
    [
        (0.0, 0.066, 0.158, 0.287, 0.345),
        (0.0, 0.048, 0.116, 0.210, 0.253),
        (0.0, 0.045, 0.107, 0.194, 0.233),
        (0.0, 0.058, 0.138, 0.252, 0.302),
        (0.0, 0.049, 0.118, 0.215, 0.258),
    ]
)


def meld(
    bilirubin: Any,
    inr: Any,
    creatinine: Any,
    *,
    bilirubin_unit: Bilirubin,
    creatinine_unit: Bilirubin,
    etiology: Any = 1,
    dialysis: Any = False,
    bounded: bool = False,
) -> np.ndarray:
    """Return the MELD score: Kamath et al. (2001), doi:10.1053/jhep.2001.22172.

    Parameters
    ----------
    bilirubin, inr, creatinine
        Measured values above 0, numbers or arrays.
    bilirubin_unit, creatinine_unit
        "umol/L" or "mg/dL".
    etiology
        0 for cholestatic or alcoholic cirrhosis, 1 for viral and other.
    dialysis
        Whether the patient is on dialysis; with ``bounded``, creatinine is then 4.0 mg/dL.
    bounded
        Whether values below 1.0 (mg/dL, INR) are set to 1.0, creatinine is at most 4.0 mg/dL, and the score is rounded and from 6
        to 40. Without bounds the score is the sum as it stands, which is what the record of NCT05948982 describes.

    Raises
    ------
    InputError
        If a unit is not known or a value is not above 0.

    Examples
    --------
    >>> float(meld(54, 2.0, 170, bilirubin_unit="umol/L", creatinine_unit="umol/L").round(3))
    24.798
    """
    bili, cr = _in_mg(bilirubin, bilirubin_unit, creatinine, creatinine_unit)
    ratio = _positive("inr", inr)
    kind = np.asarray(etiology, float)
    if not np.isin(kind[~np.isnan(kind)], (0, 1)).all():
        raise InputError(Problem("etiology", etiology, "must be 0 (cholestatic or alcoholic) or 1 (viral or other)"))
    if bounded:
        bili, ratio = np.maximum(bili, 1.0), np.maximum(ratio, 1.0)
        cr = np.where(np.asarray(dialysis, bool), 4.0, np.clip(cr, 1.0, 4.0))
    score = 3.78 * np.log(bili) + 11.2 * np.log(ratio) + 9.57 * np.log(cr) + 6.43 * kind
    return np.clip(_rounded(score), 6, 40) if bounded else score


def meld_na(score: Any, sodium: Any, formula: Literal["kim-2008", "biggins-2006", "unos-2016"]) -> np.ndarray:
    """Return MELD-Na from a MELD score and serum sodium in mmol/L, by the formula of the authors named.

    Parameters
    ----------
    score, sodium
        MELD score and sodium in mmol/L.
    formula
        "kim-2008": M - Na - 0.025 M (140 - Na) + 140, Na from 125 to 140 (doi:10.1056/NEJMoa0801209); "biggins-2006": M + 1.59
        (135 - Na), Na from 120 to 135 (doi:10.1053/j.gastro.2006.02.010); "unos-2016": M + 1.32 (137 - Na) - 0.033 M (137 - Na), Na
        from 125 to 137, for scores above 11. For one patient they can differ by three points.

    Examples
    --------
    >>> float(meld_na(22.267, 131, "kim-2008").round(3))
    26.257
    """
    one_of("formula", formula, ("kim-2008", "biggins-2006", "unos-2016"))
    m, na = np.asarray(score, float), _positive("sodium", sodium)
    if formula == "kim-2008":
        na = np.clip(na, 125, 140)
        return m - na - 0.025 * m * (140 - na) + 140
    if formula == "biggins-2006":
        return m + 1.59 * (135 - np.clip(na, 120, 135))
    less = 137 - np.clip(na, 125, 137)
    return np.where(m > 11, m + 1.32 * less - 0.033 * m * less, m)


def meld_3(
    bilirubin: Any,
    inr: Any,
    creatinine: Any,
    sodium: Any,
    albumin: Any,
    *,
    female: Any,
    bilirubin_unit: Bilirubin,
    creatinine_unit: Bilirubin,
    albumin_unit: Literal["g/L", "g/dL"],
    dialysis: Any = False,
) -> np.ndarray:
    """Return MELD 3.0, from 6 to 40: Kim et al. (2021), doi:10.1053/j.gastro.2021.08.050.

    Parameters
    ----------
    bilirubin, inr, creatinine, sodium, albumin
        Measured values; sodium in mmol/L.
    female
        Whether the patient is female.
    bilirubin_unit, creatinine_unit, albumin_unit
        Units.
    dialysis
        Whether the patient is on dialysis; creatinine is then 3.0 mg/dL.

    Examples
    --------
    >>> units = {"bilirubin_unit": "mg/dL", "creatinine_unit": "mg/dL", "albumin_unit": "g/dL"}
    >>> float(meld_3(1.0, 1.0, 1.0, 140, 4.0, female=False, **units))
    6.0
    """
    one_of("albumin_unit", albumin_unit, ("g/L", "g/dL"))
    bili, cr = _in_mg(bilirubin, bilirubin_unit, creatinine, creatinine_unit)
    bili, ratio = np.maximum(bili, 1.0), np.maximum(_positive("inr", inr), 1.0)
    cr = np.where(np.asarray(dialysis, bool), 3.0, np.clip(cr, 1.0, 3.0))
    less = 137 - np.clip(_positive("sodium", sodium), 125, 137)
    low = 3.5 - np.clip(_positive("albumin", albumin) / (10 if albumin_unit == "g/L" else 1), 1.5, 3.5)
    log_bili, log_cr = np.log(bili), np.log(cr)
    score = (
        1.33 * np.asarray(female, float)
        + (4.56 * log_bili + 0.82 * less - 0.24 * less * log_bili)
        + (9.09 * np.log(ratio) + 11.14 * log_cr + 1.85 * low - 1.83 * low * log_cr + 6)
    )
    return np.clip(_rounded(score), 6, 40)


def child_pugh(
    bilirubin: Any,
    albumin: Any,
    *,
    bilirubin_unit: Bilirubin,
    albumin_unit: Literal["g/L", "g/dL"],
    ascites: Any,
    encephalopathy: Any,
    inr: Any = None,
    pt_prolonged: Any = None,
    cutoffs: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Child-Pugh score, 5 to 15, and its class: A to 6, B to 9, C from 10.

    Parameters
    ----------
    bilirubin, albumin
        Measured values in the units given.
    ascites
        0 none, 1 mild or controlled, 2 moderate or severe, as judged; it is never inferred.
    encephalopathy
        Grade 0 to 4, as judged.
    inr, pt_prolonged
        INR, or prolongation of the prothrombin time in seconds; exactly one of them.
    cutoffs
        Cut-offs that differ from `CHILD_PUGH`, by the same names.

    Returns
    -------
    array, array of str
        Points, not a number where a value is missing, and class, empty there.

    Examples
    --------
    >>> points, grade = child_pugh(40, 30, bilirubin_unit="umol/L", albumin_unit="g/L", ascites=1, encephalopathy=0, inr=1.5)
    >>> float(points), str(grade)
    (8.0, 'B')
    """
    one_of("bilirubin_unit", bilirubin_unit, ("umol/L", "mg/dL"))
    one_of("albumin_unit", albumin_unit, ("g/L", "g/dL"))
    if (inr is None) == (pt_prolonged is None):
        raise InputError(Problem("inr", inr, "give either inr or pt_prolonged"))
    limits = dict(CHILD_PUGH)
    for name, pair in (cutoffs or {}).items():
        limits[one_of("cutoffs", name, limits)] = pair
    clotting = ("inr", inr) if inr is not None else ("pt s", pt_prolonged)
    graded = _grades("encephalopathy", encephalopathy, 4)
    points = (
        _between(_positive("bilirubin", bilirubin), limits[f"bilirubin {bilirubin_unit}"])
        + _between(_positive("albumin", albumin), limits[f"albumin {albumin_unit}"])
        + _between(np.asarray(clotting[1], float), limits[clotting[0]])
        + (_grades("ascites", ascites, 2) + 1)
        + np.where(np.isnan(graded), np.nan, 1 + (graded >= 1) + (graded >= 3))
    )
    classes = np.select([points <= 6, points <= 9, points >= 10], ["A", "B", "C"], "")
    return points, classes


def eq5d5l_china(states: str | Sequence[str]) -> np.ndarray:
    """Return the EQ-5D-5L index by the Chinese value set: Luo et al. (2017), doi:10.1016/j.jval.2016.11.016.

    Parameters
    ----------
    states
        Health states as five digits from 1 to 5: mobility, self-care, usual activities, pain or discomfort, anxiety or depression.
        Use of the questionnaire itself requires a licence of the EuroQol group.

    Examples
    --------
    >>> eq5d5l_china(["11111", "21111", "55555"]).round(3)
    array([ 1.   ,  0.934, -0.391])
    """
    listed = [states] if isinstance(states, str) else list(states)
    for state in listed:
        if not isinstance(state, str) or len(state) != 5 or not set(state) <= set("12345"):
            raise InputError(Problem("states", state, "must be five digits from 1 to 5, such as '11213'"))
    levels = np.array([[int(digit) - 1 for digit in state] for state in listed], int).reshape(-1, 5)
    index = 1 - _CHINA[np.arange(5), levels].sum(axis=1)
    return index[0] if isinstance(states, str) else index


def cldq(items: Any, *, least_answered: float = 1.0) -> dict[str, np.ndarray]:
    """Return domains and overall score of the Chronic Liver Disease Questionnaire.

    Parameters
    ----------
    items : (..., 29) array
        Answers from 1 to 7, higher is better; missing answers are not a number.
    least_answered
        Share of the items of a domain that must be answered for its mean; by default all.

    Returns
    -------
    dict
        Mean of each domain; "overall", the mean of the six domain means; and "sum" of the 29 items, which is what the record of
        NCT05948982 names.

    Examples
    --------
    >>> float(cldq([7] * 29)["overall"]), float(cldq([1] * 29)["sum"])
    (7.0, 29.0)
    """
    answers = np.asarray(items, float)
    if answers.shape[-1:] != (29,):
        raise InputError(Problem("items", list(answers.shape), "must have 29 answers in the last axis"))
    given = answers[~np.isnan(answers)]
    if not np.isin(given, np.arange(1, 8)).all():
        wrong = given[~np.isin(given, np.arange(1, 8))][0]
        raise InputError(Problem("items", float(wrong), "must be whole numbers from 1 to 7, or missing"))
    found = {}
    for name, numbers in CLDQ.items():
        own = answers[..., np.array(numbers) - 1]
        known = ~np.isnan(own)
        total, count = np.where(known, own, 0).sum(axis=-1), known.sum(axis=-1)
        enough = (count > 0) & (count >= least_answered * len(numbers))
        found[name] = np.where(enough, total / np.maximum(count, 1), np.nan)
    return found | {"overall": np.mean(list(found.values()), axis=0), "sum": answers.sum(axis=-1)}


def asas(before: Any, after: Any, share: Literal[20, 40]) -> np.ndarray:
    """Return whether patients have an ASAS20 or ASAS40 response: Anderson et al. (2001), Brandt et al. (2004).

    Parameters
    ----------
    before, after : (..., 4) arrays
        Patient's global assessment, pain, BASFI, and the mean of BASDAI questions 5 and 6, from 0 to 10, lower is better.
    share
        20: at least 20% and 1 unit better in three of four domains, and no worsening of 20% and 1 unit or more in the fourth. 40:
        at least 40% and 2 units better in three, and no worsening at all in the fourth.

    Examples
    --------
    >>> bool(asas([6, 6, 6, 6], [4, 4, 4, 6], 20)), bool(asas([6, 6, 6, 6], [4, 4, 4, 6], 40))
    (True, False)
    """
    if share not in (20, 40):
        raise InputError(Problem("share", share, "must be 20 or 40"))
    first, last = np.asarray(before, float), np.asarray(after, float)
    for name, values in (("before", first), ("after", last)):
        if values.shape[-1:] != (4,) or not ((values >= 0) & (values <= 10) | np.isnan(values)).all():
            raise InputError(Problem(name, values.tolist(), "must have four domains from 0 to 10 in the last axis"))
    gain = first - last
    # Tenths of a unit are exact decimals to a reader, not to a computer.
    better = (gain >= (1 if share == 20 else 2) - 1e-9) & (gain >= share / 100 * first - 1e-9)
    worse = (-gain >= 1 - 1e-9) & (-gain >= 0.2 * first - 1e-9) if share == 20 else -gain > 1e-9
    response = (better.sum(axis=-1) >= 3) & ~(worse & ~better).any(axis=-1)
    return np.where(np.isnan(gain).any(axis=-1), np.nan, response)


def implausible(parameter: str, value: float, unit: str) -> str:
    """Return the unit that a value is probably in, if it is implausible in its own; else an empty text.

    Examples
    --------
    >>> implausible("bilirubin", 2.1, "umol/L"), implausible("creatinine", 88, "umol/L")
    ('mg/dL', '')
    """
    below = {("bilirubin", "umol/L"): 10.0, ("creatinine", "umol/L"): 20.0, ("albumin", "g/L"): 10.0}
    above = {("creatinine", "mg/dL"): 20.0, ("bilirubin", "mg/dL"): 60.0, ("albumin", "g/dL"): 10.0}
    other = {"umol/L": "mg/dL", "mg/dL": "umol/L", "g/L": "g/dL", "g/dL": "g/L"}
    key = parameter, unit
    wrong = (key in below and value < below[key]) or (key in above and value > above[key])
    return other[unit] if wrong else ""


def _in_mg(bilirubin: Any, bilirubin_unit: str, creatinine: Any, creatinine_unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Return bilirubin and creatinine in mg/dL."""
    one_of("bilirubin_unit", bilirubin_unit, ("umol/L", "mg/dL"))
    one_of("creatinine_unit", creatinine_unit, ("umol/L", "mg/dL"))
    bili, cr = _positive("bilirubin", bilirubin), _positive("creatinine", creatinine)
    return bili / (_BILIRUBIN if bilirubin_unit == "umol/L" else 1), cr / (_CREATININE if creatinine_unit == "umol/L" else 1)


def _positive(name: str, values: Any) -> np.ndarray:
    """Return measured values; a missing one stays missing."""
    try:
        found = np.asarray(values, float)
    except (TypeError, ValueError):
        raise InputError(Problem(name, values, "must be numbers above 0")) from None
    wrong = found[~np.isnan(found) & ~((found > 0) & np.isfinite(found))]
    if wrong.size:
        raise InputError(Problem(name, float(wrong.flat[0]), "must be a finite number above 0"))
    return found


def _grades(name: str, values: Any, most: int) -> np.ndarray:
    found = np.asarray(values, float)
    wrong = found[~np.isnan(found) & ~np.isin(found, np.arange(most + 1))]
    if wrong.size:
        raise InputError(Problem(name, float(wrong.flat[0]), f"must be a whole number from 0 to {most}"))
    return found


def _between(values: np.ndarray, cutoffs: tuple[float, float]) -> np.ndarray:
    """Return 2 points between two cut-offs, both included, 1 before the first and 3 beyond the second, whichever way they go."""
    first, second = cutoffs
    way = 1 if second > first else -1
    points = 1.0 + (way * values >= way * first) + (way * values > way * second)
    return np.where(np.isnan(values), np.nan, points)


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return values rounded to whole numbers, halves upwards."""
    return np.floor(values + 0.5)
