"""Pause rules: boundaries against other software and second computations, exact crossing probabilities, rules that have fired."""

import itertools

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import binom

import dosefind as dsf
from dosefind.cli import main
from dosefind.designs import rules
from dosefind.monitoring import TIE, Counts, Range, Trigger, boundary, crossed, crossing, nominal_level, ranges
from dosefind.protocol import BetaBinomialBoundary, Pause, PocockBoundary
from dosefind.show.pages.next_dose import next_dose
from dosefind.show.terminal import as_lines

from . import made_up, peers
from .quick import examples


def beta_binomial(rate=0.2, **changed):
    return BetaBinomialBoundary(kind="beta-binomial", rate=rate, **changed)


def pocock(rate=0.2, alpha=0.05):
    return PocockBoundary(kind="pocock", rate=rate, alpha=alpha)


RULES = st.one_of(
    st.builds(
        beta_binomial,
        rate=st.floats(0.2, 0.6),
        cutoff=st.floats(0.9, 0.99),
        a=st.floats(0.2, 1),
        b=st.floats(1, 4),
        least_n=st.integers(1, 4),
    ),
    st.builds(pocock, rate=st.floats(0.02, 0.9), alpha=st.floats(0.001, 0.5)),
)


# Against other software.


def test_peer_beta_binomial():
    reference = peers.published("stoppingrule_beta_binomial")
    # The peer searches the cutoff down to where 4 events in 7 patients would pause, P(rate > 0.2) = 0.96308269, and finds its
    # limits with a root search to about 1e-4 events: its cutoff 0.9630823 stands for that probability, which does not pause.
    cutoff = reference["cutoff_printed"] + 4e-7
    rule = beta_binomial(reference["rate"], cutoff=cutoff, a=reference["a"], b=reference["b"], least_n=1)
    limits = boundary(rule, 30)
    np.testing.assert_array_equal(limits[1:], reference["limits_from_1"])
    found = crossing(limits, reference["true_rates"])
    # 5e-9 and 5e-7: half a unit of the last printed digit.
    np.testing.assert_allclose(found.probability, reference["probability"], rtol=0, atol=5e-9)
    np.testing.assert_allclose(found.events, reference["events"], rtol=0, atol=5e-7)


def test_peer_pocock():
    reference = peers.published("clinfun_toxbdry")
    one = reference["continuous"]
    limits = boundary(pocock(one["rate"], one["alpha"]), one["max_n"])
    largest = {int(n): events for n, events in one["largest_without_stop"].items()}
    assert [Range(1, 1, None), *(found for found in ranges(limits) if found.events)] == [
        Range(1, 1, None),
        *(Range(low + 1, n, largest[n] + 1) for low, n in zip([1, *largest][:-1], largest, strict=True)),
    ]
    four = reference["four_looks"]
    stops = {int(n): events + 1 for n, events in four["largest_without_stop"].items()}
    looks = np.array([stops.get(n, n + 1) for n in range(76)])
    for limit, printed in ((limits, one), (looks, four)):
        found = crossing(limit, printed["true_rates"])
        # 5e-4 and 0.05: half a unit of the last printed digit.
        np.testing.assert_allclose(found.probability, printed["probability"], rtol=0, atol=5e-4)
        np.testing.assert_allclose(found.patients, printed["patients"], rtol=0, atol=0.05)


# Two independent computations.


def test_crossing_against_every_sequence_of_outcomes():
    """Enumerate all 2^n sequences of outcomes."""
    for limits in ([1, 2, 2, 2, 3, 3, 4, 4, 4, 5], [1, 1, 3, 3, 2, 2], [1, 2, 3, 4], [0, 1, 1]):
        last = len(limits) - 1
        for rate in (0.0, 0.13, 0.5, 1.0):
            probability = patients = events = 0.0
            for outcomes in itertools.product((0, 1), repeat=last):
                so_far = [0, *itertools.accumulate(outcomes)]
                first = next((n for n in range(last + 1) if so_far[n] >= limits[n]), None)
                weight = rate ** sum(outcomes) * (1 - rate) ** (last - sum(outcomes))
                end = last if first is None else first
                probability += weight * (first is not None)
                patients += weight * end
                events += weight * so_far[end]
            found = crossing(limits, rate)
            # 1e-13: rounding of up to 512 terms.
            np.testing.assert_allclose([*map(float, np.ravel(found[1:]))], [probability, patients, events], rtol=0, atol=1e-13)


