"""Sentences are marked so that they can be translated: whole, with named places, and all of them."""

import ast
import gettext
import re
from functools import cache

import pytest
from babel.messages.extract import extract_from_dir

import dosefind as dsf
from dosefind import plots
from dosefind.evaluability import KINDS
from dosefind.show.content import Run
from dosefind.show.pages.analysis import analysis
from dosefind.show.pages.comparison import comparison
from dosefind.show.pages.conduct import conduct_report
from dosefind.show.pages.design import design_report
from dosefind.show.pages.next_dose import kind_words, next_dose
from dosefind.words import _, counted, in_language, languages

from . import patient_files
from .made_up import event, patient, protocol, trial
from .peers import ROOT

PACKAGE = ROOT / "dosefind"
LETTER = r"[^\W\d_]"
KEYWORDS = {"_": None, "marked": None, "counted": (1, 2)}


@cache
def messages():
    """All marked sentences as Babel finds them; of one that counts, both forms."""
    found = extract_from_dir(PACKAGE, method_map=[("**.py", "python")], keywords=KEYWORDS)
    every = (message for _file, _line, message, *_rest in found)
    return {form for message in every for form in (message if isinstance(message, tuple) else (message,))}


def marked_calls():
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYWORDS:
                yield path, node


def test_marked_sentences_are_literals():
    """Of a name or an f-string, Babel would find nothing; a module-level table is marked where it is made."""
    for path, node in marked_calls():
        for argument in node.args[: 2 if node.func.id == "counted" else 1]:
            if isinstance(argument, ast.Constant):
                assert argument.value in messages(), (path, argument.value)
                continue
            # Translated where it is shown: what a record or a table of marked sentences holds, as `Pseudo` checks.
            assert node.func.id == "_", (path, ast.unparse(node))


def test_places_of_sentences_have_names():
    """A translation can order names, and cannot order nameless places."""
    assert len(messages()) > 100
    for message in messages():
        assert not re.search(r"\{\W*\}|%[sd]", message), message
        # A format belongs to the value, which is written before it is put in.
        assert not re.search(r"\{\w+[:!]", message), message


class Pseudo(gettext.NullTranslations):
    """A language in which every sentence stands in brackets."""

    def gettext(self, message):
        assert message in messages(), message
        return f"\u27e6{message}\u27e7"

    def ngettext(self, one, other, n):
        return self.gettext(one if n == 1 else other)


def runs(part):
    """All text of a tree: tuples of runs, and the plain strings beside them."""
    if isinstance(part, tuple) and part and all(isinstance(run, Run) for run in part):
        yield part
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from runs(one)
    elif hasattr(part, "__dataclass_fields__"):
        for name in part.__dataclass_fields__:
            if name not in ("id", "picture"):
                yield from runs(getattr(part, name))
    elif isinstance(part, str):
        yield (Run(part),)


def outside(text):
    """What of the package's own words stands in no brackets."""
    depth, left = 0, ""
    for run in text:
        for sign in run.text if run.kind != "data" else "":
            depth += (sign == "\u27e6") - (sign == "\u27e7")
            left += sign if depth == 0 else ""
    assert depth == 0
    return left


def left_outside(shown, names=()):
    """Return texts with letters outside brackets, other than names of the user."""
    texts = list(runs(shown))
    return [left for text in texts if re.search(LETTER, left := outside(text)) and left not in names]


def test_all_words_of_comparison_are_marked():
    """Rules of designs, reasons to stop and definitions included."""
    with in_language("x", Pseudo()):
        page = comparison(dsf.compare(dsf.load_trial(ROOT / "configs" / "nct05962762.toml")))
    assert not left_outside((page.title, page.blocks, page.sections))


