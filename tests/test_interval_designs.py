"""mTPI-2, Keyboard, i3+3 and decision tables: the contract, peers' and published tables, and exact fractions."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

import dosefind as dsf
from dosefind.config import build_designs
from dosefind.designs import DESIGNS, IntervalDesign
from dosefind.designs.boin import BOIN
from dosefind.tasks.steps import next_step
from dosefind.trial import Cohort, States

from . import peers
from .contract import check_design

INTERVAL = [kind for kind, design in DESIGNS.items() if issubclass(design, IntervalDesign)]
OTHERS = {"tite-boin": {"window_days": 28}}
LETTERS = {"E": 1, "S": 0, "D": -1, "DU": -1}
MOVES = {3: "E S D DU", 6: "E E S D DU DU DU", 9: "E E S S D DU DU DU DU DU"}


@pytest.mark.parametrize(
    "design",
    [
        dsf.MTPI2(target=0.3, max_n=12),
        dsf.MTPI2(target=0.25, max_n=11, cohort_size=(1, 2, 3), margin_above=0.1),
        dsf.Keyboard(target=0.2, max_n=12, extra_safe=True),
        dsf.I3Plus3(target=0.25, max_n=12),
        dsf.I3Plus3(target=0.3, max_n=10, cohort_size=2, max_n_per_dose=6),
        dsf.DecisionTable(target=0.25, max_n=12, moves=MOVES),
        dsf.DecisionTable(target=0.25, max_n_per_dose=6, moves={3: "E S D D", 6: "E E S D D D D"}, max_n=15),
    ],
    ids=lambda design: f"{design.kind}, {sorted(design.model_fields_set)}",
)
def test_contract(design):
    check_design(design)


# Column of the table of peers' decisions, by kind. What differs is a rate equal to an end of the interval, which the peer rounds.
PEERS = {
    "mtpi-2": ("mtpi2", "mtpi2_find"),
    "keyboard": ("keyboard",),
    "i3+3": ("i3p3_find", "i3p3_phidesign"),
}


@pytest.mark.parametrize(("kind", "column"), [(kind, column) for kind, columns in PEERS.items() for column in columns])
def test_decisions_of_peers(kind, column):
    known = peers.table("interval_tables_check").query("column == @column")
    compared = 0
    for (target, below, above), rows in peers.table("interval_tables").dropna(subset=column).groupby(["target", "eps1", "eps2"]):
        design = DESIGNS[kind](target=target, margin_below=below, margin_above=above)
        ours, theirs = design.move(rows.n.values, rows.dlts.values), rows[column].map(LETTERS).values
        listed = known[known.target == target]
        tied = np.array([(n, y) in set(zip(listed.n, listed.dlts, strict=True)) for n, y in zip(rows.n, rows.dlts, strict=True)])
        np.testing.assert_array_equal(ours[~tied], theirs[~tied])
        assert (ours[tied] != theirs[tied]).all()
        assert listed.on_the_edge.all()
        compared += len(rows)
    assert compared > 1400


def test_keyboard_boundaries_of_its_package():
    """Exact integers; the package eliminates with one or two patients too, which is ignored."""
    for table in (peers.table("keyboard_boundary"), peers.table("keyboard_boundaries")):
        for target, rows in table.groupby("target"):
            if "cutoff_eli" in rows:
                rows = rows[(rows.marginL == 0.05) & (rows.marginR == 0.05) & (rows.cutoff_eli == 0.95)]
            ours = dsf.Keyboard(target=target).table(int(rows.n.max())).loc[rows.n]
            np.testing.assert_array_equal(ours.escalate_if_dlt_le, rows.escalate_if_dlt_le)
            np.testing.assert_array_equal(ours.deescalate_if_dlt_ge, rows.deescalate_if_dlt_ge)
            three = rows.n.values >= 3
            theirs = rows.eliminate_if_dlt_ge.values[three].astype(float)
            found = ours.eliminate_if_dlt_ge.astype("Float64").to_numpy(float, na_value=np.nan)[three]
            # Where no number eliminates, the package has none or more than there are patients.
            theirs[theirs > rows.n.values[three]] = np.nan
            np.testing.assert_array_equal(found, theirs)


def test_published_trials_of_mtpi2():
    """Guo et al. (2017), figure 3, as the tests of escalation have it: the next level and the doses that stay open."""
    paper = peers.published("mtpi2_guo2017_fig3")
    design = dsf.MTPI2(target=0.3, n_doses=5)
    steps = [dsf.decide(design, trial["outcomes"]) for trial in paper["records"]]
    np.testing.assert_array_equal([step.level or 0 for step in steps], [trial["recommended"] or 0 for trial in paper["records"]])
    assert [step.action != "stop" for step in steps] == [trial["continue"] for trial in paper["records"]]
    letters = paper["decisions_at_middle_dose(y/n)"]
    for counts, letter in letters.items():
        y, n = map(int, counts.split("/"))
        assert design.move(np.array([n]), np.array([y]))[0] == LETTERS[letter]
        assert (y >= design.table(n).eliminate_if_dlt_ge.fillna(99)[n]) == (letter == "DU")


def _below(p, a, n):
    """P(Beta(a, n + 1 - a) < p) for whole numbers, an exact fraction."""
    return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(a, n + 1))


@pytest.mark.parametrize(("target", "below", "above"), [(25, 5, 5), (30, 5, 5), (20, 4, 8), (50, 10, 10), (33, 7, 3)])
def test_moves_of_mtpi2_in_exact_fractions(target, below, above):
    design = dsf.MTPI2(target=target / 100, margin_below=below / 100, margin_above=above / 100)
    low, high = Fraction(target - below, 100), Fraction(target + above, 100)
    edges = [low, high]
    while edges[0] > 0:
        edges.insert(0, max(edges[0] - (high - low), Fraction(0)))
    while edges[-1] < 1:
        edges.append(min(edges[-1] + (high - low), Fraction(1)))
    centre = edges.index(low)
    for n in range(1, 13):
        for y in range(n + 1):
            cumulated = [_below(edge, y + 1, n + 1) for edge in edges]
            density = [(cumulated[i + 1] - cumulated[i]) / (edges[i + 1] - edges[i]) for i in range(len(edges) - 1)]
            densest = max(i for i, value in enumerate(density) if value == max(density))
            assert design.move(np.array([n]), np.array([y]))[0] == np.sign(centre - densest), (n, y)


@pytest.mark.parametrize("kind", [kind for kind in INTERVAL if kind != "table"])
def test_one_more_dlt_never_moves_higher(kind):
    """Limits are found by halving, which needs this."""
    for target in np.linspace(0.06, 0.6, 19):
        design = DESIGNS[kind](target=float(target), **OTHERS.get(kind, {}))
        for n in range(1, 41):
            assert (np.diff(design.move(np.full(n + 1, n), np.arange(n + 1))) <= 0).all()


def test_the_top_of_harmless_doses_is_selected():
    for kind in INTERVAL:
        settings = {"moves": {n: " ".join("E" if y <= n / 5 else "D" for y in range(n + 1)) for n in range(1, 19)}}
        design = DESIGNS[kind](target=0.25, max_n=18, **(settings if kind == "table" else OTHERS.get(kind, {})))
        selected = dsf.lattice(design, n_doses=3).under([[0.01, 0.02, 0.03]]).selected.values[0]
        # 0.9: a design that is right names the top dose nearly always then.
        assert selected[3] > 0.9, kind


def test_a_table_made_of_boins_is_boin():
    boin = BOIN(target=0.25, max_n=15)
    moves = {}
    for n, row in boin.table(15).astype("Float64").fillna(99).iterrows():
        edges = [row.escalate_if_dlt_le + 1, row.deescalate_if_dlt_ge, row.eliminate_if_dlt_ge]
        moves[n] = [("E", "S", "D", "DU")[sum(y >= edge for edge in edges)] for y in range(n + 1)]
    table = dsf.DecisionTable(target=0.25, max_n=15, moves=moves)
    ours, theirs = (dsf.lattice(design, n_doses=4).under([[0.1, 0.25, 0.4, 0.5]]) for design in (table, boin))
    for name in ("selected", "patients", "dlts", "not_reached"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def test_backfill_conflicts_follow_the_members_own_moves():
    """Level 1 had 3 DLTs in 6 with backfill, from which the i3+3 would not escalate; pooled with level 2 the rate is 3 in 9."""
    design = dsf.I3Plus3(target=0.25, n_doses=3)
    cohorts = [Cohort(1, 3, 1), Cohort(2, 3, 0)]
    assert next_step(design, cohorts, 3).level == 3
    assert next_step(design, cohorts, 3, [Cohort(1, 3, 2)]).level < 3


def test_one_backfilled_patient_can_make_a_conflict():
    """Level 1 has 2 DLTs in 7 with a backfilled patient, which says stay; pooled with level 2, 2 in 10 is above 0.197."""
    design, cohorts = BOIN(target=0.25), [Cohort(1, 3, 1), Cohort(1, 3, 0), Cohort(2, 3, 0)]
    levels = [next_step(design, cohorts, 3, backfill).level for backfill in ([], [Cohort(1, 1, 0)], [Cohort(1, 1, 1)])]
    assert levels == [3, 3, 2]


@pytest.mark.parametrize("settings", [{"target": 0.9, "margin_above": 0.1}, {"target": 0.05, "margin_below": 0.05}])
@pytest.mark.parametrize("kind", ["mtpi-2", "keyboard", "i3+3"])
def test_intervals_that_end_at_0_or_1_are_refused(kind, settings):
    (name,) = settings.keys() - {"target"}
    DESIGNS[kind](**settings | {name: settings[name] - 0.01})
    with pytest.raises(dsf.InputError, match="must lie inside"):
        DESIGNS[kind](**settings)


def test_a_table_shows_the_numbers_of_patients_that_have_a_row():
    design = dsf.DecisionTable(target=0.25, moves=MOVES, max_n=9)
    assert [design.table(max_n=largest).index.tolist() for largest in (5, 8, 9, 30)] == [[3], [3, 6], [3, 6, 9], [3, 6, 9]]


WRONG_MOVES = [
    ({3: "E S D"}, "the moves for 3 patients must be 4 in number, for 0 to 3 DLTs, not 3"),
    ({3: "E D S D"}, "D for 1 DLTs in 3 patients and S for 2: one more DLT must not lead to a higher dose"),
    ({3: "E S D DU", 6: "E E S D DU D DU"}, "DU for 4 DLTs in 6 patients and D for 5"),
    ({3: "E S D X"}, "the move for 3 DLTs in 3 patients, 'X', must be one of E, S, D, DU"),
    ({3: ["E", "S", 1, "D"]}, "the move for 2 DLTs in 3 patients, 1, must be one of E, S, D, DU"),
    ({"three": "E S D D"}, "'three' must be a number of patients from 1 to 1000, each given once"),
    ({0: "E"}, "0 must be a number of patients"),
    ({"3": "E S D D", 3: "E S D D"}, "3 must be a number of patients from 1 to 1000, each given once"),
    ({3: 5}, "the moves for 3 patients must be 4 in number, for 0 to 3 DLTs, not 5"),
    ({}, "must give the moves for each number of patients"),
    ([1], "must give the moves for each number of patients"),
    ({3: "E S D DU", 9: "E E S D DU DU DU DU DU DU"}, "moves has no row for 6 patients"),
]


def test_gaps_of_a_table_without_another_limit():
    """The last row is the limit then."""
    nine = "E E S D DU DU DU DU DU DU"
    assert dsf.DecisionTable(target=0.25, moves={3: "E S D DU", 6: "E E S D DU DU DU", 9: nine}).max_n is None
    with pytest.raises(dsf.InputError, match="for 6 patients"):
        dsf.DecisionTable(target=0.25, moves={3: "E S D DU", 9: nine})


@pytest.mark.parametrize(("moves", "words"), WRONG_MOVES, ids=lambda value: str(value)[:40])
def test_tables_that_are_wrong(moves, words):
    with pytest.raises(dsf.InputError) as found:
        dsf.DecisionTable(target=0.25, moves=moves, max_n=12)
    assert words in str(found.value)


def test_numbers_that_a_table_needs_follow_from_the_limits():
    whole = {3: "E S D D", 6: "E E S D D D D"}
    dsf.DecisionTable(target=0.25, moves=whole, max_n=9)
    dsf.DecisionTable(target=0.25, moves=whole, max_n=18, max_n_per_dose=6)
    dsf.DecisionTable(target=0.25, moves=whole, max_n=18, stop_n=9)
    for settings, words in (
        ({"max_n": 12}, "9 patients"),
        ({"max_n": 18, "max_n_per_dose": 8}, "8 patients"),
        ({"max_n": 9, "cohort_size": (1, 2, 3)}, "1, 2, 4, 5, 7, 8 patients"),
        ({"max_n": 18, "stop_n": 9, "stop_n_at": "chosen"}, "9, 12, 15 patients"),
    ):
        with pytest.raises(dsf.InputError, match=words):
            dsf.DecisionTable(target=0.25, moves=whole, **settings)


@pytest.mark.parametrize(
    ("outcomes", "action", "level", "size"),
    [
        # Two patients: filled up to three, unless two DLTs are too many for three already.
        ("1NNN 2NN", "stay", 2, 1),
        ("1NNN 2NT", "stay", 2, 1),
        ("1NNN 2TT", "de-escalate", 1, 3),
        ("1N", "stay", 1, 2),
        # Four: nothing escalates from there, and three DLTs are too many for six.
        ("1NNN 2NNNN", "stay", 2, 2),
        ("1NNN 2NTTT", "de-escalate", 1, 3),
        # Beyond the last row.
        ("1NNN 2NNN 2NNNN", "stay", 2, 3),
        ("1NNN 2NNN 2NTTT", "de-escalate", 1, 3),
    ],
)
def test_a_number_of_patients_that_has_no_row(outcomes, action, level, size):
    design = dsf.DecisionTable(target=0.25, moves={3: "E S D DU", 6: "E E S D DU DU DU"})
    step = dsf.decide(design, outcomes, n_doses=3)
    assert (step.action, step.level, step.size) == (action, level, size)


def test_elimination_is_the_tables_own_where_it_has_any():
    own = dsf.DecisionTable(target=0.25, moves={3: "E S D D", 6: "E E S D DU DU DU"}, max_n=9)
    # Three DLTs in three patients: by Beta(1, 1) the dose would be eliminated.
    assert dsf.decide(own, "1NNN 2TTT", n_doses=3).admissible == (1, 2)
    by_rate = dsf.DecisionTable(target=0.25, moves={3: "E S D D", 6: "E E S D D D D"}, max_n=9)
    assert dsf.decide(by_rate, "1NNN 2TTT", n_doses=3).admissible == (1,)
    with pytest.raises(dsf.InputError, match=r"cutoff = 0\.9 has no effect because moves contains DU"):
        dsf.DecisionTable(target=0.25, moves={3: "E S D DU", 6: "E E S D DU DU DU"}, max_n=9, cutoff=0.9)
    # The safety stop at the lowest dose has it too, and without DU it eliminates.
    for moves in ({3: "E S D DU", 6: "E E S D DU DU DU"}, {3: "E S D D", 6: "E E S D D D D"}):
        assert dsf.DecisionTable(target=0.25, moves=moves, max_n=9, cutoff=0.9, extra_safe=True).cutoff == 0.9
    assert dsf.DecisionTable(target=0.25, moves={3: "E S D D", 6: "E E S D D D D"}, max_n=9, cutoff=0.9).cutoff == 0.9


CONFIG = peers.ROOT / "configs" / "nct05962762.toml"


def _config(folder, table, **files):
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    path = folder / "trial.toml"
    path.write_text(CONFIG.read_text().replace("[curves.logistic-2]", f"{table}\n\n[curves.logistic-2]", 1))
    return path


def _rows(moves):
    pairs = [(n, y, move) for n, row in moves.items() for y, move in enumerate(row.split())]
    return "n,dlts,move\n" + "".join(f"{n},{y},{move}\n" for n, y, move in pairs)


def _moves(most):
    return {n: " ".join("E" if y < n / 4 else "S" if y <= n / 3 else "D" for y in range(n + 1)) for n in range(3, most + 1, 3)}


@pytest.mark.slow
def test_a_table_in_a_config_and_in_a_file(tmp_path):
    moves = _moves(30)
    inline = "[designs.mine]\nkind = 'table'\n[designs.mine.moves]\n" + "\n".join(f'{n} = "{row}"' for n, row in moves.items())
    folders = [tmp_path / "inline", tmp_path / "file"]
    for folder in folders:
        folder.mkdir()
    one = dsf.load_protocol(_config(folders[0], inline))
    named = "[designs.mine]\nkind = 'table'\nmoves = 'my moves.csv'"
    other = dsf.load_protocol(_config(folders[1], named, **{"my moves": _rows(moves)}))
    assert build_designs(one)["mine"] == build_designs(other)["mine"]
    np.testing.assert_array_equal(*(dsf.compare(protocol).selected.sel(design="mine") for protocol in (one, other)))


@pytest.mark.slow
def test_another_content_of_the_file_is_another_hash(tmp_path):
    hashes = []
    for number, last in enumerate(("D", "DU")):
        folder = tmp_path / str(number)
        folder.mkdir()
        moves = _moves(30) | {3: f"E S D {last}"}
        protocol = dsf.load_protocol(_config(folder, "[designs.mine]\nkind = 'table'\nmoves = 'moves.csv'", moves=_rows(moves)))
        hashes.append(dsf.compare(protocol).attrs["config_sha256"])
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "moves.csv: No such file"),
        ("", "moves.csv: is empty"),
        ("n,dlts,move\n", "has a header but no rows"),
        ("n,dlt,move\n3,0,E\n", "column dlts: missing"),
        ("n,dlts,move\n3,0,E\n3,1,S\n3,3,D\n", "n = 3: has no row for dlts = 2"),
        ("n,dlts,move\n3,0,E\n3,0,S\n3,2,D\n3,3,D\n", "row 3: dlts = 0: is also stated for n = 3 in row 2"),
        ("n,dlts,move\n3,4,E\n", "row 2: dlts = '4': must be a whole number from 0 to 3"),
        ("n,dlts,move\nthree,0,E\n", "row 2: n = 'three'"),
        ("n,dlts,move\n3,0,E\n3,1,up\n3,2,D\n3,3,D\n", "designs.mine.moves"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_files_that_are_wrong(tmp_path, text, words):
    files = {} if text is None else {"moves": text}
    path = _config(tmp_path, "[designs.mine]\nkind = 'table'\nmoves = 'moves.csv'", **files)
    with pytest.raises(dsf.InputError) as found:
        dsf.load_protocol(path)
    assert words in str(found.value)


def test_estimates_and_final_choice_are_those_of_boin_where_rules_agree():
    counts = States.counts([[3, 6, 6], [3, 3, 3], [6, 6, 0]], [[0, 1, 3], [0, 0, 0], [1, 1, 0]])
    expected = dsf.BOIN(target=0.25).select(counts).dose
    for design in (dsf.MTPI2(target=0.25), dsf.Keyboard(target=0.25), dsf.I3Plus3(target=0.25)):
        np.testing.assert_array_equal(design.select(counts).dose, expected)