def test_beta_binomial_against_numerical_integration():
    rule = beta_binomial(0.3, cutoff=0.9, a=0.5, b=1.5, least_n=1)
    limits = boundary(rule, 12)
    for n in range(1, 13):
        above = [
            quad(lambda p, y=y, n=n: p ** (y - 0.5) * (1 - p) ** (n - y + 0.5), 0.3, 1)[0]
            / quad(lambda p, y=y, n=n: p ** (y - 0.5) * (1 - p) ** (n - y + 0.5), 0, 1, limit=200)[0]
            for y in range(n + 1)
        ]
        assert limits[n] == next((y for y in range(n + 1) if above[y] > 0.9), n + 1)


@pytest.mark.parametrize(("rate", "alpha", "max_n"), [(0.1, 0.05, 12), (0.2, 0.05, 18), (0.25, 0.1, 6), (0.5, 0.3, 5)])
def test_pocock_against_every_level(rate, alpha, max_n):
    """Try every level that makes a difference, and keep the last one whose probability of a pause is at most alpha."""
    tails = sorted({float(binom.sf(y - 1, n, rate)) for n in range(1, max_n + 1) for y in range(1, n + 1)})
    best = None
    for level in tails:
        # 1e-9: rounding of the tail probabilities.
        limits = [1] + [
            next((y for y in range(1, n + 1) if binom.sf(y - 1, n, rate) <= level * (1 + 1e-9)), n + 1) for n in range(1, max_n + 1)
        ]
        if crossing(limits, rate).probability[0] <= alpha:
            best = (level, limits)
    level, limits = best
    # 1e-9: rounding of the tail probabilities.
    np.testing.assert_allclose(nominal_level(pocock(rate, alpha), max_n), level, rtol=1e-9)
    assert boundary(pocock(rate, alpha), max_n).tolist() == limits


# Edge cases.


def test_tie_does_not_pause():
    # Beta(1, 1) after 1 event in 1 patient: P(rate > 0.5) = 1 - 0.5^2 = 0.75.
    assert boundary(beta_binomial(0.5, cutoff=0.75, least_n=1), 1).tolist() == [1, 2]
    assert boundary(beta_binomial(0.5, cutoff=0.75 - 1e-9, least_n=1), 1).tolist() == [1, 1]
    assert TIE == rules.TIE


def test_pocock_attains_alpha_exactly():
    # One patient with an event: probability 0.05, which is at most alpha.
    assert boundary(pocock(0.05, 0.05), 1).tolist() == [1, 1]
    assert nominal_level(pocock(0.05, 0.05), 1) == pytest.approx(0.05, rel=1e-12)


def test_boundary_that_is_never_reached():
    limits = boundary(pocock(0.5, 0.001), 5)
    assert nominal_level(pocock(0.5, 0.001), 5) == 0
    assert limits.tolist() == [1, 2, 3, 4, 5, 6]
    found = crossing(limits, [0, 0.3, 1])
    assert found.probability.tolist() == [0, 0, 0]
    # 1e-14: rounding of the sum of six probabilities.
    np.testing.assert_allclose(found.patients, 5, rtol=1e-14)
    np.testing.assert_allclose(found.events, [0, 1.5, 5], rtol=1e-14)
    assert ranges(limits) == (Range(1, 5, None),)


def test_no_patients():
    assert crossing([1], [0.2, 0.9]).probability.tolist() == [0, 0]
    assert crossing([0], 0.2).probability.tolist() == [1]
    assert crossing([0], 0.2).patients.tolist() == [0]
    assert ranges([1]) == ()


def test_rates_of_0_and_1():
    found = crossing(boundary(pocock(), 20), [0, 1])
    assert found.probability.tolist() == [0, 1]
    # 3 of 3: P(Y >= 2 | n = 2) = 0.04 is above the nominal level.
    assert found.patients.tolist() == [20, 3]
    assert found.events.tolist() == [0, 3]


