"""Rules that designs share: what counts as a tie, and which of several doses is taken."""

import numpy as np
import pytest

import dosefind as dsf
from dosefind.designs.rules import above, at_least, highest, nearest

from .planted import faults


def test_rounding_is_a_tie():
    # In doubles .1 + .2 is above .3, and .35 - .25 below .25 - .15.
    value, bound = np.array([0.1 + 0.2]), 0.3
    assert value > bound
    assert not above(value, bound)
    assert at_least(bound, value)
    assert nearest(np.array([[0.15, 0.35]]), 0.25, np.ones((1, 2), bool)) == 0


def test_which_dose_is_taken():
    rates, allowed = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[True, False, True, False]])
    assert nearest(rates, 0.2, ~allowed) == 1
    assert nearest(rates, 0.2, allowed) == 0
    assert nearest(rates, 0.2, np.zeros((1, 4), bool)) == -1
    assert highest(allowed) == 2
    assert highest(np.zeros((1, 4), bool)) == -1


PRIOR = dsf.BivariateNormal(mean=(-1.7, 0.0), sd=(1.5, 0.7), correlation=-0.3)
BLRM = dsf.BLRM(doses=(1.0, 3.0, 5.0), reference=3.0, prior=PRIOR, target=0.25, interval=(0.16, 0.33))


@pytest.mark.parametrize(
    ("design", "setting", "values", "words"),
    [
        (BLRM, "choose", ("highest", "target"), "receives the highest admissible dose"),
        (BLRM, "no_skip", ("last", "off"), "No skipping"),
        (dsf.ThreePlusThree(), "expand_after_two", (True, False), "or more DLTs in six end the escalation"),
    ],
    ids=["choose", "no_skip", "expand_after_two"],
)
def test_rules_in_words_are_those_of_the_settings(design, setting, values, words):
    said = [any(words in rule for rule in design.with_settings(**{setting: value}).rules()) for value in values]
    assert said == [True, False]


# Faults that these tests must notice.

FAULTS = {
    "no two values are ever equal": ("dosefind.designs.rules:TIE", lambda _: 0.0, test_rounding_is_a_tie),
    "the nearest of all doses, not of those admissible": (
        "dosefind.designs.rules:nearest",
        lambda old: lambda values, target, admissible: old(values, target, np.ones_like(admissible)),
        test_which_dose_is_taken,
    ),
    "of several doses the lowest is the highest": (
        "dosefind.designs.rules:highest",
        lambda _: lambda allowed: np.where(allowed.any(axis=1), np.argmax(allowed, axis=1), -1),
        test_which_dose_is_taken,
    ),
}

test_fault_is_caught = faults(FAULTS)
