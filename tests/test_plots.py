"""Charts: they show the result, in words too; the same bytes everywhere; no text of the user is interpreted."""

import hashlib
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

import dosefind as dsf
from dosefind.protocol import RP2D
from dosefind.trial import Cohort, parse_outcomes

from .peers import ROOT
from .test_analyze import CONFIG

plots = dsf.plots
SVG = "{http://www.w3.org/2000/svg}"
OUTCOMES = "1NNN 2NNN 3NNT"


@pytest.fixture(scope="module")
def protocol():
    return dsf.load_protocol(CONFIG)


@pytest.fixture(scope="module")
def found(protocol):
    return dsf.analyze(protocol, OUTCOMES)


@pytest.fixture(scope="module")
def oc(protocol):
    return dsf.compare(protocol)


@pytest.fixture(scope="module")
def said():
    return dsf.prior_from_quantiles({1: {0.1: 0.01, 0.9: 0.25}, 5: {0.1: 0.10, 0.9: 0.60}}, reference=3)


def texts(ax):
    """Every text on a figure."""
    from matplotlib.text import Text

    return [text.get_text() for text in ax.get_figure().findobj(Text) if text.get_text()]


def percents(numbers, digits=1):
    return [f"{100 * p:.{digits}f}%" for p in np.ravel(numbers)]


def assert_says(ax, words):
    alt = plots.alt_text(ax)
    missing = [word for word in words if word not in alt]
    assert not missing, f"{missing} not in {alt!r}"


def heights(ax):
    """Heights of each series of bars."""
    return [np.array([bar.get_height() for bar in bars]) for bars in ax.containers]


def drawn_boxes(ax):
    """Left, bottom, width, height and shape of each rectangle of the shapes of many, from the bottom up and from the left."""
    found = []
    for shape in ax.patches:
        corners = shape.get_path().vertices.reshape(-1, 5, 2)
        low, size = corners.min(axis=1), np.ptp(corners, axis=1)
        found += [(*where, *how, shape) for where, how in zip(low, size, strict=True)]
    return sorted(found, key=lambda box: (box[1], box[0]))


def test_curve_shows_the_summary(found):
    ax = plots.curve(found)
    s = found.summary
    (points,) = ax.containers
    line, _, (whiskers,) = points
    np.testing.assert_array_equal(line.get_xdata(), s.dose_amount)
    np.testing.assert_array_equal(line.get_ydata(), s["median"])
    # Interval ends are drawn as the median less or plus a length.
    ends = np.array([segment[:, 1] for segment in whiskers.get_segments()])
    np.testing.assert_allclose(ends, np.transpose([s.lower, s.upper]), rtol=0, atol=1e-15)
    squares = next(c for c in ax.collections if len(c.get_offsets()) == 3)
    np.testing.assert_array_equal(squares.get_offsets(), np.transpose([s.dose_amount, s.dlts / s.n]))
    assert_says(ax, percents([s["median"], s.lower, s.upper]))
    assert_says(ax, ["1 DLT in 3 patients", "level 3 (5 × 10^6 cells/kg)", "25%", "16% to 33%", "meets the limit now: level 3."])
    assert {"0/3", "1/3", "target", "25%", "Dose (10⁶ cells/kg)"} <= set(texts(ax))


def test_band_goes_through_the_intervals_at_the_doses(found):
    """And through other exact quantiles between them, to what a smooth line through eleven points can do."""
    ax = plots.curve(found)
    outline = next(part for part in ax.collections if isinstance(part, PolyCollection)).get_paths()[0].vertices
    amounts = np.array([1.0, 2.2, 3.0, 3.8, 5.0])
    # At the doses as exact as quantiles are found; between them, half a percentage point where 95% intervals are tens wide.
    for amount, row in zip(amounts, found.quantiles((0.025, 0.975), amounts).values, strict=True):
        there = outline[np.isclose(outline[:, 0], amount, rtol=0, atol=1e-9), 1]
        np.testing.assert_allclose((there.min(), there.max()), row, rtol=0, atol=1e-6 if amount in (1, 3, 5) else 5e-3)


def test_beyond_the_highest_dose_tried_the_curve_is_broken(protocol):
    ax = plots.curve(dsf.analyze(protocol, "1NNN 2NNT"))
    lines = [line for line in ax.lines if len(line.get_xdata()) > 10]
    ends = {line.get_linestyle(): (line.get_xdata()[0], line.get_xdata()[-1]) for line in lines}
    assert ends == {"-": (1, 3), "--": (3, 5)}