def test_minimum_number_of_patients():
    limits = boundary(beta_binomial(least_n=4), 6)
    assert limits[:4].tolist() == [1, 2, 3, 4]
    assert limits[4:].tolist() == boundary(beta_binomial(least_n=1), 6)[4:].tolist()


@pytest.mark.parametrize("rule", [beta_binomial(), pocock()])
def test_boundary_beyond_its_maximum_keeps_its_level(rule):
    shorter, longer = boundary(rule, 18), boundary(rule, 18, up_to=30)
    assert len(longer) == 31
    np.testing.assert_array_equal(longer[:19], shorter)
    assert boundary(rule, 18, up_to=5).tolist() == shorter[:6].tolist()


# Monotonicity.


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(RULES, st.integers(1, 40))
def test_limits_rise_by_at_most_one_per_patient(rule, max_n):
    limits = boundary(rule, max_n)
    assert limits.shape == (max_n + 1,)
    assert limits[0] == 1
    assert (limits >= 1).all()
    assert (limits <= np.arange(max_n + 1) + 1).all()
    after = limits[getattr(rule, "least_n", 1) :]
    assert set(np.diff(after)) <= {0, 1}


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(RULES, st.integers(1, 40), st.lists(st.floats(0, 1), min_size=2, max_size=5).map(sorted))
def test_probability_of_a_pause_rises_with_the_event_rate(rule, max_n, rates):
    found = crossing(boundary(rule, max_n), rates)
    # 1e-12: rounding of the recursion.
    assert (np.diff(found.probability) >= -1e-12).all()
    assert (np.diff(found.patients) <= 1e-12 * max_n).all()
    # Wald's identity: expected events are the expected patients times the rate.
    np.testing.assert_allclose(found.events, found.patients * rates, rtol=0, atol=1e-12 * max_n)
    alone = [crossing(boundary(rule, max_n), rate).probability[0] for rate in rates]
    np.testing.assert_array_equal(found.probability, alone)


@settings(max_examples=examples(60), deadline=None, derandomize=True)
@given(st.floats(0.02, 0.9), st.floats(0.001, 0.5), st.integers(1, 40))
def test_pocock_keeps_alpha(rate, alpha, max_n):
    # 1e-10: rounding of the tail probabilities.
    assert crossing(boundary(pocock(rate, alpha), max_n), rate).probability[0] <= alpha * (1 + 1e-10)


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(st.floats(0.9, 0.99), st.floats(0, 0.009), st.integers(1, 30))
def test_a_stricter_cutoff_needs_no_fewer_events(cutoff, more, max_n):
    assert (boundary(beta_binomial(cutoff=cutoff), max_n) <= boundary(beta_binomial(cutoff=cutoff + more), max_n)).all()


@settings(max_examples=examples(40), deadline=None, derandomize=True)
@given(RULES, st.integers(1, 40))
def test_ranges_are_the_boundary(rule, max_n):
    limits = boundary(rule, max_n)
    again = [n + 1 if events is None else events for low, high, events in ranges(limits) for n in range(low, high + 1)]
    assert again == limits[1:].tolist()


# Rules that have fired.


def test_death_pauses():
    counts = {1: Counts(3), 2: Counts(3, deaths=1, serious=1)}
    assert crossed(Pause(), counts, 18) == (Trigger("death", None, 1, 6, 1),)
    assert crossed(Pause(any_death=False), counts, 18) == ()


def test_related_serious_events_of_the_trial_and_of_a_dose():
    one = Counts(3, related_serious=1, serious=1)
    assert crossed(Pause(related_serious=2), {1: one, 2: one}, 18) == (Trigger("related-serious", None, 2, 6, 2),)
    assert crossed(Pause(related_serious=2, by="dose"), {1: one, 2: one}, 18) == ()
    found = crossed(Pause(related_serious=1, by="dose"), {2: one, 1: one}, 18)
    assert [trigger.level for trigger in found] == [1, 2]


