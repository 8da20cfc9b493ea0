"""Every chart stays legible with any number of doses, designs and scenarios, long names and units, and extreme rates.

Measured with matplotlib's renderer: no text overlaps another or is outside the figure, none is smaller than 7 points at the printed
width of 160 mm, every axis has a label with its unit, every look is explained, and fills of a key differ in grey.
"""

import functools
import tempfile
import types
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.text import Text
from scipy.special import expit, ndtri

import dosefind as dsf
from dosefind.efficacy.responses import response_outcomes
from dosefind.plots.style import settings

from .made_up import day, event, patient, trial
from .made_up import protocol as made_up_protocol
from .peers import ROOT
from .planted import faults

plots = dsf.plots
NAME = "Escalation of mesenchymal stromal cells, arm A_1 <$100> $x_2$"
OTHER = "Повышение дозы мезенхимальных клеток, группа Б, ανάλυση_1"
UNIT = "10^6 viable CAR-positive T cells per kg of body weight"
DOSES = (1.0, 2.0, 3.3, 5.0, 7.0, 10.0, 14.0, 19.0, 25.0, 33.0, 44.0, 59.0)
DIGITS = (0.0012345678, 0.123456789, 12.3456789, 1234.56789, 1234567.89, 123456789.0)
assert min(map(len, (NAME, OTHER))) >= 57


class Synthetic(dsf.Analysis):
    """An analysis whose DLT rates are logit-normal around a line, the prior with twice the spread."""

    def quantiles(self, probabilities=(0.025, 0.5, 0.975), amounts=None, *, prior=False):
        curve, spread = self.posterior.curve, self.summary.attrs["spread"] * (1 + prior)
        x = curve.coordinates if amounts is None else curve.coordinate(np.asarray(amounts))
        return xr.DataArray(expit(self.summary.attrs["level"] + x[:, None] + spread * ndtri(probabilities)))