# One design of each kind with all of its sentences, and settings that lead to other ones.
DESIGNS = [
    *(
        dsf.ThreePlusThree(max_n=18, **settings)
        for settings in (
            {},
            {"expand_after_two": True, "tolerated_in_six": 2},
            {"six_at_mtd": True, "six_at_top": True, "start": 2},
        )
    ),
    *(dsf.RollingSix(max_n=18, strict=strict) for strict in (False, True)),
    dsf.CRM(skeleton=(0.1, 0.2, 0.3), target=0.25, max_n=12, titration=True),
    dsf.CRM(
        skeleton=(0.1, 0.2, 0.3),
        target=0.25,
        max_n=12,
        model="logistic",
        recommend="mean",
        safety_cutoff=0.9,
        no_skip="tried",
        coherence="both",
        no_skip_down=True,
        final="model",
        not_reached_below=0.2,
        cohort_size_by_dose=(1, 2, 3),
    ),
    dsf.CRM(skeleton=(0.25,), target=0.25, max_n=12, safety_cutoff=0.9, safety_by="beta", cohort_size=(1, 3)),
    dsf.BOIN(target=0.25, max_n=12, stay_at_1_of_3=True, bound_mtd=True, extra_safe=True, stop_n=9, stop_n_at="chosen"),
    dsf.BOIN(target=0.25, p_saf=0.1, p_tox=0.4, max_n=12, max_n_per_dose=9, stop_n=(6, 8, 9), stop_n_at=("any", "stay", 2)),
    *(kind(target=0.25, max_n=12) for kind in (dsf.MTPI2, dsf.Keyboard, dsf.I3Plus3)),
    dsf.DecisionTable(target=0.25, moves={3: "E S D DU", 6: "E E S D DU DU DU"}, max_n_per_dose=6, max_n=12),
    dsf.DecisionTable(target=0.25, moves={3: "E S D D"}, max_n_per_dose=3, max_n=12),
    *(
        dsf.BLRM(doses=(1, 3, 5), reference=3, prior=prior, interval=(0.16, 0.33), target=0.25, max_n=12, **settings)
        for prior, settings in (
            ({"mean": (-2.0, 0.0), "sd": (1.5, 0.7)}, {"choose": "highest", "final": "model"}),
            ([{"mean": (-2.0, 0.0), "sd": (1.5, 0.7)}, {"mean": (-3.0, 0.0), "sd": (1.0, 0.7), "weight": 2.0}], {}),
        )
    ),
    *(
        dsf.CourseBLRM(
            doses=(1, 3, 5),
            reference=3,
            prior={"mean": (-3.0, 0.0), "sd": (1.5, 0.7)},
            interval=(0.16, 0.33),
            target=0.25,
            **settings,
        )
        for settings in (
            {"interval_days": (28, 28, 28), "max_n": 12, "background": 0.01, "follow_up_days": 30, "event_time": "interval"},
            {"interval_days": (28,), "max_n": 12, "accumulation": "carry-over", "rho": 0.2, "over": "infusion"},
            {"interval_days": (28, 28), "max_n": 12, "accumulation": "trend"},
        )
    ),
    *(
        dsf.Optimal(truths=((0.05, 0.15, 0.3), (0.2, 0.4, 0.5)), target=0.25, interval=(0.15, 0.35), max_n=12, **settings)
        for settings in (
            {"closing": ("elimination", "two-of-six", "ewoc"), "cost_per_dlt": 0.01, "cost_per_patient": 0.02},
            {"utility": "distance", "skips": True},
            {"utility": "acceptable"},
        )
    ),
    *(
        dsf.TITEBOIN(target=0.25, window_days=28, max_n=12, rule=rule, **settings)
        for rule, settings in (("app-2025", {"down_at_2_of_6": True}), ("imputation", {"known_first": 1}), ("ess", {}))
    ),
    *(
        dsf.TITECRM(skeleton=(0.1, 0.2, 0.3), target=0.25, window_days=84, max_n=12, **settings)
        for settings in (
            {},
            {"weights": "piecewise", "weight_parts": (0.2, 0.8), "cohort_size": 3},
            {"weights": "by-schedule", "interval_days": (28, 28, 28), "coherence": "off"},
            {"weights": "by-schedule", "interval_days": (28, 28)},
            {"weights": "by-schedule", "interval_days": (28, 28), "follow_up_share": 0.1},
        )
    ),
]
OUTCOMES = ("", "1NNN", "1NNT", "1NTT", "1TTT", "1NNN 1NNN 1NNN 1NNN")


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.kind)
def test_all_words_of_designs_are_marked(design):
    """Rules, reasons to stop and the decision after some outcomes, with the deviations of these from the design."""
    doses = design.known_doses or 3
    with in_language("x", Pseudo()):
        said = [*design.rules(), *map(design.explain, design.reasons), *map(design.in_words, design.reasons)]
        said += [str(dsf.decide(design, outcomes, n_doses=doses)) for outcomes in OUTCOMES]
    assert {type(each) for each in DESIGNS} == {*dsf.designs.DESIGNS.values()}
    assert not left_outside(said)


