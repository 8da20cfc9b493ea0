"""Bad input: each broken file, call and command line ends in one error that says what is wrong; nothing is half-written."""

import errno
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dosefind import (
    BOIN,
    CRM,
    InputError,
    Protocol,
    ThreePlusThree,
    compare,
    decide,
    decision_table,
    design_from_rule,
    indifference_intervals,
    lattice,
    load_protocol,
    paths,
    provenance,
    simulate,
    skeleton,
)
from dosefind.cli import main
from dosefind.designs import DESIGNS
from dosefind.models import CURVES, one_parameter
from dosefind.operating.walk import WalkTooLarge
from dosefind.protocol import Record, Stagger, Treatment
from dosefind.trial import Cohort

CONFIG = Path(__file__).parents[1] / "configs" / "nct05962762.toml"
TEXT = CONFIG.read_text(encoding="utf-8")


def part(begin, end):
    """The text of the config from one heading to another."""
    return TEXT[TEXT.index(begin) : TEXT.index(end)]


def keys(settings):
    return f"(allowed: {', '.join(settings.model_fields)})"


KINDS = ", ".join(map(repr, DESIGNS))
CURVE_KINDS = ", ".join(map(repr, CURVES))
ONE_PARAMETER = " or ".join(", ".join(map(repr, one_parameter())).rsplit(", ", 1))
TITLE = 'title = "'
AMOUNTS = "[1, 3, 5]"
DOSES = "{'amounts': [1, 3, 5], 'unit': '10^6 cells/kg', 'reference': {'amount': 3, 'u..."
REFERENCE = part("reference =", "\n[treatment]")
PRIOR = "prior = { mean = [-2.2, 0.0], sd = [2.0, 1.0] }"
TIGHT_PRIOR = "curves.logistic-2-tight.prior"
TIGHT = "prior = { mean = [-2.2, 0.0], sd = [1.0, 0.5] }"
UNIT = 'unit = "10^6 cells/kg"\n'
LOW = "[0.02, 0.05, 0.10]"
INTERVAL = "[0.16, 0.33]"
THREE = 'kind = "3+3"'
CAPPED_CRM = "skeleton = { halfwidth = 0.05, mtd_level = 2 }"  # first found in the table of crm-6
PLAIN_CRM = '[designs.crm]\nkind = "crm"'
PLAIN_BOIN = '[designs.boin]\nkind = "boin"'
MAX_N = "max_n = 18"
FROM_1 = "must be greater than or equal to 1"
TOLERANCE = "treatment.infusion_tolerance_days = -1: must be greater than or equal to 0"
TEXT_ALLOWED = "must be text of 1 to 200 characters, none of them a control character"