def analysis(amounts=DOSES[:3], unit="mg", name="X", level=-2.0, spread=1.0, interval=(0.16, 0.25, 0.33), n=3, **more):
    """An analysis with a DLT at the last dose treated, which is the middle one."""
    k, rng = len(amounts), np.random.default_rng(1)
    curve = dsf.Logistic2(doses=amounts, reference=amounts[k // 2], prior=dsf.BivariateNormal(mean=(-2.0, 0.0), sd=(1.0, 1.0)))
    treated = np.where(np.arange(k) <= k // 2, n, 0)
    shares, mtd = rng.dirichlet(np.full(3, 0.5), k).T, rng.dirichlet(np.full(k + 1, 0.5), 2)
    found = Synthetic(xr.Dataset(attrs={"level": level, "spread": spread}), types.SimpleNamespace(curve=curve), None)
    lower, middle, upper = found.quantiles().values.T
    by_dose = {
        "n": treated,
        "dlts": np.where(np.arange(k) == k // 2, treated // 3, 0),
        "lower": lower,
        "median": middle,
        "upper": upper,
        **dict(zip(("p_under", "p_target", "p_over"), shares, strict=True)),
        "prior_effective_n": np.geomspace(0.4, 52066.2, k),
    }
    labels = ["below 1", *map(str, range(1, k)), f"{k} or above"]
    attrs = {"protocol": name, "target": interval[1], "interval": list(interval[::2]), "rp2d_limit": interval[1], "rp2d": "1"}
    attrs |= {"curve_used": "logistic-2", "problems": "[]", "rp2d_reason": "the highest dose", "level": level, "spread": spread}
    data = {key: ("dose", value) for key, value in by_dose.items()} | {
        "mtd": ("mtd_level", mtd[0]),
        "prior_mtd": ("mtd_level", mtd[1]),
    }
    if "rhat" in more:
        data |= {f"{key}_se": (data[key][0], 0.0123 + 0 * data[key][1]) for key in ("p_under", "p_target", "p_over", "mtd")}
    coordinates = {"dose": np.arange(1, k + 1), "mtd_level": labels, "dose_amount": ("dose", np.array(amounts), {"units": unit})}
    return Synthetic(xr.Dataset(data, coordinates, attrs | more), found.posterior, None)


SAMPLED = {"rhat": 1.0031, "ess_bulk": 1800.0, "ess_tail": 900.0}
ANALYSES = {
    "one dose": lambda: analysis(DOSES[:1]),
    "six doses": lambda: analysis(DOSES[:6]),
    "twelve doses": lambda: analysis(DOSES, "10^6 cells/kg"),
    "long names": lambda: analysis(unit=UNIT, name=NAME),
    "other letters": lambda: analysis(unit="мг/кг_$", name=OTHER),
    "many digits": lambda: analysis(DIGITS, UNIT),
    "twelve doses with many digits": lambda: analysis(tuple(1.23457 * 2.13**i for i in range(12)), UNIT, NAME),
    "very small rates": lambda: analysis(level=-7.0, spread=0.3, interval=(0.005, 0.01, 0.02), n=0),
    "very small rates, one DLT": lambda: analysis(level=-7.0, spread=0.3, interval=(0.001, 0.01, 0.0125)),
    "very large rates": lambda: analysis(level=6.0, spread=0.5, interval=(0.93, 0.95, 0.96)),
    "thousands of patients": lambda: analysis(DOSES, n=1000),
    "sampled": lambda: analysis(DOSES, name=NAME, **SAMPLED),
    "cannot be trusted": lambda: analysis(name=NAME, problems=f'["{NAME}", "R-hat is 2.01"]', **SAMPLED),
    "borrowed": lambda: (lambda found: Synthetic(found.summary.assign(borrowed_n=found.summary["n"]), found.posterior, None))(
        analysis()
    ),
}


def comparison(doses=3, designs=3, scenarios=3, *, amounts=None, unit="mg", name="X", long=False, simulated=False, n=18):
    """Operating characteristics at random, from a scenario with very small rates to one with very large ones."""
    rng = np.random.default_rng(1)
    true = np.sort(rng.beta(1.0, 2.5, (scenarios, doses)), axis=1)
    true[0], true[-1] = np.linspace(0.00012, 0.012, doses), np.linspace(0.35, 0.985, doses)
    patients = n * rng.dirichlet(np.full(doses, 0.7), (designs, scenarios))
    selected = rng.dirichlet(np.full(doses + 1, 0.5), (designs, scenarios))
    selected[0, 0] = np.eye(doses + 1)[-1]
    data = {
        "selected": (("design", "scenario", "choice"), selected),
        "patients": (("design", "scenario", "dose"), patients),
        "dlts": (("design", "scenario", "dose"), patients * true),
        "p_true": (("scenario", "dose"), true),
        "true_mtd": ("scenario", [str((row <= 0.3).sum()) if row[0] <= 0.3 else "none" for row in true]),
    }
    if simulated:
        data |= {f"{key}_se": (data[key][0], 0.0158 + 0 * data[key][1]) for key in ("selected", "patients", "dlts")}
    units = {"units": unit}
    coordinates = {
        "design": [f"{'ABCDEFGH'[d]}_{NAME}"[:60] if long else f"design-{d}" for d in range(designs)],
        "scenario": [f"{OTHER} {s}"[-60:] if long else f"scenario {s}" for s in range(scenarios)],
        "choice": ["none", *map(str, range(1, doses + 1))],
        "dose": np.arange(1, doses + 1),
        "dose_amount": ("dose", np.array((amounts or DOSES)[:doses]), units),
    }
    return xr.Dataset(data, coordinates, {"method": "simulated" if simulated else "exact", "protocol": name, "n_trials": 1000})


def calendar(designs=3, rates=(1.0, 2.0, 4.0), overlaps=2, *, name="X", long=False):
    """Durations at random; overlap makes a difference to the last design."""
    rng = np.random.default_rng(1)
    shape = (overlaps, len(rates), designs, 2)
    days = rng.uniform(80, 900, shape)
    days[1:, :, :-1] = days[:1, :, :-1]
    data = {
        "days": (("overlap", "accrual", "design", "scenario"), days),
        "days_quantile": (("overlap", "accrual", "design", "scenario", "quantile"), days[..., None] * [0.3, 0.9, 1.8]),
        "correct": (("overlap", "accrual", "design", "scenario"), rng.uniform(0, 1, shape)),
    }
    coordinates = {
        "overlap": ["as written", "if allowed"][:overlaps],
        "accrual": list(rates),
        "design": [f"{'ABCDEFGHIJKL'[d]}_{NAME}"[:60] if long else f"design-{d}" for d in range(designs)],
        "scenario": [f"{OTHER} {s}"[-60:] if long else f"scenario {s}" for s in range(2)],
        "quantile": [0.1, 0.5, 0.9],
    }
    return xr.Dataset(data, coordinates, {"protocol": name, "n_trials": 2000, "seed": 1})


def best(designs=3, *, name="X", long=False):
    """An optimum at random: a frontier and designs below it."""
    rng = np.random.default_rng(2)
    names = ["optimum", *(f"{'ABCDEFGHIJKL'[d]}_{NAME}"[:60] if long else f"design-{d}" for d in range(designs))]
    data = {
        "frontier_utility": (("prior", "point"), np.sort(rng.uniform(0.6, 0.8, (1, 6)))),
        "frontier_dlts": (("prior", "point"), np.sort(rng.uniform(1, 4, (1, 6)))),
        "utility": (("prior", "design"), rng.uniform(0.4, 0.7, (1, designs + 1))),
        "dlts": (("prior", "design"), rng.uniform(1, 4, (1, designs + 1))),
    }
    prior = OTHER[-60:] if long else "scenarios"
    return xr.Dataset(data, {"prior": [prior], "design": names}, {"protocol": name, "utility": "correct"})


OPTIMA = {
    "one design": lambda: best(1),
    "eight designs": lambda: best(8),
    "twelve designs, long names": lambda: best(12, name=NAME, long=True),
}

DURATIONS = {
    "one design, one rate": lambda: calendar(1, (2.0,), 1),
    "nine designs": lambda: calendar(9),
    "twelve designs, long names": lambda: calendar(12, (0.123456, 1.0, 2.0, 14.5), name=NAME, long=True),
    "always a candidate": lambda: calendar(3, (float("inf"),)),
}

COMPARISONS = {
    "one scenario, one design": lambda: comparison(3, 1, 1),
    "one of everything": lambda: comparison(1, 1, 1),
    "six doses": lambda: comparison(6),
    "twelve doses": lambda: comparison(12, unit="10^6 cells/kg"),
    "eight designs and scenarios": lambda: comparison(3, 8, 8),
    "eight designs and scenarios, six doses": lambda: comparison(6, 8, 8),
    "eight designs and scenarios, twelve doses, long names": lambda: comparison(12, 8, 8, unit=UNIT, name=NAME, long=True),
    "long names": lambda: comparison(unit=UNIT, name=NAME, long=True),
    "many digits": lambda: comparison(6, amounts=DIGITS, unit=UNIT),
    "thousands of patients": lambda: comparison(6, n=10_000),
    "simulated": lambda: comparison(simulated=True),
    "simulated, twelve doses": lambda: comparison(12, simulated=True),
}


TREATMENT = {"infusion_days": [1], "dlt_window_days": 28, "no_overlap": False}


def protocol(amounts, unit="mg", name="X"):
    rates = np.linspace(0.1, 0.5, len(amounts)).tolist()
    doses = {"amounts": list(amounts), "unit": unit, "reference": {"amount": amounts[0], "unit": unit}}
    changed = {
        "doses": doses,
        "scenarios": {"rising": rates},
        "designs": {"3+3": {"kind": "3+3"}},
        "treatment": TREATMENT,
        "assumed": {},
    }
    table = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml").model_dump(exclude={"borrowing", "curves"}, exclude_unset=True)
    table["record"]["id"], table["limits"]["max_n"] = name, 6 * len(amounts)
    return dsf.Protocol.read(table | changed)


STATUSES = ("complete", "dlt", "pending", "not evaluable", "replaced")


def patients(count, subject, levels, per_level=6):
    """Patients in cohorts of three; the last one at a dose that is not in the protocol."""
    at = [min(i // per_level + 1, levels) for i in range(count - 1)]
    cohorts = [i // 3 + 1 for i in range(count - 1)]
    return pd.DataFrame(
        {
            "subject": [subject.format(i) for i in range(count)],
            "cohort": pd.array([*cohorts, None], "Int64"),
            "level": pd.array([*at, None], "Int64"),
            "status": [STATUSES[i % 5] for i in range(count)],
        }
    )


def climbing(levels, cohorts=1):
    return " ".join(f"{level}NNN" for level in range(1, levels) for _ in range(cohorts)) + f" {levels}NTP"


TRIALS = {
    "nobody": lambda: plots.trial(""),
    "one patient": lambda: plots.trial("1N"),
    "six doses": lambda: plots.trial(climbing(6), protocol=protocol(DOSES[:6])),
    "twelve doses": lambda: plots.trial(climbing(12), protocol=protocol(DOSES)),
    "many digits": lambda: plots.trial(climbing(6), protocol=protocol(DIGITS, UNIT, NAME)),
    "every status": lambda: plots.trial(patients(16, "{}", 3), protocol=protocol(DOSES[:3])),
    "long subjects": lambda: plots.trial(patients(36, f"{NAME}-{{:03d}}", 6), protocol=protocol(DOSES[:6], "мг/кг", OTHER)),
    "hundreds of patients": lambda: plots.trial(climbing(12, 12), protocol=protocol(DOSES)),
    "cohorts of one": lambda: plots.trial(" ".join(f"{i // 9 + 1}N" for i in range(54))),
}


def by_date(count, subject="{}", overdue=0, left=0, apart=5, decided=0):
    """Patients some days apart: every fifth with a DLT, some not evaluable, the last ones pending, some of them overdue."""
    people = []
    cutoff = 2 + apart * (count - 1) + 40 * (overdue == count)
    for i in range(count):
        first = 1 + apart * i
        told = {"last_contact": max(first, cutoff)}
        if i < overdue:
            told = {"last_contact": first + 9}
        elif i < overdue + left:
            told = {"discontinued": first + 5, "reason": "moved"}
        events = (event(first + 6, row=i + 1),) if i % 5 == 4 and i >= overdue + left else ()
        people.append(patient(subject.format(i), min(i // 6 + 1, 3), first, events=events, **told))
    evaluated = dsf.evaluate(trial(*people), made_up_protocol(), day(cutoff), replay=True)
    return plots.calendar(evaluated, protocol=protocol(DOSES[:3]), decisions=[day(1 + apart * i) for i in range(0, decided * 6, 6)])


CALENDARS = {
    "nobody": lambda: plots.calendar(dsf.evaluate(trial(last=20), made_up_protocol(), day(20))),
    "one patient": lambda: by_date(1),
    "one patient, overdue": lambda: by_date(1, overdue=1),
    "ten patients": lambda: by_date(10, overdue=2, left=2, decided=2),
    "thirty patients": lambda: by_date(30, overdue=4, left=3, decided=5),
    "thirty patients within days": lambda: by_date(30, apart=0),
    "thirty patients over years": lambda: by_date(30, overdue=2, apart=60, decided=5),
    "long subjects": lambda: by_date(20, f"{NAME}-{{:03d}}", overdue=1, left=1),
}


def boundaries(patients):
    return dsf.BOIN(target=0.3).table(max_n=patients)


def grid(levels):
    return dsf.decision_table(protocol(DOSES[:levels]), "3+3")


DECISIONS = {
    "one patient": lambda: plots.decisions(boundaries(1)),
    "twelve patients": lambda: plots.decisions(boundaries(12), name="boin"),
    "thirty patients": lambda: plots.decisions(boundaries(30), name=NAME),
    "sixty patients": lambda: plots.decisions(boundaries(60), name=OTHER),
    "six doses": lambda: plots.decisions(grid(6), name=NAME),
    "twelve doses": lambda: plots.decisions(grid(12)),
}


def elicited(amounts):
    return dsf.minimally_informative_prior(amounts, reference=amounts[-1] / 2, lowest=(0.4, 0.05), highest=(0.1, 0.05))


def quantiles(low, high):
    return dsf.prior_from_quantiles(
        {1: dict(zip((0.1, 0.9), low, strict=True)), 3: dict(zip((0.1, 0.9), high, strict=True))}, reference=3
    )


PRIORS = {
    "no protocol": lambda: plots.prior(quantiles((0.01, 0.25), (0.1, 0.6))),
    "six doses": lambda: plots.prior(elicited(DOSES[:6]), protocol=protocol(DOSES[:6]), cohort=6),
    "twelve doses": lambda: plots.prior(elicited(DOSES), protocol=protocol(DOSES)),
    "many digits": lambda: plots.prior(elicited(DIGITS), protocol=protocol(DIGITS, UNIT, NAME)),
    "very small rates": lambda: plots.prior(quantiles((1e-4, 2e-3), (1e-3, 1e-2)), protocol=protocol(DOSES[:3])),
    "very large rates": lambda: plots.prior(quantiles((0.6, 0.98), (0.9, 0.999)), protocol=protocol(DOSES[:3])),
}


def dose_selection(config, **changes):
    """The analysis of an example with responses, with other words."""
    folder = ROOT / "examples" / config / "dose-selection"
    rules = dsf.load_protocol(folder / "trial.toml")
    table = rules.model_dump(exclude_unset=True) | {"assumed": {}}
    table["efficacy"] |= changes
    if "endpoint" in changes:
        table["borrowing"] = {}
        table["doses"] |= {"unit": UNIT, "reference": table["doses"]["reference"] | {"unit": UNIT}}
    changed = dsf.Protocol.read(table)
    evaluated = dsf.evaluate(dsf.read_patients(folder / "patients.csv", changed, events=folder / "events.csv"), changed)
    return dsf.analyze(changed, evaluated.cohorts(), responses=response_outcomes(evaluated, changed), predicts=False)


SELECTIONS = {
    "responses": lambda: dose_selection("nct05962762"),
    "long names": lambda: dose_selection("nct05962762", endpoint=NAME),
    "other letters": lambda: dose_selection("nct05948982", endpoint=OTHER, unit="points of the score"),
    "changes": lambda: dose_selection("nct05948982"),
}


@functools.cache
def with_measurements():
    """A synthetic trial with measurements."""
    made = dsf.synthesize(dsf.load_trial(ROOT / "configs" / "nct05948982.toml"), "none toxic", seed=3, endpoints=True)
    with tempfile.TemporaryDirectory() as folder:
        made.write(folder)
        patients = dsf.read_patients(f"{folder}/patients.csv", made.protocol, events=f"{folder}/events.csv")
        return patients, dsf.read_measurements(f"{folder}/measurements.csv", patients, made.protocol), made.protocol


def endpoints_of(label="", unit=""):
    """The summary of its endpoints, with another label of every parameter and another unit of the doses."""
    patients, values, protocol = with_measurements()
    if not label:
        return dsf.summarize_endpoints(protocol, patients, values)
    table = protocol.model_dump(exclude_unset=True) | {"assumed": {}, "borrowing": {}}
    table["doses"] |= {"unit": unit, "reference": table["doses"]["reference"] | {"unit": unit}}
    for number, key in enumerate(table["endpoints"]["parameters"]):
        table["endpoints"]["parameters"][key]["label"] = f"{label} {number}"
    return dsf.summarize_endpoints(dsf.Protocol.read(table), patients, values)


SUMMARIES = {
    "three doses": endpoints_of,
    "long names": lambda: endpoints_of(NAME[:190], UNIT),
    "other letters": lambda: endpoints_of(OTHER[:190], "x"),
}
OF_ENDPOINTS = {"changes": ("MELD",), "ratios": ("IL6",), "events": ("TFS",), "liver": ()}


def drawn_of_endpoints(chart, make):
    return lambda: getattr(plots, chart)(make(), *OF_ENDPOINTS[chart])


def planned(doses, kind="3+3", *, scenarios=8, long=False, unit="mg", **settings):
    """A protocol of one design, which is called by its kind."""
    amounts = [float(dose) for dose in DOSES[:doses]]
    rates = {
        f"{OTHER} {s}"[-60:] if long else f"scenario {s}": tuple(min(0.95, 0.02 * (k + 1) * (s + 1)) for k in range(doses))
        for s in range(scenarios)
    }
    table = made_up_protocol(target={"sensitivity": ()}).model_dump(exclude_unset=True)
    table |= {"doses": {"amounts": amounts, "unit": unit}, "scenarios": rates, "curves": {}, "borrowing": {}, "assumed": {}}
    table |= {"designs": {kind: {"kind": kind, **settings}}}
    table["treatment"] |= {"stagger": {"days": 7, "levels": [doses], "patients": "every"}}
    return dsf.Protocol.read(table)


SKELETON = {"halfwidth": 0.05, "mtd_level": 2}
PLANS = {
    "one dose": lambda: (planned(1, scenarios=1), "3+3"),
    "three doses": lambda: (planned(3), "3+3"),
    "six doses": lambda: (planned(6, "boin", max_n_per_dose=6), "boin"),
    "twelve doses": lambda: (planned(12, "crm", skeleton=SKELETON), "crm"),
    "long names": lambda: (planned(3, "boin", long=True, unit=UNIT), "boin"),
    "one by one": lambda: (planned(3, "rolling-6", unit="\u043c\u0433/\u043a\u0433_$"), "rolling-6"),
    "two sizes of cohort": lambda: (planned(6, "boin", cohort_size=[1, 3]), "boin"),
}


def flow_of(make):
    protocol, name = make()
    return plots.flow(dsf.decision_table(protocol, name), protocol, name=NAME)


def tree_of(make):
    protocol, name = make()
    return plots.tree(dsf.paths(protocol, name, cohorts=2 if protocol.n_doses > 1 else 1), name=NAME)


OF_OPTIMUM, OF_CALENDAR, OF_ANALYSIS, OF_COMPARISON = (
    ("frontier",),
    ("duration",),
    ("curve", "intervals", "mtd", "prior_posterior"),
    ("selection", "allocation"),
)


def drawn_from(chart, make):
    return lambda: getattr(plots, chart)(make())


OF_PLAN = {"flow": flow_of, "tree": tree_of}
CHARTS = {
    **{(chart, key): drawn_from(chart, make) for key, make in ANALYSES.items() for chart in OF_ANALYSIS},
    **{(chart, key): drawn_from(chart, make) for key, make in COMPARISONS.items() for chart in OF_COMPARISON},
    **{(chart, key): drawn_from(chart, make) for key, make in DURATIONS.items() for chart in OF_CALENDAR},
    **{(chart, key): drawn_from(chart, make) for key, make in OPTIMA.items() for chart in OF_OPTIMUM},
    **{(chart, key): drawn_from(chart, make) for key, make in SELECTIONS.items() for chart in ("efficacy", "utility")},
    **{(chart, key): drawn_of_endpoints(chart, make) for key, make in SUMMARIES.items() for chart in OF_ENDPOINTS},
    **{("trial", key): make for key, make in TRIALS.items()},
    **{("calendar", key): make for key, make in CALENDARS.items()},
    **{("decisions", key): make for key, make in DECISIONS.items()},
    **{(chart, key): partial(drawn, make) for key, make in PLANS.items() for chart, drawn in OF_PLAN.items()},
    **{("prior", key): make for key, make in PRIORS.items()},
}
# Each kind of trouble with one chart at least; the others are tried in the long run.
QUICK = {
    ("curve", "twelve doses"),
    ("curve", "long names"),
    ("curve", "very small rates, one DLT"),
    ("curve", "one dose"),
    ("intervals", "sampled"),
    ("intervals", "other letters"),
    ("mtd", "twelve doses with many digits"),
    ("mtd", "cannot be trusted"),
    ("prior_posterior", "thousands of patients"),
    ("prior_posterior", "very large rates"),
    ("selection", "one of everything"),
    ("selection", "eight designs and scenarios"),
    ("selection", "long names"),
    ("selection", "twelve doses"),
    ("allocation", "six doses"),
    ("allocation", "many digits"),
    ("allocation", "simulated"),
    ("duration", "nine designs"),
    ("duration", "twelve designs, long names"),
    ("frontier", "eight designs"),
    ("frontier", "twelve designs, long names"),
    ("efficacy", "responses"),
    ("efficacy", "other letters"),
    ("utility", "long names"),
    ("changes", "long names"),
    ("ratios", "three doses"),
    ("events", "long names"),
    ("liver", "three doses"),
    ("trial", "long subjects"),
    ("trial", "twelve doses"),
    ("trial", "nobody"),
    ("calendar", "one patient"),
    ("calendar", "thirty patients"),
    ("calendar", "long subjects"),
    ("decisions", "twelve doses"),
    ("decisions", "thirty patients"),
    ("flow", "three doses"),
    ("flow", "long names"),
    ("tree", "twelve doses"),
    ("tree", "long names"),
    ("prior", "twelve doses"),
    ("prior", "very small rates"),
}
# The text in a label that states what an axis measures.
UNITS = {
    "curve": ("Dose (", "(%)"),
    "efficacy": ("Dose (", "("),
    "utility": ("Dose (", "utility"),
    "intervals": ("Dose (", "(%)"),
    "mtd": ("Dose (", "(%)"),
    "prior_posterior": ("Dose (", "(%)"),
    "selection": ("Dose (", "Design"),
    "allocation": ("Dose (", "Design"),
    "duration": ("(days)", "Design"),
    "frontier": ("DLTs (patients)", "(points)"),
    "changes": ("Visit", "baseline"),
    "ratios": ("Visit", "Ratio to baseline"),
    "events": ("Study day", "(%)"),
    "liver": ("(multiple", "(multiple"),
    "trial": ("Patient", "Dose"),
    "calendar": ("Date", "dose level"),
    "decisions": ("Number of patients", "DLTs"),
    # No axes: boxes whose words say what they are.
    "flow": ("", ""),
    "tree": ("", ""),
    "prior": ("Dose (", "(%)"),
}
# Looks that a text beside them explains, or that only separate.
SEPARATOR, GREY = ("line", "#bfbfbf"), "#595959"
DOSES_OF_ENDPOINTS = ("#0072b2", "#b34700", "#1a1a1a")
PATIENTS = {("mark", ".", colour): "Thin lines are patients" for colour in DOSES_OF_ENDPOINTS}
BESIDE = {
    "changes": {SEPARATOR: "", **PATIENTS},
    "ratios": {SEPARATOR: "", ("line", GREY): "dotted lines are", **PATIENTS},
    "liver": {("line", GREY): "Dashed", **{("line", colour): "thin line leads" for colour in DOSES_OF_ENDPOINTS}},
    "trial": {("fill", "#f2f2f2", None): "cohort", ("line", GREY): "dose not in the\nprotocol"},
    "decisions": {("line", "#1a1a1a"): "level"},
    "flow": {
        ("fill", "#ffffff", None): "Start at",
        ("line", "#1a1a1a"): "\u2192",
        ("fill", "#bfe5d6", None): "Escalate",
        ("fill", "#f0f0f0", None): "Stay",
        ("fill", "#f3d3a4", None): "De-escalate",
        ("fill", "#f2c4b3", None): "Stop",
    },
    "tree": {
        ("fill", "#ffffff", None): "level",
        ("line", "#1a1a1a"): "Beside a branch",
        SEPARATOR: "",
        **{("fill", fill, None): "next: level" for fill in ("#bfe5d6", "#f0f0f0", "#f3d3a4")},
        ("fill", "#f2c4b3", None): "stop:",
    },
    "intervals": {("line", "#ffffff"): ""},
    "selection": {("line", "#1a1a1a"): "one standard", SEPARATOR: ""},
    "allocation": {("line", "#1a1a1a"): "one standard", SEPARATOR: ""},
}


def looks(artist):
    """What distinguishes an artist: kind, colour, and hatch or marker."""
    if isinstance(artist, Line2D):
        if artist.get_linestyle() not in ("None", "none", "", " "):
            yield ("line", to_hex(artist.get_color()))
        if artist.get_marker() not in ("None", "none", "", None, "_", "|"):
            yield ("mark", artist.get_marker(), to_hex(artist.get_markeredgecolor()))
    elif isinstance(artist, LineCollection):
        yield from {("line", to_hex(colour)) for colour in artist.get_colors()}
    elif isinstance(artist, PathCollection | PolyCollection):
        colours = (
            [*artist.get_facecolor(), *artist.get_edgecolor()][:2] if isinstance(artist, PathCollection) else artist.get_facecolor()
        )
        yield ("mark" if isinstance(artist, PathCollection) else "fill", *(to_hex(colour) for colour in colours), None)
    elif isinstance(artist, Patch) and not isinstance(artist, FancyArrowPatch):
        yield ("fill", to_hex(artist.get_facecolor()), artist.get_hatch())


def unexplained(ax, chart, written):
    """Looks that are in the axes, but neither in a key nor explained by a text beside them."""
    keys = [artist for legend in ax.findobj(Legend) for artist in legend.findobj() if artist is not legend.get_frame()]
    explained = {look for artist in keys for look in looks(artist)}
    explained |= {look for look, text in BESIDE.get(chart, {}).items() if text in " ".join(written)}
    # A square of the curve's key is a line's marker, in the axes it is one of many.
    explained |= {("mark", "#1a1a1a", None) for look in explained if look[:2] == ("mark", "s")}
    drawn = {look for artist in (*ax.lines, *ax.collections, *ax.patches) for look in looks(artist)}
    return sorted(map(str, drawn - explained))


def lightness(colour):
    """CIE L* of a colour: what is left of it in grey."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    y = np.dot((0.2126, 0.7152, 0.0722), linear)
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


def alike_in_grey(ax):
    """Pairs of fills of a key that neither differ by 8 steps of lightness nor by a hatch."""
    fills = {
        look for legend in ax.findobj(Legend) for handle in legend.legend_handles for look in looks(handle) if look[0] == "fill"
    }
    return [
        (one, other)
        for one, other in combinations(sorted(fills, key=str), 2)
        if one[-1] == other[-1] and abs(lightness(one[1]) - lightness(other[1])) < 8
    ]


def troubles(ax, chart):
    """What a reader could not read or understand on a chart, under the settings with which it is saved."""
    with settings():
        return measured(ax, chart)


def measured(ax, chart):
    figure = ax.get_figure()
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    # The box of an annotation would reach to the end of its line.
    boxes = np.array([Text.get_window_extent(text, renderer).extents for text in texts])
    low, high = boxes[:, :2], boxes[:, 2:]
    # Half a pixel of 0.25 mm on each side is rounding.
    overlap = np.all(np.minimum(high[:, None], high) - np.maximum(low[:, None], low) > 1.0, axis=2)
    pairs = [(texts[i].get_text(), texts[j].get_text()) for i, j in np.argwhere(np.triu(overlap, 1))]
    outside = [
        text.get_text() for text, box in zip(texts, boxes, strict=True) if min(box) < 0 or np.any(box[2:] > figure.bbox.size + 0.5)
    ]
    around = figure.get_tightbbox(renderer)
    found = {
        "texts overlap": pairs,
        "texts outside the figure": outside,
        "marks outside the figure": [around.extents]
        if min(around.extents) < -0.01 or np.any(around.extents[2:] > figure.get_size_inches() + 0.01)
        else [],
        "texts below 7 points": [text.get_text() for text in texts if text.get_fontsize() < 7],
        "printed width": [figure.get_figwidth()] if abs(figure.get_figwidth() * 25.4 - 160) > 0.1 else [],
        "labels without a unit": [
            label for label, unit in zip((ax.get_xlabel(), ax.get_ylabel()), UNITS[chart], strict=True) if unit not in label
        ],
        "looks without an explanation": unexplained(ax, chart, [text.get_text() for text in texts]),
        "alike in grey": alike_in_grey(ax),
        "numbers with a letter for the exponent": [text.get_text() for text in texts if "e+" in text.get_text()],
    }
    return {trouble: where for trouble, where in found.items() if where}


CASES = [
    pytest.param(chart, setting, marks=() if (chart, setting) in QUICK else pytest.mark.slow, id=f"{chart}: {setting}")
    for chart, setting in CHARTS
]


# Designs and doses of comparisons that are split in the long run.
PAGED = ((1, 3), (1, 12), (8, 3), (8, 12))


def test_every_chart_is_tried():
    assert {chart for chart, _ in CHARTS} == set(plots.__all__) - {"alt_text", "as_png", "as_svg", "pages", "save"}
    assert {chart for chart, _ in QUICK} == {chart for chart, _ in CHARTS}
    assert set(CHARTS) >= QUICK


@pytest.mark.parametrize(("chart", "setting"), CASES)
def test_chart_is_legible(chart, setting):
    assert troubles(CHARTS[chart, setting](), chart) == {}


@pytest.mark.parametrize(("designs", "doses"), [(8, 6), *(pytest.param(*case, marks=pytest.mark.slow) for case in PAGED)])
def test_pages_of_a_comparison_have_all_scenarios_and_fit(designs, doses):
    """205 mm: an A4 page of 297 mm less margins of 22 mm, a heading, and a caption."""
    oc = comparison(doses, designs, 8, long=True, unit=UNIT, name=NAME)
    parts = plots.pages(oc)
    assert np.concatenate([part.scenario.values for part in parts]).tolist() == oc.scenario.values.tolist()
    charts = [chart(part) for part in parts for chart in (plots.selection, plots.allocation)]
    assert max(ax.get_figure().get_figheight() * 25.4 for ax in charts) <= 205


def without(text):
    """A fault that leaves a part out."""
    return lambda *given, **named: text


def unfitted(old):
    """A fault with which cells are written at full size, wherever they are."""
    return lambda *given, **named: old(("",), np.zeros(1), (0, 0))


CROWDED = ("selection", "eight designs and scenarios, twelve doses, long names")
LAYOUT = "dosefind.plots.layout"
# What is replaced, by what, and the chart that then is not legible.
FAULTS = {
    "a figure keeps its first size": ("matplotlib.figure:Figure.set_size_inches", lambda _: without(None), ("curve", "long names")),
    "cells are not fitted": (f"{LAYOUT}:form_of", unfitted, ("mtd", "twelve doses with many digits")),
    "lines are not broken": (f"{LAYOUT}:filled", lambda _: lambda text, *given: text, ("intervals", "other letters")),
    "names are not shortened": (f"{LAYOUT}:distinct", lambda _: lambda names, *given: list(map(str, names)), CROWDED),
    "text has no width": (f"{LAYOUT}:width_of", lambda _: without(1.0), ("selection", "twelve doses")),
    "lines have no height": (f"{LAYOUT}:line_height", lambda _: without(1.0), ("curve", "very small rates, one DLT")),
    "marks have no key": (f"{LAYOUT}:key", lambda _: without(None), ("prior", "very small rates")),
    "a dose has no unit": (f"{LAYOUT}:dose_label", lambda _: without("Dose"), ("allocation", "many digits")),
    "notes are small": (f"{LAYOUT}:SMALL", lambda _: 6.5, ("decisions", "twelve doses")),
    "two fills are equally light": ("dosefind.plots.posterior:SKY", lambda _: "#CCE0EE", ("intervals", "sampled")),
    "doses have exponents": ("dosefind.plots.style:dose_text", lambda _: "{:g}".format, ("curve", "many digits")),
}
test_fault_is_caught = faults(
    {name: (target, fault, lambda case=case: test_chart_is_legible(*case)) for name, (target, fault, case) in FAULTS.items()}
)
