"""BLRM with EWOC: the contract, decisions by an independent integral, exact operating characteristics, mixtures, refusals."""

from functools import cache, partial

import numpy as np
import pytest

import dosefind as dsf
from dosefind.models import Logistic2
from dosefind.posterior.exact import ExactFit, ExactPosterior
from dosefind.trial import States

from .contract import check_design, reachable
from .planted import faults, setting

PRIOR = {"mean": (-2.0, 0.0), "sd": (1.5, 0.7)}
MIXTURE = ({"mean": (-2.0, 0.0), "sd": (1.5, 0.7), "weight": 3.0}, {"mean": (-1.0, 0.3), "sd": (1.0, 0.5), "correlation": 0.4})
SETTINGS = {"doses": (1, 3, 5), "reference": 3, "prior": PRIOR, "interval": (0.16, 0.33), "target": 0.25, "max_n": 12}
VARIANTS = [
    {},
    {"choose": "highest"},
    {"prior": MIXTURE},
    {"no_skip": "off", "coherence": "off", "final": "model"},
    {"no_skip": "tried", "coherence": "both", "ewoc": 0.35},
    {"max_n_per_dose": 6, "choose": "highest"},
    {"cohort_size": (1, 1, 2, 3), "max_n": 10},
    {"doses": (3,)},
]


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_contract(settings):
    design = dsf.BLRM(**{**SETTINGS, **settings})
    check_design(design, n_doses=len(design.doses))


@cache
def fit(amounts):
    """The reported posterior's own fit, for two sets of doses."""
    curve = Logistic2(doses=amounts, reference=SETTINGS["reference"], prior=PRIOR)
    return ExactFit(curve, SETTINGS["interval"])


def cut(n, y, amounts=SETTINGS["doses"]):
    found = ExactPosterior(fit(amounts), n, y)
    return tuple(found.below(rate).value for rate in SETTINGS["interval"])


@pytest.mark.parametrize("choose", ["highest", "target"])
@pytest.mark.parametrize("final", ["tried", "model"])
def test_decisions_follow_the_posterior(choose, final):
    """Next dose and final choice of random data, from the reported posterior, dose by dose."""
    design = dsf.BLRM(**{**SETTINGS, "choose": choose, "final": final, "no_skip": "off", "coherence": "off", "max_n": 60})
    rng = np.random.default_rng(3)
    n = 3 * rng.integers(0, 4, (40, 3))
    n[:, 0] += 3
    y = rng.binomial(n, (0.1, 0.2, 0.3))
    chosen = design.select(States.counts(n, y))
    proposal = design.propose(States.counts(n, y))
    for i in range(len(n)):
        low, high = cut(n[i], y[i])
        safe = 1 - high < design.ewoc
        merit = np.arange(3) if choose == "highest" else high - low
        best = max(np.flatnonzero(safe), key=lambda d: merit[d], default=-1)
        assert proposal.dose[i] == best
        np.testing.assert_array_equal(proposal.open[i], safe)
        # 2e-3: single precision decides, with a margin that allows for its error.
        np.testing.assert_allclose(proposal.margin[i], np.abs(1 - high - design.ewoc).min(), rtol=0, atol=2e-3)
        tried = safe & (n[i] > 0) if final == "tried" else safe
        assert chosen.dose[i] == max(np.flatnonzero(tried), key=lambda d: merit[d], default=-1)
        low, high = (p[-2:] for p in cut(np.append(n[i], 0), np.append(y[i], 0), (1, 3, 5, 25 / 3)))
        better = 1 - high[1] < design.ewoc and (choose == "highest" or high[1] - low[1] > high[0] - low[0])
        assert chosen.not_reached[i] == (chosen.dose[i] == 2 and better)


def test_further_level_beyond_a_single_dose_is_twice_the_dose():
    alone, pair = (dsf.BLRM(**{**SETTINGS, "doses": doses, "ewoc": 0.3, "final": "model"}) for doses in ((3,), (3, 6)))
    patients = np.repeat(np.arange(3, 31, 3), 4)
    dlts = np.tile(np.arange(4), 10)
    found = alone.select(States.counts(patients[:, None], dlts[:, None]))
    above = pair.select(States.counts(np.column_stack([patients, 0 * patients]), np.column_stack([dlts, 0 * dlts])))
    np.testing.assert_array_equal(found.not_reached, above.dose == 1)
    assert {True, False} == set(found.not_reached.tolist())