# Name, text of the valid config, text in its place, the message after the file's name; "..." stands for what the TOML library says.
CONFIGS = [
    # Keys that are unknown or missing.
    ("unknown key", "[record]", "colour = 1\n[record]", f"colour = 1: unknown key {keys(Protocol)}"),
    (
        "near miss of a table",
        "[doses]",
        "[dose]",
        f"doses: required, but missing\n  dose = {DOSES}: unknown key; did you mean 'doses'? {keys(Protocol)}",
    ),
    ("unknown key of a table", TITLE, f'colour = "x"\n{TITLE}', f"record.colour = 'x': unknown key {keys(Record)}"),
    (
        "unknown key of a table in a table",
        "days = 7",
        "days = 7, nights = 6",
        f"treatment.stagger.nights = 6: unknown key {keys(Stagger)}",
    ),
    (
        "near miss of a key",
        "dlt_window_days",
        "dlt_windows_days",
        "treatment.dlt_window_days: required, but missing\n  treatment.dlt_windows_days = 28: unknown key; "
        f"did you mean 'dlt_window_days'? {keys(Treatment)}",
    ),
    ("unknown key of a design", PLAIN_BOIN, f"{PLAIN_BOIN}\nflavour = 1", f"designs.boin.flavour = 1: unknown key {keys(BOIN)}"),
    (
        "near miss of a design's key",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\np_safe = 0.1",
        f"designs.boin.p_safe = 0.1: unknown key; did you mean 'p_saf'? {keys(BOIN)}",
    ),
    (
        "no near miss where there is none",
        THREE,
        f"{THREE}\ntarget = 0.25",
        f"designs.3+3.target = 0.25: unknown key {keys(ThreePlusThree)}",
    ),
    (
        "near miss in a skeleton",
        CAPPED_CRM,
        "skeleton = { halfwidth = 0.05, mtd_levle = 2 }",
        "designs.crm-6.skeleton.mtd_level: required, but missing\n  designs.crm-6.skeleton.mtd_levle = 2: unknown key; "
        "did you mean 'mtd_level'? (allowed: halfwidth, mtd_level)",
    ),
    ("control character in a key", TITLE, f'"\\u001b[31m" = 1\n{TITLE}', f"record.'\\x1b[31m' = 1: unknown key {keys(Record)}"),
    ("missing table", part("[doses]", "[treatment]"), "", "doses: required, but missing"),
    # Curves.
    (
        "no reference dose",
        REFERENCE,
        "",
        "curves.logistic-2.reference: required, but missing (give it here or as doses.reference)\n"
        "  curves.logistic-2-tight.reference: required, but missing (give it here or as doses.reference)",
    ),
    (
        "prior that is not positive definite, which designs take too",
        "prior = { mean = [-2.2, 0.0], sd = [2.0, 1.0] }",
        "prior = { mean = [-2.2, 0.0], sd = [2.0, 1.0], correlation = -1.0 }",
        "curves.logistic-2.prior.correlation = -1.0: must be between -1 and 1 (exclusive): ...",
    ),
    (
        "curve of no kind",
        'kind = "logistic-2"           #',
        "#",
        f"curves.logistic-2.kind: required, but missing: one of {CURVE_KINDS}",
    ),
    (
        "misspelt curve",
        'kind = "power"',
        'kind = "powr"',
        f"curves.power.kind = 'powr': must be one of {CURVE_KINDS}; did you mean 'power'?",
    ),
    ("curve without prior", TIGHT, "", f"{TIGHT_PRIOR}: required, but missing..."),
    ("prior sd of zero", TIGHT, TIGHT.replace("[1.0", "[0.0"), f"{TIGHT_PRIOR}.sd[1] = 0.0: must be greater than 0"),
    (
        "prior sd beyond reason",
        TIGHT,
        TIGHT.replace("[1.0", "[100"),
        f"{TIGHT_PRIOR}.sd[1] = 100: must be...",
    ),
    (
        "prior not positive definite",
        TIGHT,
        TIGHT.replace(" }", ", correlation = 1.0 }"),
        f"{TIGHT_PRIOR}.correlation = 1.0: must be between -1 and 1 (exclusive): otherwise the prior's covariance is not "
        "positive definite",
    ),
    ("prior of one mean", TIGHT, TIGHT.replace("[-2.2, 0.0]", "[-2.2]"), f"{TIGHT_PRIOR}.mean[2]: required, but missing"),
    (
        "prior that closes the first dose",
        PRIOR,
        PRIOR.replace("-2.2", "0.0"),
        "designs.blrm-6: start = 1 is not admissible before any data: ...",
    ),
    ("limit of the RP2D", "limit = 0.25", "limit = 25", "rp2d.limit = 25: must be less than 1"),
    (
        "skeleton of a curve",
        part("[curves.power]", "[borrowing]"),
        '[curves.power]\nkind = "power"\nskeleton = [0.1, 0.2]\n',
        "curves.power.skeleton = [0.1, 0.2]: must have 3 entries, one per dose of doses.amounts",
    ),
    ("missing unit", UNIT, "", "doses.unit: required, but missing"),
    ("empty unit", UNIT, 'unit = ""\n', f"doses.unit = '': {TEXT_ALLOWED}"),
    ("missing rate", "rate = 0.25\n", "", "target.rate: required, but missing"),
    ("missing skeleton", CAPPED_CRM, "", "designs.crm-6.skeleton: required, but missing"),
    ("list for a table", "[doses]", "[[doses]]", "doses = [{'amounts': [1, 3, 5], 'unit': '10^6 cells/kg', ..."),
    # Doses.
    ("doses fall", AMOUNTS, "[1, 5, 3]", "doses.amounts = [1, 5, 3]: must be positive and strictly increasing"),
    ("doses repeat", AMOUNTS, "[1, 3, 3]", "doses.amounts = [1, 3, 3]: must be positive and strictly increasing"),
    ("dose of zero", AMOUNTS, "[0, 3, 5]", "doses.amounts = [0, 3, 5]: must be positive and strictly increasing"),
    ("negative dose", AMOUNTS, "[-1, 3, 5]", "doses.amounts = [-1, 3, 5]: must be positive and strictly increasing"),
    ("dose in words", AMOUNTS, '[1, "three", 5]', "doses.amounts[2] = 'three': must be a number"),
    ("dose in quotation marks", AMOUNTS, '[1, "3", 5]', "doses.amounts[2] = '3': must be a number"),
    ("dose true", AMOUNTS, "[true, 3, 5]", "doses.amounts[1] = True: must be a number"),
    ("dose not a number", AMOUNTS, "[1, nan, 5]", "doses.amounts[2] = nan: must be a finite number"),
    ("infinite dose", AMOUNTS, "[1, 3, inf]", "doses.amounts[3] = inf: must be a finite number"),
    ("one dose, no list", AMOUNTS, "3", "doses.amounts = 3: must be a list"),
    ("no dose", AMOUNTS, "[]", "doses.amounts = []: must have at least 1 entry"),
    (
        "reference dose in another unit",
        REFERENCE,
        'reference = { amount = 3, unit = "cells/kg" }\n',
        "doses.reference.unit = 'cells/kg': must be the unit of the doses, '10^6 cells/kg': 1 'cells/kg' is 10^-6 "
        "'10^6 cells/kg', and units are not converted",
    ),
    ("reference dose without unit", REFERENCE, "reference = { amount = 3 }\n", "doses.reference.unit: required, but missing"),
    (
        "reference dose out of reach",
        REFERENCE,
        'reference = { amount = 3e6, unit = "10^6 cells/kg" }\n',
        "doses.reference.amount = 3000000.0: is too far from the doses: it must be between 0.5 and 10 (10^6 cells/kg)",
    ),
    # Treatment.
    ("infusions begin late", "days = [1]", "days = [2]", "treatment: infusion_days = [2] must begin with day 1 and increase"),
    (
        "infusions fall",
        "days = [1]",
        "days = [1, 29, 8]",
        "treatment: infusion_days = [1, 29, 8] must begin with day 1 and increase",
    ),
    (
        "infusion after the window",
        "days = [1]",
        "days = [1, 30]",
        "treatment: infusion_days = [1, 30] must be within the DLT window, which ends on day 29",
    ),
    (
        "stagger longer than the window",
        "days = 7",
        "days = 70",
        "treatment: stagger.days = 70 must not exceed dlt_window_days = 28",
    ),
    ("no window", "window_days = 28", "window_days = 0", "treatment.dlt_window_days = 0: must be greater than or equal to 1"),
    ("overlap in words", "no_overlap = true", 'no_overlap = "yes"', "treatment.no_overlap = 'yes': must be true or false"),
    ("stagger level not there", "levels = [3]", "levels = [4]", "treatment.stagger.levels = [4]: must be among the levels 1 to 3"),
    ("stagger level 0", "levels = [3]", "levels = [0]", "treatment.stagger.levels[1] = 0: must be greater than or equal to 1"),
    (
        "hazard per infusion",
        "no_overlap",
        'window = "per-infusion"\nno_overlap',
        "treatment.window = 'per-infusion': is not available: a hazard per infusion needs a separate model, and a design "
        "counts one outcome per patient; say 'course' or 'first-infusion'",
    ),
    ("negative tolerance", "no_overlap", "infusion_tolerance_days = -1\nno_overlap", TOLERANCE),
    # What a DLT is, and who counts.
    ("grade 6", "least_grade = 3", "least_grade = 6", "dlt.least_grade = 6: must be less than or equal to 5"),
    ("grade of a term", "least_grade = 3", "least_grade_by_term = { ALT = 0 }", f"dlt.least_grade_by_term.ALT = 0: {FROM_1}"),
    (
        "word that says both",
        "least_grade = 3",
        'unrelated = ["Possibly-related"]',
        "dlt: related and unrelated must not both have 'possibly related'",
    ),
    (
        "term left out and graded",
        "least_grade = 3",
        'excluded_terms = ["ALT"]\nleast_grade_by_term = { alt = 4 }',
        "dlt: excluded_terms and least_grade_by_term must not both have 'alt'",
    ),
    ("no word for related", "least_grade = 3", "related = []", "dlt.related = []: must have at least 1 entry"),
    (
        "weight of a partial follow-up",
        'dropout = "not-evaluable"',
        'dropout = "weight"',
        "evaluability.dropout = 'weight': must be 'not-evaluable', 'no-dlt' or 'dlt' with designs that count whole patients, here "
        "'3+3' (3+3), 'boin-6' (BOIN), 'boin-6-stay' (BOIN), 'boin' (BOIN), 'rolling-6' (Rolling six); a weight can be "
        "read by CRM, BLRM, BLRM of a course or TITE-CRM",
    ),
    (
        "unknown choice for progression",
        'progression = "not-evaluable"',
        'progression = "maybe"',
        "evaluability.progression = 'maybe': must be 'not-evaluable', 'no-dlt', 'dlt' or 'weight'",
    ),
    ("stagger levels in words", "levels = [3]", 'levels = "top"', "treatment.stagger.levels = 'top': must be 'all' or a list"),
    # Limits.
    ("cohort of 0", "cohort_size = 3", "cohort_size = 0", "limits.cohort_size = 0: must be greater than or equal to 1"),
    (
        "list with a cohort of 0",
        "cohort_size = 3",
        "cohort_size = [3, 0]",
        "limits.cohort_size[2] = 0: must be greater than or equal to 1",
    ),
    ("cohort of 2.5", "cohort_size = 3", "cohort_size = 2.5", "limits.cohort_size = 2.5: must be a whole number or a list"),
    (
        "cohorts of 2 with a 3+3",
        "cohort_size = 3",
        "cohort_size = 2",
        "designs.3+3.cohort_size = 2: must be 3 (it comes from limits.cohort_size)",
    ),
    ("no patients", MAX_N, "max_n = 0", "limits.max_n = 0: must be greater than or equal to 1"),
    ("negative patients", MAX_N, "max_n = -3", "limits.max_n = -3: must be greater than or equal to 1"),
    ("too many patients", MAX_N, "max_n = 2000", "limits.max_n = 2000: must be less than or equal to 1000"),
    ("patients in quotation marks", MAX_N, 'max_n = "18"', "limits.max_n = '18': must be a whole number"),
    ("start above the doses", MAX_N, f"{MAX_N}\nstart_level = 4", "limits.start_level = 4: must be among the levels 1 to 3"),
    (
        "group reversed",
        "[3, 6]",
        "[6, 3]",
        "limits.group = [6, 3]: must be [minimum, maximum] patients per dose, at most max_n = 18",
    ),
    # Target.
    ("rate above 1", "rate = 0.25", "rate = 1.2", "target.rate = 1.2: must be less than 1"),
    ("rate of 0", "rate = 0.25", "rate = 0", "target.rate = 0: must be greater than 0"),
    ("rate in percent", "rate = 0.25", 'rate = "25%"', "target.rate = '25%': must be a number"),
    ("rate in quotation marks", "rate = 0.25", 'rate = "0.25"', "target.rate = '0.25': must be a number"),
    ("rate outside the interval", "rate = 0.25", "rate = 0.4", "target: interval = [0.16, 0.33) must contain rate = 0.4"),
    ("interval reversed", INTERVAL, "[0.33, 0.16]", "target: interval = [0.33, 0.16) must have its lower end first"),
    ("interval of three", INTERVAL, "[0.16, 0.2, 0.3]", "target.interval = [0.16, 0.2, 0.3]: must have at most 2 entries"),
    ("sensitivity in percent", "[0.10, 0.15", "[10, 0.15", "target.sensitivity[1] = 10: must be less than 1"),
    (
        "other target whose interval leaves 1",
        "[0.10, 0.15",
        "[0.80, 0.15",
        "target.interval[2] = 1.056: must be less than 1 (at the target 0.8 of target.sensitivity)\n"
        "  target.overdose_limit = 1.056: must be less than 1 (at the target 0.8 of target.sensitivity)",
    ),
    (
        "other target that a design cannot have",
        "[0.10, 0.15",
        "[0.72, 0.15",
        "designs.boin-6: p_tox = 1.008 must lie between target = 0.72 and 1 (at the target 0.72 of target.sensitivity)\n"
        "  designs.boin-6-stay: p_tox = 1.008 must lie between target = 0.72 and 1 (at the target 0.72 of target.sensitivity)\n"
        "  designs.boin: p_tox = 1.008 must lie between target = 0.72 and 1 (at the target 0.72 of target.sensitivity)",
    ),
    # Scenarios.
    ("probability above 1", LOW, "[0.02, 0.05, 1.1]", "scenarios.low = [0.02, 0.05, 1.1]: must be probabilities in [0, 1]"),
    ("negative probability", LOW, "[-0.02, 0.05, 0.1]", "scenarios.low = [-0.02, 0.05, 0.1]: must be probabilities in [0, 1]"),
    ("probability in words", LOW, '[0.02, "low", 0.1]', "scenarios.low[2] = 'low': must be a number"),
    ("scenario falls", LOW, "[0.1, 0.05, 0.02]", "scenarios.low = [0.1, 0.05, 0.02]: must not decrease with the dose"),
    ("scenario too short", LOW, "[0.02, 0.05]", "scenarios.low = [0.02, 0.05]: must hold 3 probabilities, one per dose"),
    ("empty scenario", LOW, "[]", "scenarios.low = []: must hold 3 probabilities, one per dose"),
    ("no scenarios", part("[scenarios]", "[designs."), "[scenarios]\n", "scenarios: must have at least 1 entry"),
    # Designs.
    ("no designs", part("[designs.", "\n[assumed]"), "[designs]\n", "designs: must have at least 1 entry"),
    (
        "unknown kind",
        PLAIN_BOIN,
        '[designs.boin]\nkind = "bion"',
        f"designs.boin.kind = 'bion': must be one of {KINDS}; did you mean 'boin'?",
    ),
    ("missing kind", PLAIN_BOIN, "[designs.boin]", f"designs.boin.kind: required, but missing: one of {KINDS}"),
    (
        "name of a design",
        "[designs.boin]",
        '[designs."my boin"]',
        "designs.my boin = 'my boin': must be a name of 1 to 40 letters, digits, '+', '_' or '-'",
    ),
    (
        "skeleton too short",
        CAPPED_CRM,
        "skeleton = [0.1, 0.25]",
        "designs.crm-6: skeleton has 2 values for 3 doses: it must have one per dose",
    ),
    (
        "skeleton level",
        CAPPED_CRM,
        "skeleton = [0.1, 0.25, 0.25]",
        "designs.crm-6.skeleton = [0.1, 0.25, 0.25]: must hold one probability per dose, strictly increasing",
    ),
    ("skeleton with a 1", CAPPED_CRM, "skeleton = [0.1, 0.25, 1.0]", "designs.crm-6.skeleton[3] = 1.0: must be less than 1"),
    ("skeleton in words", CAPPED_CRM, 'skeleton = "steep"', "designs.crm-6.skeleton = 'steep': must be a list or a table"),
    (
        "halfwidth as wide as the target",
        CAPPED_CRM,
        "skeleton = { halfwidth = 0.25, mtd_level = 2 }",
        "designs.crm-6.skeleton.halfwidth = 0.25: must be above 0 and keep target -+ halfwidth inside (0, 1)",
    ),
    (
        "halfwidth of a half",
        CAPPED_CRM,
        "skeleton = { halfwidth = 0.5, mtd_level = 2 }",
        "designs.crm-6.skeleton.halfwidth = 0.5: must be less than 0.5",
    ),
    (
        "prior MTD above the doses",
        CAPPED_CRM,
        "skeleton = { halfwidth = 0.05, mtd_level = 4 }",
        "designs.crm-6.skeleton.mtd_level = 4: must be a whole number from 1 to 3",
    ),
    (
        "unknown curve",
        PLAIN_CRM,
        f'{PLAIN_CRM}\nmodel = "logit"',
        f"designs.crm.model = 'logit': must be {ONE_PARAMETER}",
    ),
    (
        "intercept of a power curve",
        PLAIN_CRM,
        f"{PLAIN_CRM}\nintercept = 2",
        "designs.crm: intercept = 2 has no effect with model = 'power'",
    ),
    (
        "intercept that no rate can reach",
        PLAIN_CRM,
        f'{PLAIN_CRM}\nmodel = "logistic"\nintercept = -3',
        "designs.crm: intercept = -3 keeps every rate below 0.047: skeleton and target must be below that",
    ),
    (
        "intercept beyond the quadrature",
        PLAIN_CRM,
        f'{PLAIN_CRM}\nmodel = "logistic"\nintercept = 1e6',
        "designs.crm.intercept = 1000000.0: must be less than or equal to 10",
    ),
    (
        "safety without cutoff",
        "safety_cutoff = 0.95\n",
        "",
        "designs.crm-6: safety_by = 'beta' has no effect without safety_cutoff",
    ),
    ("cutoff in percent", "safety_cutoff = 0.95", "safety_cutoff = 95", "designs.crm-6.safety_cutoff = 95: must be less than 1"),
    (
        "safe rate above the target",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\np_saf = 0.3",
        "designs.boin: p_saf = 0.3 must be below target = 0.25",
    ),
    (
        "offset alone",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\noffset = 0.1",
        "designs.boin: offset = 0.1 has no effect without extra_safe = true",
    ),
    (
        "stop after the end",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\nstop_n = 30",
        "designs.boin: stop_n = 30 contradicts max_n = 18: it would never be reached",
    ),
    (
        "place of no stop",
        PLAIN_BOIN,
        f'{PLAIN_BOIN}\nstop_n_at = "stay"',
        "designs.boin: stop_n_at = 'stay' has no effect without stop_n",
    ),
    (
        "stop nowhere",
        PLAIN_BOIN,
        f'{PLAIN_BOIN}\nstop_n = 6\nstop_n_at = "top"',
        "designs.boin.stop_n_at = 'top': must be 'any', 'chosen' or 'stay' or a whole number or a list",
    ),
    (
        "cap above the sample",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\nmax_n_per_dose = 30",
        "designs.boin: max_n_per_dose = 30 contradicts max_n = 18: it must not be larger",
    ),
    (
        "design with other doses",
        PLAIN_BOIN,
        f"{PLAIN_BOIN}\nn_doses = 4",
        "designs.boin.n_doses = 4: must be 3, the number of doses.amounts",
    ),
    ("design starts too high", PLAIN_BOIN, f"{PLAIN_BOIN}\nstart = 5", "designs.boin: start = 5 is not among the 3 dose levels"),
    (
        "cap that a 3+3 breaks",
        THREE,
        f"{THREE}\nmax_n_per_dose = 3",
        "designs.3+3: max_n_per_dose = 3 contradicts the 3+3, with up to six patients per dose",
    ),
    # What is assumed, and text.
    (
        "assumed key that is not there",
        part('"scenarios" = "chosen', '"designs.3+3"'),
        '"scenario" = "made up"\n',
        "assumed.scenario = 'made up': must name a key of this file, such as 'target.rate'",
    ),
    (
        "control character in an assumed key",
        part('"scenarios" = "chosen', '"designs.3+3"'),
        '"\\u001b[31m" = "made up"\n',
        "assumed.'\\x1b[31m' = 'made up': must name a key of this file, such as 'target.rate'",
    ),
    ("assumed key without quotation marks", '"limits.max_n" =', "limits.max_n =", "assumed.limits: must be text"),
    (
        "control character",
        part(TITLE, "\npopulation"),
        'title = "\\u001b[31mred"',
        f"record.title = '\\x1b[31mred': {TEXT_ALLOWED}",
    ),
    ("empty text", 'id = "NCT05962762"', 'id = ""', f"record.id = '': {TEXT_ALLOWED}"),
    ("no such month", "2023-08-30 ", '"2023-13-30" ', "record.version_date = '2023-13-30': must be a date such as 2023-08-30"),
    # Not TOML.
    ("unclosed list", AMOUNTS, "[1, 3, 5", "is not valid TOML: ..."),
    ("colon", "amounts =", "amounts:", "is not valid TOML: ..."),
    ("key twice", UNIT, UNIT + UNIT, "is not valid TOML: ..."),
    ("raw control character", TITLE, f"{TITLE}\x1b", "is not valid TOML: ..."),
    # Deeper than the limit that PyTensor sets, should it have been loaded.
    ("number of 5,000 digits", "[record]", f"x = {'9' * 5000}\n[record]", "is not valid TOML: a number has thousands of digits"),
    ("nested without end", "[record]", f"x = {'[' * 20000}{']' * 20000}\n[record]", "is not valid TOML: nested too deeply"),
]