def test_quantiles_at_amounts_are_those_of_the_levels(found, protocol):
    np.testing.assert_allclose(found.quantiles(amounts=(1, 3, 5)).values, found.quantiles().values, rtol=0, atol=1e-9)
    s = found.summary
    np.testing.assert_array_equal(found.quantiles().values.T, [s.lower, s["median"], s.upper])
    # At the reference dose, the rate is logit-normal before any data.
    from scipy.special import expit, ndtri

    before = found.quantiles((0.1, 0.9), (3,), prior=True).values[0]
    np.testing.assert_allclose(before, expit(-2.2 + 2 * ndtri([0.1, 0.9])), rtol=0, atol=1e-6)
    power = dsf.analyze(protocol, OUTCOMES, curve="power")
    with pytest.raises(dsf.InputError, match="has DLT rates at its levels only"):
        power.quantiles(amounts=(2,))
    with pytest.raises(dsf.InputError, match="amounts = 0: must be dose amounts"):
        found.quantiles(amounts=(0,))
    # A curve without a dose scale has no band.
    assert len(plots.curve(power).collections) < len(plots.curve(found).collections)


def test_intervals_show_the_three_probabilities(found):
    ax = plots.intervals(found)
    s = found.summary
    np.testing.assert_allclose(heights(ax), [s.p_over, s.p_target, s.p_under], rtol=0, atol=1e-15)
    assert_says(ax, percents([s.p_over, s.p_target, s.p_under]))
    assert_says(ax, [s.attrs["rp2d_reason"]])
    assert {f"{100 * p:.1f}" for p in s.p_over.values} <= set(texts(ax))
    (limit,) = {line.get_ydata()[0] for line in ax.lines}
    assert limit == 0.25


def test_mtd_and_its_prior(found):
    ax = plots.mtd(found)
    np.testing.assert_allclose(heights(ax), [found.summary.prior_mtd, found.summary.mtd], rtol=0, atol=1e-15)
    assert_says(ax, percents([found.summary.prior_mtd, found.summary.mtd]))


@pytest.mark.slow
def test_prior_against_posterior(found):
    ax = plots.prior_posterior(found)
    medians = [line.get_ydata() for line in ax.lines if line.get_marker() in ("D", "o")]
    for before, median in zip((True, False), medians, strict=True):
        rows = found.quantiles((0.025, 0.5, 0.975), prior=before).values
        # Asked together with other quantiles, one differs by rounding.
        np.testing.assert_allclose(median, rows[:, 1], rtol=1e-9)
        assert_says(ax, percents(rows))
    assert_says(ax, [f"effective sample size of {size:.1f} patients" for size in found.summary.prior_effective_n.values])


def test_selection_and_allocation_show_the_comparison(oc):
    ax = plots.selection(oc)
    widths = np.array([width for _, _, width, _, _ in drawn_boxes(ax)])
    shares = oc.selected.transpose("scenario", "design", "choice").values.ravel()
    np.testing.assert_allclose(widths / widths.max(), shares / shares.max(), rtol=0, atol=1e-12)
    assert_says(ax, percents(oc.selected))
    written = texts(ax)
    assert {f"{100 * p:.1f}" for p in shares} <= set(written)
    assert {*oc.design.values, *oc.scenario.values, "true 25% = MTD"} <= set(written)
    ax = plots.allocation(oc)
    pairs = zip(oc.patients.values.ravel(), oc.dlts.values.ravel(), strict=True)
    assert {f"{n:.1f} ({y:.1f})" for n, y in pairs} <= set(texts(ax))
    assert_says(ax, [f"{n:.1f} patients" for n in oc.patients.values.ravel()])


def test_doses_selected_above_the_mtd_are_hatched(oc):
    """Red and hatched above the true MTD, and at every level where no dose is the MTD; the true MTD is blue."""
    ax = plots.selection(oc)
    bars = iter([shape for *_, shape in drawn_boxes(ax)])
    for mtd in oc.true_mtd.values:
        for _ in oc.design.values:
            looks = [
                (bar.get_hatch() is not None, matplotlib.colors.to_hex(bar.get_facecolor()))
                for bar in (next(bars) for _ in range(4))
            ]
            right = 0 if mtd == "none" else int(mtd)
            assert [hatched for hatched, _ in looks] == [level > right for level in range(4)]
            assert [colour == "#0072b2" for _, colour in looks] == [level == right for level in range(4)]