@pytest.mark.parametrize(
    ("event", "counts", "fires"),
    [
        ("serious", Counts(3, serious=3), True),
        ("serious", Counts(3, serious=2), True),
        ("serious", Counts(3, serious=1, dlts=3), False),
        ("dlt", Counts(3, dlts=2), True),
        ("dlt", Counts(3, serious=3, dlts=1), False),
    ],
)
def test_boundary_counts_its_event(event, counts, fires):
    # Beta(1, 1) after 2 events in 3 patients: P(rate > 0.2) = 0.973; after 1: 0.819.
    found = crossed(Pause(boundary=beta_binomial(), event=event), {1: counts}, 18)
    events = counts.serious if event == "serious" else counts.dlts
    assert found == ((Trigger("boundary", None, events, 3, 2, event),) if fires else ())


def test_boundary_by_dose():
    counts = {1: Counts(6, serious=1), 2: Counts(3, serious=2), None: Counts(1, deaths=1, serious=1)}
    pause = Pause(boundary=beta_binomial(), by="dose")
    assert crossed(pause, counts, 6) == (Trigger("death", None, 1, 10, 1), Trigger("boundary", 2, 2, 3, 2, "serious"))
    # Over the trial: 4 of 10, where the limit is 5.
    assert crossed(Pause(boundary=beta_binomial(), any_death=False), counts, 18) == ()


def test_more_patients_than_the_maximum():
    (found,) = crossed(Pause(boundary=pocock()), {1: Counts(30, serious=30)}, 18)
    assert (found.events, found.n, found.limit) == (30, 30, int(boundary(pocock(), 18, up_to=30)[30]))


def test_no_patient_treated():
    for by in ("trial", "dose"):
        pause = Pause(related_serious=1, boundary=beta_binomial(), by=by)
        assert crossed(pause, {}, 18) == ()
        assert crossed(pause, {1: Counts(0)}, 18) == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Counts(-1), "treated = -1: must be a whole number, at least 0"),
        (lambda: Counts(3, dlts=4), "dlts = 4: must be a whole number from 0 to 3"),
        (lambda: Counts(3, deaths=1), "serious = 0: must be at least 1: it includes deaths and related_serious"),
        (lambda: boundary(pocock(), 0), "max_n = 0: must be a whole number, at least 1"),
        (lambda: boundary(pocock(), 5, up_to=0), "up_to = 0: must be a whole number, at least 1"),
        (lambda: crossing([1, 2], 1.5), r"rates = 1.5: must be a probability in \[0, 1\]"),
        (lambda: crossing([1, 2], "high"), "rates = 'high': must be a probability"),
        (lambda: crossing([1, 2], [[0.1]]), "must be a probability"),
        (lambda: crossing([1.5, 2], 0.1), r"boundary = \[1.5, 2.0\]: must be whole numbers"),
        (lambda: crossing([], 0.1), r"boundary = \[\]: must be whole numbers"),
    ],
)
def test_bad_calls(call, message):
    with pytest.raises(dsf.InputError, match=message):
        call()


# Settings.