EMPTY = "\n  ".join(
    f"{key}: required, but missing" for key in ("record", "doses", "treatment", "limits", "target", "scenarios", "designs")
)
# Name, bytes of the file, the message after its name.
FILES = [
    ("empty", b"", EMPTY),
    ("not UTF-8", TEXT.replace("UC-MSC", "\u00b5", 1).encode("latin-1"), "is not UTF-8 text"),
    ("UTF-16", TEXT.encode("utf-16"), "is not UTF-8 text"),
    ("a picture", b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8 text"),
]


def broken(old, new):
    assert old in TEXT
    return TEXT.replace(old, new, 1).encode()


ALL = [(name, broken(old, new), message) for name, old, new, message in CONFIGS] + FILES


def is_said(text, message):
    """Whether a text is the message; what follows "..." is the TOML library's own."""
    return text.startswith(message[:-3]) if message.endswith("...") else text == message


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def refuses(result, message):
    """Whether a command ended in one message and status 2, with nothing on standard output and no traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return is_said(result.stderr.removesuffix("\n"), f"dosefind: error: {message}")


def content(folder):
    """Everything in a folder: bytes of each file, ``None`` for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(("data", "message"), [row[1:] for row in ALL], ids=[row[0] for row in ALL])
def test_broken_config(data, message, tmp_path):
    path = tmp_path / "broken.toml"
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        load_protocol(path)
    assert is_said(str(error.value), f"{path}: {message}"), str(error.value)
    result = run("compare", path, "--out", tmp_path / "out")
    assert refuses(result, f"{path}: {message}"), result.stderr
    assert content(tmp_path) == {"broken.toml": data}


def test_the_config_that_is_broken_is_whole():
    assert load_protocol(CONFIG).n_doses == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["missing unit", "doses fall", "unclosed list", "not UTF-8"])