def test_simulated_figures_show_their_error(protocol):
    ax = plots.selection(dsf.compare(protocol, method="simulate", n_trials=50))
    assert_says(ax, ["50 simulated trials", "one standard error", "±"])
    assert any("standard error" in text for text in texts(ax))
    assert len(ax.lines) > 6


@pytest.mark.slow
def test_sampled_figures_show_error_and_diagnostics(found):
    """A result whose draws cannot be trusted says so on the picture; one that can shows its diagnostics."""
    s = found.summary
    errors = {f"{name}_se": 0.01 + 0 * s[name] for name in ("p_under", "p_target", "p_over", "mtd")}
    sampled = s.assign(errors).assign_attrs(rhat=1.003, ess_bulk=1800.0, ess_tail=900.0)
    for problems, words in (
        ([], "R-hat at most 1.003, effective sample size at least 900"),
        (["R-hat is 2"], "cannot be trusted: R-hat is 2"),
    ):
        case = dsf.Analysis(sampled.assign_attrs(problems=problems), found.posterior, found.prior)
        for picture in (plots.intervals, plots.curve, plots.mtd, plots.prior_posterior):
            ax = picture(case)
            assert_says(ax, [words])
            assert words in " ".join(texts(ax)).replace("\n", " ")
    assert "21.6 ±1" in texts(plots.intervals(case))


def test_what_was_borrowed_is_part_of_the_prior(found):
    borrowed = dsf.Analysis(found.summary.assign(borrowed_n=("dose", [1.0, 1.0, 1.0])), found.posterior, found.prior)
    for picture in (plots.mtd, plots.prior_posterior):
        assert_says(picture(borrowed), ["before any data of its own"])
        assert any("other trials" in text for text in texts(picture(borrowed)))
        assert not any("other trials" in text for text in texts(picture(found)))


def test_trial_patient_by_patient(protocol):
    ax = plots.trial("1NNN 2NTP", protocol=protocol)
    marks = {tuple(map(tuple, mark.get_offsets())) for mark in ax.collections}
    assert marks == {((1, 1), (2, 1), (3, 1), (4, 2)), ((5, 2),), ((6, 2),)}
    assert_says(ax, ["6 patients, 1 with a DLT and 1 pending", "Cohort 2, level 2 (3 × 10^6 cells/kg)"])
    hollow, filled = (next(c for c in ax.collections if list(c.get_offsets()[0]) == [x, 2]).get_facecolor() for x in (6, 5))
    assert hollow.tolist() == [[1, 1, 1, 1]]
    assert filled.sum() < 2.5
    assert plots.alt_text(plots.trial(parse_outcomes("1NNN 2NNT"))) == plots.alt_text(plots.trial("1NNN 2NNT"))


def test_trial_from_a_table():
    status = ["complete", "dlt", "pending", "not evaluable", "replaced"]
    table = pd.DataFrame(
        {
            "subject": [f"A-{i}" for i in range(5)],
            "cohort": pd.array([1, 1, 1, 2, 2], "Int64"),
            "level": pd.array([1, 1, 1, 2, 2], "Int64"),
            "status": status,
        }
    )
    ax = plots.trial(table)
    assert len(ax.collections) == 5
    assert set(table.subject) <= set(texts(ax))
    assert_says(ax, ["Cohort 1, level 1: 1 without a DLT, 1 with a DLT and 1 pending (DLT: A-1).", "1 not evaluable, replaced"])


def test_a_patient_at_a_dose_not_in_the_protocol(protocol):
    """Has a place of its own on the dose axis, and none among the cohorts."""
    missing = pd.array([1, None, 1], "Int64")
    table = pd.DataFrame(
        {"subject": ["A", "B", "C"], "cohort": missing, "level": missing, "status": ["complete", "dlt", "pending"]}
    )
    ax = plots.trial(table, protocol=protocol)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "dose not in the\nprotocol",
        "1 (level 1)",
        "3 (level 2)",
        "5 (level 3)",
    ]
    assert [one.get_offsets()[:, 1].tolist() for one in ax.collections] == [[1], [0], [1]]
    above = [text.get_text() for text in ax.texts if text.xy[1] == 1]
    assert above == ["cohort", "1"]
    assert_says(ax, ["Cohort 1, level 1", "At a dose not in the protocol: 1 with a DLT (DLT: B)."])
    assert not any("not in the" in text for text in texts(plots.trial("1N", protocol=protocol)))


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        ("1NX", "outcomes = '1NX': must be a level and a capital N"),
        ("4N", "level of patient 1 = 4: must be a whole number from 1 to 3"),
        (pd.DataFrame({"subject": ["A"]}), r"outcomes = \['subject'\]: must be outcome notation, cohorts, or a table"),
        (pd.DataFrame({"subject": ["A"], "cohort": [1], "level": [1], "status": ["DLT"]}), "outcomes.row 1.status = 'DLT'"),
        (pd.DataFrame({"subject": ["A"], "cohort": [1], "level": [1.5], "status": ["dlt"]}), "outcomes.row 1.level = 1.5"),
        (3, "outcomes = 3: must be outcome notation"),
    ],
)
def test_outcomes_that_cannot_be_read(protocol, outcomes, message):
    with pytest.raises(dsf.InputError, match=message):
        plots.trial(outcomes, protocol=protocol)