# Without a folder: `deviant`.
CONDUCT = [
    ("configs/nct05962762.toml", ""),
    *(
        (f"configs/{trial}.toml", f"examples/{trial}/{part}")
        for trial in ("nct05948982", "nct05962762")
        for part in ("complete", "midway")
    ),
    *(
        ("examples/synthetic/protocol.toml", f"examples/synthetic/{case}")
        for case in ("backfill", "early-above-pending", "expansion-many-dlts", "overdue-and-death", "serious-after-window")
    ),
]


def deviant():
    """Patients of a trial that breaks most rules of the protocol."""
    serious = event(152, row=1, serious=True)
    people = [
        patient("A1", 1, 1),
        patient("A2", 1, 3, discontinued=10, reason="withdrew consent"),
        patient("A3", 1, 5, evaluable=False),
        patient("A4", 1, 20, evaluable=False, dlt=True, dlt_date=25, events=(event(25, row=2),)),
        patient("A5", 1, 21, discontinued=25, evaluable=True),
        patient("A6", 2, 22),
        patient("A7", None, 30),
        patient("A8", 3, 31, amounts=(9.0,)),
        patient("A9", 1, 120, replaces="A1"),
        *(patient(f"B{n}", 1, 120 + n) for n in range(1, 5)),
        *(patient(f"C{n}", 1, 150 + n, events=(serious,) if n == 1 else ()) for n in range(12)),
        patient("D1", 2, 200, amounts=(1.0,)),
    ]
    return trial(*people, last=260)


@cache
def of_conduct(config, folder):
    """Return the page of the next dose in the language of brackets, and what it is of."""
    study, events = dsf.load_trial(ROOT / config), ROOT / folder / "events.csv"
    if folder:
        table = ROOT / folder / "patients.csv"
        patients = dsf.read_patients(table, study.protocol, events=events if events.exists() else None)
    else:
        patients = deviant()
    with in_language("x", Pseudo()):
        found = dsf.next_dose(study if folder else protocol(), patients)
        return study, found, next_dose(found)


@pytest.mark.parametrize(("config", "folder"), CONDUCT)
def test_all_words_of_conduct_are_marked(config, folder):
    """Statuses with their reasons, findings, pause rules, holds, starts and the step of every design."""
    study, found, page = of_conduct(config, folder)
    with in_language("x", Pseudo()):
        findings = [(finding.words, _(finding.rule)) for finding in found.findings]
        statuses = [(status.rule, kind_words(status.kind)) for status in found.evaluated.statuses]
        proposals = [(proposal.words, proposal.reason) for proposal in found.proposals.values()]
        events = [event.words for event in found.serious]
        said = [findings, statuses, proposals, events, found.words, found.evaluated.closing(), study.protocol.pause.sentences(18)]
    assert not left_outside(said)
    assert not left_outside((page.title, page.blocks, page.sections))


def test_notes_of_readers_are_marked(tmp_path):
    """What was read otherwise than as written, and rows that were not used; of each only its place is outside brackets."""
    events = "subject,term,grade,relation,serious,start,outcome\n"
    events += "A1,fever,3,related,no,2024-03,fatal\nA2,rash,2,not related,,2024-03-05,odd\n"
    people = "subject,dose,infusion_1,last contact,colour\nA1,1,2024-03-01,2024-06-01,red\nA2,1,2024-03-02,2024-06-01,N/A"
    (tmp_path / "patients.csv").write_text(people, encoding="utf-8")
    (tmp_path / "events.csv").write_text(events, encoding="utf-8")
    with in_language("x", Pseudo()):
        plain = dsf.read_patients(tmp_path / "patients.csv", protocol(), events=tmp_path / "events.csv")
        tables = patient_files.sdtm(*patient_files.trial(20))
        tables["ex"][0] |= {"EXDOSE": "0"}
        found = dsf.read_patients(patient_files.write_domains(tmp_path / "sdtm", tables, "csv"), protocol())
    notes = [*plain.notes, *found.notes]
    assert len(plain.notes) >= 5
    assert len(found.notes) >= 2
    for words in (*notes, *(listed.reason for listed in found.listed)):
        assert "\u27e6" in words, words