def test_broken_config_as_a_process(name, tmp_path):
    data, message = next(row[1:] for row in ALL if row[0] == name)
    path = tmp_path / "broken.toml"
    path.write_bytes(data)
    command = [sys.executable, "-m", "dosefind.cli", "compare", str(path), "--out", str(tmp_path / "out")]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    assert is_said(process.stderr.removesuffix("\n"), f"dosefind: error: {path}: {message}")
    assert content(tmp_path) == {"broken.toml": data}


@pytest.mark.parametrize(
    ("command", "options"), [("compare", ()), ("table", ("--design", "boin")), ("paths", ("--design", "boin"))]
)
@pytest.mark.parametrize(("name", "number"), [("none.toml", errno.ENOENT), (".", errno.EISDIR)])
def test_no_file_to_read(command, options, name, number, tmp_path):
    path = tmp_path / name
    assert refuses(run(command, path, *options, "--out", tmp_path / "out"), f"{path}: {os.strerror(number)}")
    assert content(tmp_path) == {}


def test_a_path_that_no_file_can_have():
    with pytest.raises(InputError, match="cannot be read: embedded null"):
        load_protocol("none\0.toml")


# Calls in Python ------------------------------------------------------------------------------------------------------

THREE_PLUS_THREE, TOP_DOWN = ThreePlusThree(), "must not decrease with the dose"
OUTCOME = "must be a level and a capital N (no DLT) or T (DLT) per patient, cohorts separated by spaces, such as '1NNN 2NNT'"
NO_OUTCOMES = "must be text such as '1NNN 2NNT', or a list of Cohort"
DESIGN = f"must be one of {', '.join(map(repr, tomllib.loads(TEXT)['designs']))}; did you mean 'boin'?"
ENDLESS = "does not end by itself: state a maximum sample size"