def test_other_inputs_that_are_refused(found, oc):
    for picture, argument in ((plots.curve, oc), (plots.selection, found), (plots.decisions, oc), (plots.prior, found)):
        with pytest.raises(dsf.InputError, match="must be"):
            picture(argument)
    with pytest.raises(dsf.InputError, match="ax = 3: must be matplotlib axes"):
        plots.mtd(found, ax=3)
    with pytest.raises(dsf.InputError, match=r"must be axes from dosefind\.plots"):
        plots.alt_text(Figure().subplots())


def cells(ax):
    """Texts of a grid by column and row."""
    return {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts if not isinstance(text, Annotation)}


def test_decision_grid_is_the_boundary_table():
    table = dsf.BOIN(target=0.30).table(max_n=12)
    ax = plots.decisions(table, name="boin")
    seen = cells(ax)
    boxes = drawn_boxes(ax)
    assert len(seen) == sum(range(2, 14)) == len(boxes)
    shapes = {(round(left + 0.5), round(bottom + 0.5)): shape for left, bottom, _, _, shape in boxes}
    assert len({(shapes[at], text) for at, text in seen.items()}) == len(set(seen.values())) == len(ax.patches)
    for column, row in enumerate(table.reset_index().itertuples()):
        for k in range(row.n_patients + 1):
            out = not pd.isna(row.eliminate_if_dlt_ge) and k >= row.eliminate_if_dlt_ge
            expected = "DU" if out else "D" if k >= row.deescalate_if_dlt_ge else "E" if k <= row.escalate_if_dlt_le else "S"
            assert seen[column, k] == expected
    assert_says(
        ax, ["With 3 patients, 0 DLTs: escalate; 1 DLT: stay; 2 DLTs: de-escalate; 3 DLTs: de-escalate and eliminate the dose."]
    )


def test_decision_grid_of_a_climb(protocol):
    ax = plots.decisions(dsf.decision_table(protocol, "3+3"))
    seen = cells(ax)
    assert [seen[0, k] for k in range(4)] == ["E 2", "S 1", "× –", "× –"]
    assert [seen[5, k] for k in (1, 2, 3, 4)] == ["× 3+", "× 2", "× 2", "× 2"]
    assert_says(ax, ["At level 2 with 3 patients, 0 DLTs: escalate to level 3; 1 DLT: stay; 2 and 3 DLTs: stop, MTD level 1."])