@pytest.mark.parametrize(
    ("pause", "message"),
    [
        ({"boundary": {"kind": "wald", "rate": 0.2}}, "pause.boundary.kind = 'wald': must be one of 'beta-binomial', 'pocock'"),
        ({"boundary": {"rate": 0.2}}, "pause.boundary.kind: required, but missing: one of 'beta-binomial', 'pocock'"),
        ({"boundary": 3}, "pause.boundary = 3: must be a table"),
        ({"boundary": {"kind": "pocock"}}, "pause.boundary.rate: required, but missing"),
        (
            {"boundary": {"kind": "pocock", "rate": 0.2, "cutoff": 0.9}},
            "pause.boundary.cutoff = 0.9: unknown key (allowed: kind, rate, alpha, max_n)",
        ),
        ({"boundary": {"kind": "pocock", "rate": 1.2}}, "pause.boundary.rate = 1.2: must be less than 1"),
        (
            {"boundary": {"kind": "beta-binomial", "rate": 0.03}},
            "pause.boundary.cutoff = 0.95: must be at least P(event rate > 0.03) under the prior, 0.97: no event would be needed",
        ),
        (
            {"boundary": {"kind": "beta-binomial", "rate": 0.2, "least_n": 19}},
            "pause.boundary.least_n = 19: must be at most the maximum of 18 patients",
        ),
        (
            {"boundary": {"kind": "beta-binomial", "rate": 0.2, "least_n": 7}, "by": "dose"},
            "pause.boundary.least_n = 7: must be at most the maximum of 6 patients",
        ),
        ({"related_serious": 0}, "pause.related_serious = 0: must be greater than or equal to 1"),
        ({"related_serious": 19}, "pause.related_serious = 19: must be at most limits.max_n = 18"),
        ({"any_death": 1}, "pause.any_death = 1: must be true or false"),
        ({"event": "sae"}, "pause.event = 'sae': must be 'serious' or 'dlt'"),
        ({"by": "cohort"}, "pause.by = 'cohort': must be 'trial' or 'dose'"),
        ({"deaths": 1}, "pause.deaths = 1: unknown key (allowed: any_death, related_serious, boundary, event, by)"),
    ],
)
def test_bad_settings(pause, message):
    with pytest.raises(dsf.InputError) as error:
        made_up.protocol(pause=pause)
    assert str(error.value) == message


def test_defaults_are_assumptions():
    def assumed(**pause):
        return {found.key: found.value for found in made_up.protocol(pause=pause).assumptions() if found.key.startswith("pause")}

    # What no rule uses is not listed.
    assert assumed() == {"pause.any_death": True}
    assert assumed(related_serious=2) == {"pause.any_death": True, "pause.by": "trial"}
    assert assumed(boundary={"kind": "pocock", "rate": 0.2}, by="dose", any_death=True) == {
        "pause.boundary.alpha": 0.05,
        "pause.event": "serious",
    }
    assert set(assumed(boundary={"kind": "beta-binomial", "rate": 0.2})) == {
        *("pause.any_death", "pause.event", "pause.by"),
        *(f"pause.boundary.{key}" for key in ("cutoff", "a", "b", "least_n")),
    }


def test_number_of_patients_of_the_boundary():
    rule = {"kind": "pocock", "rate": 0.2}
    assert made_up.protocol(pause={"boundary": rule}).pause_max_n == 18
    assert made_up.protocol(pause={"boundary": rule, "by": "dose"}).pause_max_n == 6
    assert made_up.protocol(pause={"boundary": rule, "by": "dose"}, limits={"group": None}).pause_max_n == 18
    assert made_up.protocol(pause={"boundary": rule | {"max_n": 30}, "by": "dose"}).pause_max_n == 30


# What is printed.


def test_pause_rules_bear_on_the_conduct_only():
    protocol = made_up.protocol(pause={"related_serious": 2}, target={"sensitivity": ()})
    stamped = dsf.tasks.stamp(protocol)
    assert "pause" in stamped["without_effect"].split(", ")
    assert not [key for key, *_ in stamped["assumptions"] if key.startswith("pause")]
    conduct = dsf.tasks.stamp(protocol, conducts=True)
    assert conduct["pause"] == protocol.pause_rules()
    assert "pause.any_death" in [key for key, *_ in conduct["assumptions"]]


def test_the_terminal_shows_the_pause_rules():
    protocol = made_up.protocol(pause={"related_serious": 2, "boundary": {"kind": "pocock", "rate": 0.2}})
    found = dsf.next_dose(protocol, made_up.single_dose(), made_up.day(95))
    assert found.pause_rules == tuple(protocol.pause_rules())
    shown = as_lines(next_dose(found), details=True, width=1000)
    for sentence in protocol.pause_rules():
        assert sentence in shown


def test_the_command_accepts_and_refuses_pause_rules(tmp_path):
    text = (peers.ROOT / "configs" / "nct05962762.toml").read_text(encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text(f'{text}\n[pause]\nboundary = {{ kind = "pocock", rate = 2 }}\n', encoding="utf-8")
    found = CliRunner().invoke(main, ["compare", str(config)])
    assert found.exit_code == 2
    assert "pause.boundary.rate = 2: must be less than 1" in found.output