def walked():
    return lattice(THREE_PLUS_THREE, n_doses=3)


def protocol():
    return load_protocol(CONFIG)


def stay_for_ever(trial):
    return trial.level


NO_DESIGN = "must be a Design: such as BOIN(target=0.25); design_from_rule builds one from a plain function"
CALLS = [
    # Outcomes.
    (lambda: decide(THREE_PLUS_THREE, "1NNX", n_doses=3), f"outcomes = '1NNX': {OUTCOME}"),
    (lambda: decide(THREE_PLUS_THREE, "0N", n_doses=3), f"outcomes = '0N': {OUTCOME}"),
    (lambda: decide(THREE_PLUS_THREE, "1NNN 2", n_doses=3), f"outcomes = '2': {OUTCOME}"),
    (lambda: decide(THREE_PLUS_THREE, "1nnn", n_doses=3), f"outcomes = '1nnn': {OUTCOME}"),
    (lambda: decide(THREE_PLUS_THREE, "1NNN,2NNT", n_doses=3), f"outcomes = '1NNN,2NNT': {OUTCOME}"),
    (lambda: decide(THREE_PLUS_THREE, "1NNN 4N", n_doses=3), "level of cohort 2 = 4: must be a whole number from 1 to 3"),
    (lambda: decide(THREE_PLUS_THREE, 5, n_doses=3), f"outcomes = 5: {NO_OUTCOMES}"),
    (lambda: decide(THREE_PLUS_THREE, ["1NNN"], n_doses=3), f"outcomes = ['1NNN']: {NO_OUTCOMES}"),
    (lambda: decide(THREE_PLUS_THREE, [Cohort(1, 3, 4)], n_doses=3), "dlts of cohort 1 = 4: must be a whole number from 0 to 3"),
    (lambda: decide(THREE_PLUS_THREE, [Cohort(1, -3, 0)], n_doses=3), "n of cohort 1 = -3: must be a whole number from 1 to 1000"),
    (
        lambda: decide(THREE_PLUS_THREE, f"1{'N' * 70_000}", n_doses=3),
        "n of cohort 1 = 70000: must be a whole number from 1 to 1000",
    ),
    (lambda: decide(THREE_PLUS_THREE, "1NNN", n_doses=0), "n_doses = 0: must be a whole number from 1 to 99"),
    (lambda: CRM(skeleton=(0.1, 0.3), target=0.25).fit("3N"), "level of cohort 1 = 3: must be a whole number from 1 to 2"),
    # Settings of designs.
    (lambda: BOIN(0.3), "BOIN = 0.3: give settings by name, such as BOIN(target=...)"),
    (
        lambda: ThreePlusThree(True),
        "ThreePlusThree = True: give settings by name, such as ThreePlusThree(expand_after_two=...)",
    ),
    (lambda: BOIN(target=1.3), "target = 1.3: must be less than 1"),
    (lambda: BOIN(target="0.3"), "target = '0.3': must be a number"),
    (
        lambda: BOIN(targett=0.3),
        f"target: required, but missing\n  targett = 0.3: unknown key; did you mean 'target'? {keys(BOIN)}",
    ),
    (lambda: BOIN(target=0.3, p_saf=0.4), "p_saf = 0.4 must be below target = 0.3"),
    (lambda: BOIN(target=0.3, p_saf=0.3), "p_saf = 0.3 must be below target = 0.3"),
    (lambda: BOIN(target=0.3, p_tox=0.3), "p_tox = 0.3 must lie between target = 0.3 and 1"),
    (lambda: BOIN(target=0.3, cohort_size=[3, 0]), "cohort_size[2] = 0: must be greater than or equal to 1"),
    (lambda: BOIN(target=0.3, max_n=True), "max_n = True: must be a whole number"),
    (lambda: BOIN(target=0.3).estimates([3, 6, 6], [0, 1]), "y = [0, 1]: must hold a count for each of n = [3, 6, 6]"),
    (lambda: lattice(sorted, n_doses=3), f"design = {sorted}: {NO_DESIGN}"),
    (lambda: simulate(BOIN, [0.1, 0.2]), f"design = {BOIN}: {NO_DESIGN}"),
    (lambda: decide("boin", "1NNN"), f"design = 'boin': {NO_DESIGN}"),
    (lambda: BOIN(target=0.3).table(max_n=0), "max_n = 0: must be a whole number, at least 1"),
    (
        lambda: CRM(skeleton=(0.2, 0.2), target=0.25),
        "skeleton = (0.2, 0.2): must hold one probability per dose, strictly increasing",
    ),
    (lambda: CRM(skeleton=np.array([0.1, np.nan]), target=0.25), "skeleton[2] = nan: must be a finite number"),
    (
        lambda: CRM(skeleton={"halfwidth": 0.05, "mtd_level": 2}, target=0.25),
        "n_doses is required to calibrate a skeleton from an indifference interval",
    ),
    (lambda: ThreePlusThree(cohort_size=2), "cohort_size = 2: must be 3"),
    (
        lambda: lattice(design_from_rule(lambda trial: 9, choose=lambda trial: None, max_n=9), n_doses=3),
        "rule = 9: must return a level from 1 to 3, or None; its argument was "
        "TrialSoFar(n=(3, 0, 0), y=(0, 0, 0), level=1, last_n=3, last_y=0)",
    ),
    # Walks.
    (lambda: lattice(BOIN(target=0.3)), "n_doses = None: BOIN has no number of dose levels: state n_doses"),
    (lambda: lattice(BOIN(target=0.3), n_doses=3, memory_limit=2**24), f"max_n = None: BOIN {ENDLESS}"),
    (lambda: lattice(CRM(skeleton=(0.1, 0.3), target=0.25), memory_limit=2**20), f"max_n = None: CRM {ENDLESS}"),
    (
        lambda: lattice(design_from_rule(stay_for_ever, choose=lambda trial: 1), n_doses=3, memory_limit=2**20),
        f"max_n = None: Stay for ever {ENDLESS}",
    ),
    (lambda: lattice(THREE_PLUS_THREE, n_doses=100), "n_doses = 100: must be less than or equal to 99"),
    (lambda: lattice(THREE_PLUS_THREE, n_doses=3, memory_limit=0), "memory_limit = 0: must be a whole number, at least 1"),
    # Truths.
    (lambda: walked().under([0.1, 0.2]), "truths = [0.1, 0.2]: must hold 3 probabilities, one per dose"),
    (lambda: walked().under([0.1, 0.2, 1.2]), "truths = [0.1, 0.2, 1.2]: must be probabilities in [0, 1]"),
    (lambda: walked().under({"steep": [0.3, 0.2, 0.1]}), f"truths['steep'] = [0.3, 0.2, 0.1]: {TOP_DOWN}"),
    (lambda: walked().under("low"), "truths = 'low': must be rows of numbers of equal length, one probability per dose"),
    (lambda: walked().under({}), "truths = {}: must hold at least one row, one probability per dose"),
    (lambda: simulate(THREE_PLUS_THREE, [0.1, 0.2, 0.3], n_trials=1), "n_trials = 1: must be a whole number from 2 to 1000000"),
    (lambda: simulate(THREE_PLUS_THREE, [0.1, 0.2, 0.3], seed=-1), "seed = -1: must be a whole number, at least 0"),
    (lambda: simulate(THREE_PLUS_THREE, [0.3, 0.2, 0.1]), f"truths = [0.3, 0.2, 0.1]: {TOP_DOWN}"),
    # Skeletons.
    (
        lambda: skeleton(halfwidth=0.4, target=0.25, mtd_level=2, n_doses=3),
        "halfwidth = 0.4: must be above 0 and keep target -+ halfwidth inside (0, 1)",
    ),
    (lambda: skeleton("wide", target=0.25, mtd_level=2, n_doses=3), "halfwidth = 'wide': must be a number"),
    (lambda: skeleton(0.05, target=0.25, mtd_level=4, n_doses=3), "mtd_level = 4: must be a whole number from 1 to 3"),
    (
        lambda: indifference_intervals((0.2, 0.2), target=0.25),
        "skeleton = (0.2, 0.2): must be strictly increasing probabilities inside (0, 1)",
    ),
    (lambda: indifference_intervals((0.1, 0.2), target=2), "target = 2: must be a probability between 0 and 1 (exclusive)"),
    # Tasks.
    (lambda: paths(protocol(), "bion"), f"design = 'bion': {DESIGN}"),
    (lambda: paths(protocol(), "boin", cohorts=0), "cohorts = 0: must be a whole number from 1 to 1000"),
    (lambda: decision_table(protocol(), "bion"), f"design = 'bion': {DESIGN}"),
    (
        lambda: compare(protocol(), method="exactly"),
        "method = 'exactly': must be one of 'exact', 'simulate'; did you mean 'exact'?",
    ),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message[:60] for _, message in CALLS])