@pytest.mark.parametrize("choose", ["highest", "target"])
def test_choices_with_many_patients_are_those_of_the_reported_posterior(choose):
    """Posteriors narrower than the steps of a first grid: up to 300 patients a dose."""
    design = dsf.BLRM(**{**SETTINGS, "choose": choose, "final": "model"})
    rng = np.random.default_rng(10)
    n = rng.integers(150, 300, (6, 3))
    y = rng.binomial(n, rng.uniform(0.02, 0.3, (6, 1)) + np.array([0, 0.05, 0.1]))
    chosen = design.select(States.counts(n, y)).dose
    for i in range(len(n)):
        low, high = cut(n[i], y[i])
        merit = np.arange(3) if choose == "highest" else high - low
        assert chosen[i] == max(np.flatnonzero(1 - high < design.ewoc), key=lambda d: merit[d], default=-1)
    assert len(set(chosen.tolist())) > 2


def test_a_mixture_of_one_prior_twice_is_that_prior():
    twice = ({**PRIOR, "weight": 2.0}, {**PRIOR, "weight": 5.0})
    one, two = (dsf.lattice(dsf.BLRM(**{**SETTINGS, "prior": prior})) for prior in (PRIOR, twice))
    truth = [[0.1, 0.25, 0.4]]
    # 1e-12: the same sums in another order.
    np.testing.assert_allclose(one.under(truth).selected, two.under(truth).selected, rtol=0, atol=1e-12)


def test_kept_up_only_where_safe():
    """Coherence in both directions keeps a dose after a cohort without a DLT, but never one that EWOC closes."""
    settings = {**SETTINGS, "no_skip": "off", "max_n": 60}
    # Level 2 has the larger probability of the target interval, level 3 is open under so lenient a limit, and closed under another.
    levels = [
        dsf.decide(dsf.BLRM(**settings, coherence=coherence, ewoc=ewoc), "2NNT 1NNT 3NNT 3NNN").level
        for ewoc in (0.5, 0.25)
        for coherence in ("escalation", "both")
    ]
    assert levels == [2, 3, 2, 2]


def test_a_further_dlt_at_a_lower_dose_can_raise_the_dose():
    """It makes the curve flatter: P(overdose) rises at levels 1 and 2 and falls at level 3, to just below the limit."""
    design = dsf.BLRM(
        doses=(1, 3, 5), reference=3, prior={"mean": (-2.2, 0.0), "sd": (2.0, 1.0)}, interval=(0.16, 0.33), target=0.25, max_n=18
    )
    levels = [dsf.decide(design, outcomes).level for outcomes in ("1NNN 2NNN 2NNN 3NT", "1NNT 2NNN 2NNN 3NT")]
    assert levels == [2, 3]


def test_walk_reports_its_smallest_margin():
    design = dsf.BLRM(**SETTINGS)
    walked = dsf.lattice(design)
    states = reachable(design, 3)
    decided = design.propose(states.take(np.flatnonzero(states.total < design.max_n))).margin
    # 1e-6: the rounding of a pass in single precision, which sums in another order.
    np.testing.assert_allclose(walked.ends.margin, decided.min(), rtol=0, atol=1e-6)
    # A minimum over all decisions and final choices, so no ended state has a smaller one, and some state has it.
    ended = design.propose(States.counts(walked.ends.n, walked.ends.y)).margin
    assert 0 < walked.margin <= ended.min()
    assert walked.margin == min(walked.ends.margin, ended.min())
    assert dsf.lattice(dsf.BOIN(target=0.25, max_n=6), n_doses=3).margin == np.inf


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prior": {**PRIOR, "correlation": 1.0}}, "prior.correlation = 1.0: must be between -1 and 1"),
        ({"prior": {**PRIOR, "sd": (0.0, 1.0)}}, "prior.sd[1] = 0.0: must be greater than 0"),
        ({"reference": 3000}, "reference = 3000 is too far from the doses: it must be between 0.5 and 10"),
        ({"doses": (1, 5, 3)}, "strictly increasing"),
        ({"interval": (0.4, 0.3)}, "interval = [0.4, 0.3] must be [low, high] with low below high"),
        ({"interval": (0.3, 0.3)}, "interval = [0.3, 0.3] must be [low, high] with low below high"),
        ({"start": 3}, "start = 3 is not admissible before any data: P(overdose) is"),
        ({"start": 4}, "start = 4 is not among the 3 dose levels"),
        ({"n_doses": 4}, "doses has 3 amounts for 4 levels"),
    ],
    ids=str,
)
def test_refusals(settings, said):
    with pytest.raises(dsf.InputError) as caught:
        dsf.BLRM(**{**SETTINGS, **settings})
    assert said in str(caught.value)


# Faults that these tests must notice.

PROPOSE = "dosefind.designs.blrm:BLRM.propose"

FAULTS = {
    "overdose control by the target's lower end": (
        PROPOSE,
        lambda old: lambda self, states: old(self.with_settings(interval=(0.05, self.interval[0])), states),
        test_decisions_follow_the_posterior,
    ),
    "overdose control at 50%": (PROPOSE, setting(ewoc=0.5), partial(test_decisions_follow_the_posterior, "target", "tried")),
}

test_fault_is_caught = faults(FAULTS)