def test_elicited_prior(said, protocol):
    ax = plots.prior(said, protocol=protocol)
    for chance, marker in ((0.1, "v"), (0.9, "^")):
        hollow = next(line for line in ax.lines if line.get_marker() == marker)
        wanted = [(dose, rate) for dose, probability, rate in said.wanted if probability == chance]
        np.testing.assert_array_equal(np.transpose([hollow.get_xdata(), hollow.get_ydata()]), wanted)
    filled = next(line for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(filled.get_ydata(), said.got)
    expected = said.predictive(3, (1, 3, 5))
    assert_says(ax, percents(expected))
    assert {f"{100 * p:.0f}" for p in expected.to_numpy().ravel()} <= set(texts(ax))
    # Without the protocol the doses are those of the elicited quantiles, and no level is known.
    assert "level" not in texts(plots.prior(said))


def test_prior_predictive_is_the_evidence_of_first_cohorts(said):
    """The probability of one DLT in three patients is the binomial coefficient times the evidence of that data set."""
    from dosefind.posterior.exact import ExactFit, ExactPosterior

    expected = said.predictive(3, (1.0, 3.0, 5.0))
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=0, atol=1e-8)
    n = np.array([0, 3, 0])
    log_evidence = ExactPosterior(ExactFit(said.curve((1.0, 3.0, 5.0))), n, n // 3).log_evidence
    np.testing.assert_allclose(expected.loc[3.0, 1], 3 * np.exp(log_evidence), rtol=0, atol=1e-8)


def test_prior_quantiles_are_those_that_were_met(said):
    np.testing.assert_allclose(said.quantiles((0.1, 0.9)).to_numpy().ravel(), said.got, rtol=0, atol=1e-9)


def pictures(protocol, found, oc, said):
    yield from (plots.curve(found), plots.intervals(found), plots.mtd(found), plots.prior_posterior(found))
    yield from (plots.selection(oc), plots.allocation(oc), plots.prior(said), plots.trial(OUTCOMES, protocol=protocol))
    yield plots.decisions(dsf.decision_table(protocol, "boin"))


@pytest.mark.slow
def test_svg_says_what_it_shows_and_leaks_nothing(protocol, found, oc, said):
    ids, uses = [], 0
    for ax in pictures(protocol, found, oc, said):
        svg = plots.as_svg(ax)
        assert svg.startswith("<svg ")
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        title, words = root[0], root[1]
        assert (title.tag, words.tag) == (f"{SVG}title", f"{SVG}desc")
        assert root.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
        assert words.text == plots.alt_text(ax)
        assert plots.alt_text(ax).startswith(title.text)
        assert not root.findall(f".//{SVG}style")
        own = [element.get("id") for element in root.iter() if element.get("id")]
        used = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert set(used) <= set(own)
        ids, uses = ids + own, uses + len(used)
    assert len(ids) == len(set(ids))
    assert uses > 1000


BYTES = """
import hashlib, dosefind as dsf
protocol = dsf.load_protocol({config!r})
ax = dsf.plots.intervals(dsf.analyze(protocol, "1NNN 2NNN 3NNT"))
print(hashlib.sha256(dsf.plots.as_svg(ax).encode() + dsf.plots.as_png(ax, 100)).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bytes_in_another_process_and_under_other_settings(found, tmp_path):
    run = subprocess.run([sys.executable, "-c", BYTES.format(config=str(CONFIG))], capture_output=True, text=True, check=True)
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "none", "axes.facecolor": "red", "savefig.bbox": "tight"}):
        ax = plots.intervals(found)
        content = plots.as_svg(ax).encode() + plots.as_png(ax, 100)
    assert hashlib.sha256(content).hexdigest() == run.stdout.strip()
    for name in ("a.svg", "a.png", "a.pdf"):
        plots.save(ax, tmp_path / name)
        first = (tmp_path / name).read_bytes()
        plots.save(plots.intervals(found), tmp_path / name)
        assert (tmp_path / name).read_bytes() == first
    assert (tmp_path / "a.svg").read_text() == plots.as_svg(ax) + "\n"
    with pytest.raises(dsf.InputError, match=r"must end in \.svg, \.png, \.pdf"):
        plots.save(ax, tmp_path / "a.jpg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.png", "a.svg"]


@pytest.mark.slow
def test_settings_and_pyplot_are_left_alone(protocol, found, oc, said):
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    for ax in pictures(protocol, found, oc, said):
        plots.as_png(ax, 40)
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_axes_of_the_user_are_drawn_on(found):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.curve(found, ax=left) is left
    assert plots.mtd(found, ax=right) is right
    assert plots.alt_text(figure) == f"{plots.alt_text(left)} {plots.alt_text(right)}"
    assert plots.as_svg(figure)


def test_a_notebook_shows_new_axes_once(found):
    ax = plots.mtd(found)
    data, metadata = ax._repr_mimebundle_()
    assert data["image/svg+xml"] == plots.as_svg(ax)
    assert data["image/png"].startswith(b"\x89PNG")
    assert {one["alt"] for one in metadata.values()} == {plots.alt_text(ax)}


HOSTILE = ["<script>alert(1)</script>", "$x^2$", "\u202eabc\x07", "=1+1", r"$\alpha", "w" * 10_000, "&amp;", "]]>", "\u4f4e", ""]


@pytest.mark.slow
def test_hostile_text_is_drawn_as_text(protocol, found, oc):
    table = pd.DataFrame({"subject": HOSTILE, "cohort": 1, "level": 1, "status": "dlt"})
    ax = plots.trial(table)
    labels = [text for text in ax.texts if text.get_text() and text.get_rotation() == 90]
    written = [label.get_text() for label in labels]
    assert written[:5] == [HOSTILE[0], "$x^2$", "\\u202eabc\\x07", "=1+1", r"$\alpha"]
    assert re.fullmatch("w+…w+…", written[5])
    assert written[6:] == ["&amp;", "]]>", "□"]
    assert not any(label.get_parse_math() for label in labels)
    assert any(text.startswith("□: a character") for text in texts(ax))
    svg = plots.as_svg(ax)
    assert "<script>" not in svg
    assert "\u202e" not in svg
    assert len(plots.alt_text(ax)) < 1000
    named = oc.assign_coords(design=[*HOSTILE[:7], "x"], scenario=HOSTILE[:6]).assign_attrs(protocol=HOSTILE[0])
    for picture in (plots.selection, plots.allocation):
        svg = plots.as_svg(picture(named))
        assert "<script>" not in svg
        ElementTree.fromstring(svg)
    summary = found.summary.assign_attrs(protocol="$x$ <b>", curve_used="$y$")
    summary["dose_amount"] = summary["dose_amount"].assign_attrs(units="$10^6$ mg")
    ax = plots.curve(dsf.Analysis(summary, found.posterior, found.prior))
    assert "Dose ($10⁶$ mg)" in texts(ax)
    plots.as_svg(ax)


@pytest.mark.slow
@pytest.mark.parametrize("doses", [1, 2, 10])
def test_any_number_of_doses(doses):
    """Ten doses of a Fibonacci-like sequence go on a logarithmic axis, one has no band."""
    amounts = (1.0, 2.0, 3.3, 5.0, 7.0, 10.0, 14.0, 19.0, 25.0, 33.0)[:doses]
    summary, posterior = analysed(amounts)
    found = dsf.Analysis(summary, posterior, posterior)
    for picture in (plots.curve, plots.intervals, plots.mtd, plots.prior_posterior):
        plots.as_png(picture(found), 40)
    assert plots.curve(found).get_xscale() == ("log" if doses == 10 else "linear")


def analysed(amounts):
    from dosefind.posterior.exact import ExactFit, ExactPosterior
    from dosefind.summaries import summary

    curve = dsf.Logistic2(doses=amounts, reference=amounts[0], prior=dsf.BivariateNormal(mean=(-3.0, 0.0), sd=(1.0, 0.5)))
    n = np.array([3] * len(amounts))
    posterior = ExactPosterior(ExactFit(curve, (0.16, 0.25, 0.33)), n, n // 3)
    table = summary(posterior, posterior, target=0.25, interval=(0.16, 0.33), rule=RP2D(limit=0.25), amounts=amounts, unit="mg")
    more = {"protocol": "X", "target": 0.25, "interval": [0.16, 0.33], "rp2d_limit": 0.25, "curve_used": "logistic-2"}
    return table.assign_attrs(more), posterior


def test_probabilities_of_zero_and_one(oc):
    certain = oc.copy()
    certain["selected"] = xr.zeros_like(oc.selected)
    certain["selected"][..., 1] = 1.0
    ax = plots.selection(certain)
    assert {"100.0", "0.0"} <= set(texts(ax))
    plots.as_svg(ax)


def test_no_patient_treated():
    ax = plots.trial("")
    assert "no patient has been treated" in texts(ax)
    assert plots.alt_text(ax) == "Trial of 0 patients."
    assert plots.alt_text(plots.trial([Cohort(1, 1, 1)])) == "Trial of 1 patient, 1 with a DLT. Cohort 1, level 1: 1 with a DLT."


MISSING = """
import sys
sys.modules["matplotlib"] = None
import dosefind as dsf
plots = dsf.plots
protocol = dsf.load_protocol("configs/nct05962762.toml")
for picture in (lambda: plots.trial("1NNN"), lambda: plots.selection(dsf.compare(protocol))):
    try:
        picture()
    except dsf.InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_without_matplotlib_one_line_says_what_to_install():
    run = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == 2 * "charts need matplotlib, which is not installed: pip install 'dosefind[plots]'\n"


LAZY = """
import sys
import dosefind as dsf
dsf.plots.curve
print("matplotlib" in sys.modules)
dsf.plots.trial("1NNN")
print("matplotlib" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""


@pytest.mark.slow
def test_matplotlib_is_loaded_with_the_first_picture():
    run = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True", "False"]