def test_broken_call(call, message):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value) == message


def test_walk_too_large_reports_its_progress_and_the_remedy():
    with pytest.raises(WalkTooLarge) as error:
        lattice(BOIN(target=0.3), n_doses=3, max_n=30, memory_limit=10_000)
    said = re.fullmatch(
        r"BOIN: after (\d+) states the next cohort would need (\S+) GiB, more than the .* of (\S+) GiB\. (.*)", str(error.value)
    )
    assert said, str(error.value)
    states, needed, limit = map(float, said.groups()[:3])
    assert 1 < states < 1000
    assert needed > limit > 0
    for change in ("larger cohorts", "max_n", "max_n_per_dose", "'simulate'"):
        assert change in said[4]


# Command lines --------------------------------------------------------------------------------------------------------

BOIN_OF = (CONFIG, "--design", "boin")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare", CONFIG, "--bogus"), ("No such option", "--bogus")),
        (("comparre", CONFIG), ("No such command 'comparre'",)),
        (("compare",), ("Missing argument 'CONFIG'",)),
        (("table", CONFIG), (f"dosefind: error: --design: {DESIGN.partition(';')[0]}\n",)),
        (("paths", CONFIG), (f"dosefind: error: --design: {DESIGN.partition(';')[0]}\n",)),
        (("compare", CONFIG, "--method", "exactly"), ("'--method': 'exactly' is not one of 'exact', 'simulate'",)),
        (("compare", CONFIG, "--trials", "1"), ("'--trials': 1 is not in the range x>=2",)),
        (("compare", CONFIG, "--trials", "100"), ("--trials has no effect with the exact method",)),
        (("compare", CONFIG, "--seed", "-1"), ("'--seed': -1 is not in the range x>=0",)),
        (("compare", CONFIG, "--seed", "one"), ("'--seed': 'one' is not a valid integer",)),
        (("compare", CONFIG, "--memory-limit", "0"), ("'--memory-limit': 0.0 is not in the range x>0",)),
        (("compare", CONFIG, "--memory-limit", "nan"), ("'--memory-limit'", "finite")),
        (("compare", CONFIG, "--memory-limit", "inf"), ("'--memory-limit'", "finite")),
        (("paths", *BOIN_OF, "--cohorts", "0"), ("'--cohorts': 0 is not in the range x>=1",)),
        (("table", CONFIG, "--design", "bion"), (f"dosefind: error: design = 'bion': {DESIGN}\n",)),
        (("paths", CONFIG, "--design", "bion"), (f"dosefind: error: design = 'bion': {DESIGN}\n",)),
        (("paths", *BOIN_OF, "--outcomes", "1NNX"), (f"dosefind: error: outcomes = '1NNX': {OUTCOME}\n",)),
        (("paths", *BOIN_OF, "--outcomes", "4NNN"), ("level of cohort 1 = 4: must be a whole number from 1 to 3\n",)),
        (("compare", CONFIG, "--memory-limit", "0.000001"), ("dosefind: error: 3+3: after ", "'simulate'\n")),
    ],
)
def test_broken_command_line(words, said, tmp_path):
    result = run(*words, "--out", tmp_path / "out")
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for text in said:
        assert text in result.stderr
    assert content(tmp_path) == {}