def test_examples_of_conduct_have_all_kinds_of_words():
    """So that the test before looks at something."""
    found = [of_conduct(*case)[1] for case in CONDUCT]
    assert {status.kind for each in found for status in each.evaluated.statuses} == {*KINDS}
    assert len({finding.rule for each in found for finding in each.findings}) > 12
    assert any(each.holds for each in found)
    assert {"fill", "hold"} <= {proposal.action for each in found for proposal in each.proposals.values()}


def test_all_words_of_an_analysis_are_marked():
    """Cautions included."""
    with in_language("x", Pseudo()):
        summary = dsf.analyze(dsf.load_trial(ROOT / "configs" / "nct05962762.toml"), "1NNN 2NNN 3NNT").summary
        page = analysis(summary)
    assert summary.attrs["warnings"]
    assert not left_outside((page.title, page.blocks, page.sections))


def written_on(ax):
    """Return all text of a chart: of its axes, around it, and its alternative text."""
    texts = [artist.get_text() for artist in ax.figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return [*(re.sub(r"\s+", " ", text) for text in texts), plots.alt_text(ax)]


@pytest.mark.slow
def test_all_words_of_charts_are_marked():
    """Names of designs, scenarios and patients are the user's, and the only ones outside."""
    study = dsf.load_trial(ROOT / "configs" / "nct05962762.toml")
    with in_language("x", Pseudo()):
        oc = dsf.compare(study)
        found = dsf.analyze(study, "1NNN 2NNN 3NNT")
        elicited = dsf.minimally_informative_prior((1, 3, 5), reference=3, lowest=(0.4, 0.05), highest=(0.2, 0.05))
        charts = [
            plots.selection(oc),
            plots.allocation(oc),
            *(draw(found) for draw in (plots.curve, plots.intervals, plots.mtd, plots.prior_posterior)),
            plots.trial("1NNN 2NTP", protocol=study.protocol),
            plots.decisions(dsf.decision_table(study, "boin"), name="boin"),
            plots.decisions(dsf.decision_table(study, "3+3")),
            plots.prior(elicited, protocol=study.protocol),
        ]
    names = {*oc["design"].values, *oc["scenario"].values, "E", "S", "D", "DU"}
    for ax in charts:
        assert not [
            left for left in left_outside(written_on(ax), names) if not re.fullmatch(r"(or )?[ESD] \d( or [ESD] \d)*", left)
        ]


@pytest.mark.slow
@pytest.mark.parametrize("conduct", [False, True])
def test_all_sentences_of_reports_are_in_the_catalogue(conduct):
    """Sentences that are translated where they are shown are marked where they are made."""
    config, folder = dsf.load_trial(ROOT / "configs" / "nct05962762.toml"), ROOT / "examples" / "nct05962762" / "midway"
    patients = dsf.read_patients(folder / "patients.csv", config.protocol, events=folder / "events.csv")
    with in_language("x", Pseudo()):
        found = conduct_report(config, patients, None) if conduct else design_report(config)
    assert not any(re.search(LETTER, outside(section.title)) for section in found.sections)


def test_language_is_back_afterwards():
    with in_language("x", Pseudo()):
        assert _("design") == "\u27e6design\u27e7"
        assert counted("{n} design", "{n} designs", 2) == "\u27e62 designs\u27e7"
    assert _("design") == "design"
    assert languages()[0] == "en"
    with pytest.raises(dsf.InputError, match="language"), in_language("tlh"):
        pass