# Files that are written whole or not at all ---------------------------------------------------------------------------

NO_SPACE = "dosefind: error: {out}: No space left on device: nothing was written\n"
COMMANDS = [("compare", CONFIG), ("table", *BOIN_OF), ("paths", *BOIN_OF)]


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_files_that_are_there_are_kept(words, tmp_path):
    names = provenance.file_names(words[0])
    for there in (names, names[1:2]):
        out = tmp_path / f"out{len(there)}"
        out.mkdir()
        for name in there:
            (out / name).write_text("mine", encoding="utf-8")
        before = content(out)
        assert refuses(run(*words, "--out", out), f"{out}: has {', '.join(there)} already; --force overwrites")
        assert content(out) == before


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_force_replaces_all_files_and_no_other(words, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    names = provenance.file_names(words[0])
    assert {f"{words[0]}.{kind}" for kind in ("csv", "json", "nc")} <= set(names)
    for name in (*names, "notes.txt"):
        (out / name).write_text("mine", encoding="utf-8")
    assert run(*words, "--out", out, "--force").exit_code == 0
    assert run(*words, "--out", tmp_path / "new").exit_code == 0
    assert content(out) == {**content(tmp_path / "new"), "notes.txt": b"mine"}
    assert set(content(tmp_path / "new")) == set(names)


@pytest.mark.parametrize("inner", [".", "below/deeper"])
def test_a_file_where_the_folder_should_be(inner, tmp_path):
    file = tmp_path / "results"
    file.write_text("mine", encoding="utf-8")
    assert refuses(run("table", *BOIN_OF, "--out", file / inner, "--force"), f"{file}: is a file, not a folder")
    assert content(tmp_path) == {"results": b"mine"}


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / "table.nc").mkdir()
    result = run("table", *BOIN_OF, "--out", tmp_path, "--force")
    assert refuses(result, f"{tmp_path}: has a folder named table.nc, where a file must go"), result.stderr
    assert content(tmp_path) == {"table.nc": None}


if os.geteuid() != 0:  # root may write anywhere

    def test_a_folder_that_cannot_be_written(tmp_path):
        tmp_path.chmod(0o500)
        assert refuses(run("table", *BOIN_OF, "--out", tmp_path), f"{tmp_path}: is a folder in which nothing may be written")
        tmp_path.chmod(0o700)
        assert content(tmp_path) == {}


@pytest.mark.parametrize("there", [(), ("out",), ("out", "out/table.csv", "out/table.json", "out/table.nc")], ids=len)
@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "dosefind: error: {out}: No space left on device: nothing was written\n",
        ),
        (KeyboardInterrupt(), 130, "dosefind: interrupted, nothing was written\n"),
        (RuntimeError("a fault of dosefind's own"), 1, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_interrupted_write_leaves_everything_as_it_was(there, error, status, said, tmp_path, monkeypatch):
    def interrupted(*_):
        raise error

    for name in there:
        path = tmp_path / name
        path.write_text("mine", encoding="utf-8") if path.suffix else path.mkdir()
    before = content(tmp_path)
    # The second of the three files holds this text; the first is complete by then.
    monkeypatch.setattr(provenance, "as_json", interrupted)
    result = run("table", *BOIN_OF, "--out", tmp_path / "out", "--force")
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr == said.format(out=tmp_path / "out")
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: a table of counts has the columns level (or dose), n and dlts"),
        ("\n \n", "is empty: ..."),
        ("level,n,dlts\n", "has a header but no rows"),
        ("level,dlts\n1,0\n", "column n: missing: a table of counts has the columns level (or dose), n and dlts"),
        ("n,dlts\n3,0\n", "column dose: missing: ..."),
        ("level,n,n,dlts\n1,3,3,0\n", "column n: must be present once, but is present 2 times"),
        ("level,n,dlts\n1,3,4\n", "row 2.dlts = '4': must be a whole number from 0 to 3"),
        ("level,n,dlts\n1,3,0\n4,3,0\n", "row 3.level = '4': must be a whole number from 1 to 3"),
        ("level,n,dlts\n1,3\n", "row 2: has 2 cells, but the header has 3: the row may be truncated"),
        ("level,n,dlts\n1,3,0,1\n", "row 2: has 4 cells, but the header has 3: ..."),
        ("level,n,dlts\n1,-3,0\n", "row 2.n = '-3': must be a whole number from 1 to 1000"),
        ("level,n,dlts\n1,3.5,0\n", "row 2.n = '3.5': must be a whole number from 1 to 1000"),
        ("dose,n,dlts\n2,3,0\n", "row 2.dose = '2': must be one of the protocol's doses: 1, 3, 5"),
        ("dose,n,dlts\n=1+2,3,0\n", "row 2.dose = '=1+2': must be one of the protocol's doses: 1, 3, 5"),
        ("level,dose,n,dlts\n1,1,3,0\n2,5,6,1\n", "row 3.dose = '5': contradicts level = 2, which is dose 3"),
        ("level,n,dlts\n1,3,x\n2,3,y\n", "row 2.dlts = 'x': must be a whole number from 0 to 3\n  row 3.dlts = 'y': ..."),
    ],
)
def test_broken_counts(text, said, tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(text)
    result = run("analyze", CONFIG, "--data", path, "--out", tmp_path / "out")
    assert refuses(result, f"{path}: {said}"), result.stderr
    assert set(content(tmp_path)) == {"counts.csv"}


def test_counts_that_cannot_be_read(tmp_path):
    assert refuses(run("analyze", CONFIG, "--data", tmp_path / "none.csv"), f"{tmp_path / 'none.csv'}: No such file or directory")
    (tmp_path / "latin.csv").write_bytes("level,n,dlts,Gr\xf6\xdfe\n".encode("latin-1"))
    assert refuses(run("analyze", CONFIG, "--data", tmp_path / "latin.csv"), f"{tmp_path / 'latin.csv'}: is not UTF-8 text: ...")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--outcomes", "1NNN", "--data", "x.csv"), "--outcomes and --data exclude each other"),
        (("--draws", "100"), "--draws has no effect with quadrature"),
        (("--engine", "nut"), "'--engine': 'nut' is not one of 'quadrature', 'nuts'"),
        (("--curve", "bion"), "dosefind: error: curve = 'bion': must be one of 'logistic-2', 'logistic-2-tight', 'power'"),
        (("--outcomes", "4NNN"), "level of cohort 1 = 4: must be a whole number from 1 to 3"),
    ],
)
def test_broken_analysis(words, said):
    result = run("analyze", CONFIG, *words)
    assert result.exit_code == 2
    assert said in result.stderr
