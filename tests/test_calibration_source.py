"""The hash of what a calibration computes: it changes with the computation, not with words, private names or local variables."""

import re
import sys
from functools import partial

import pytest

from benchmarks.sbc import CASES
from dosefind import Power
from dosefind.blocks.fingerprint import package_hash
from dosefind.calibration import source
from dosefind.calibration.engines import ENGINES, ByNuts, ByQuadrature, checked_layout
from dosefind.calibration.sbc import described
from dosefind.calibration.source import reached, source_hash, texts
from dosefind.designs import design_from_rule

from .peers import ROOT
from .planted import faults
from .test_architecture import FLOORS

TEXTS = texts()
# Of those that no other tool uses, for noting what runs.
TOOL = 4
CLASSES = {name: (ENGINES[case.engine].__name__, type(case.model).__name__) for name, case in CASES.items()}
NOW = {classes: reached(classes, TEXTS) for classes in sorted(set(CLASSES.values()))}
SAMPLED = ("power-nuts", "logistic-2-mixture-nuts", "hierarchical-exnex-nuts")
# Which of these a change must be seen in, and no other.
KINDS = {name: CLASSES[name] for name in ("power-quadrature", "power-nuts", "logistic-quadrature", "logistic-2-quadrature")}
KINDS["hierarchical"] = CLASSES["hierarchical-ex-nuts"]
QUADRATURE = {name for name in KINDS if name.endswith("quadrature")}
ONE = {"power-quadrature", "power-nuts", "logistic-quadrature"}
POWER, NUTS = {"power-quadrature", "power-nuts"}, {"power-nuts", "hierarchical"}


def edited(module, old, new):
    text = TEXTS[module]
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {module}"
    return {**TEXTS, module: text.replace(old, new)}


def renamed(old, new):
    found = {module: re.sub(rf"\b{old}\b", new, text) for module, text in TEXTS.items()}
    assert found != TEXTS
    assert not any(re.search(rf"\b{new}\b", text) for text in TEXTS.values())
    return found


def renamed_in(module, start, end, names):
    """Rename variables from one text of a module to another."""
    text = TEXTS[module]
    first = text.index(start)
    last = text.index(end, first)
    found = text[first:last]
    for old, new in names.items():
        assert re.search(rf"\b{old}\b", found)
        found = re.sub(rf"(?<!\.)\b{old}\b", new, found)
    return {**TEXTS, module: text[:first] + found + text[last:]}


def without(module, start, end):
    """Take out a passage, and return the text without it and the passage."""
    text = TEXTS[module]
    first = text.index(start)
    last = text.index(end, first)
    return text[:first] + text[last:], text[first:last]


def moved(module, start, end, before):
    """Put a passage of a module before another."""
    rest, passage = without(module, start, end)
    assert rest.count(before) == 1
    return {**TEXTS, module: rest.replace(before, passage + before)}


def changed_in(found):
    return {name for name, classes in KINDS.items() if computed(reached(classes, found)) != computed(NOW[classes])}


def computed(definitions):
    return [text for _, text in definitions]


WORDS = {
    "docstring of a method": partial(
        edited, "models.base", "Return the decreasing function u(p), a scale on which b is a shift.", "The scale of the curve."
    ),
    "docstring of a module": partial(edited, "posterior.exact", '"""The posterior by quadrature: exact', '"""Quadrature: exact'),
    "comment": partial(edited, "posterior.quadrature", "# Below this, only rounding and truncation remain.", "# The floor."),
    "comment in a function": partial(
        edited, "posterior.quadrature", "# exp is several times slower if it underflows.", "# Slow there."
    ),
    "layout": partial(
        edited,
        "posterior.quadrature",
        "    return share[:, None] * (2 * grid.largest)",
        "\n    return (share[:, None] * (2 * grid.largest))",
    ),
    "sentence about the prior": partial(
        edited, "models.base", "its parameter has a normal prior with mean 0", "the prior of its parameter has mean 0"
    ),
    "sentence about a curve": partial(
        edited, "models.base", "{curve}, skeleton {levels}; {prior}.", "{curve} with skeleton {levels}: {prior}."
    ),
    "title of a curve": partial(edited, "models.power", '"Power curve"', '"Empiric curve"'),
    "source of a curve": partial(edited, "models.power", "\"O'Quigley and Shen (1996), doi", "\"O'Quigley & Shen (1996), doi"),
    "error message": partial(edited, "models.base", "must be [low, high] with low below high", "must increase"),
    "error message of an engine": partial(
        edited, "posterior.quadrature", "within {width:g} prior standard deviations", "within {width:g} sd"
    ),
    "problem in words": partial(edited, "posterior.mcmc", "the chains do not agree", "chains disagree"),
    "annotation of an argument": partial(
        edited, "posterior.quadrature", "bound: np.ndarray | float) -> np.ndarray:", "bound: object) -> object:"
    ),
    "annotation of a variable": partial(edited, "posterior.mcmc", "self.compiled: Any = nutpie", "self.compiled: object = nutpie"),
    "import for types": partial(edited, "models.base", "from pymc import Model", "from pymc import Model as Model"),
    "private function": partial(renamed, "_exactly", "_in_double_precision"),
    "private function of another module": partial(renamed, "_mean_and_sd", "_two_moments"),
    "private function imported under its name": partial(renamed, "_log_binomial", "_likelihood"),
    "private method": partial(renamed, "_focused", "_on_a_box"),
    "private class": partial(renamed, "_Grid", "_Lattice"),
    "private constant": partial(renamed, "_CORRECTIONS", "_STEPS"),
    "private attribute": partial(renamed, "_theta", "_drawn_parameters"),
    "variable": partial(renamed_in, "posterior.quadrature", "def _sums(", "def _beyond(", {"apart": "gap"}),
    "variable of a loop": partial(renamed_in, "posterior.exact", "def root(", "def _spread(", {"step": "iteration"}),
    "variables that exchange their names": partial(
        renamed_in, "posterior.exact", "def root(", "def _spread(", {"at_low": "x", "at_high": "at_low", "x": "at_high"}
    ),
    "variable of a comprehension": partial(renamed_in, "calibration.engines", "def _below(", "def _reaches(", {"rate": "limit"}),
    "variable of an enclosed function": partial(
        renamed_in, "calibration.engines", "def _reaches(", "def _seed(", {"others": "rest"}
    ),
    "enclosed function": partial(renamed_in, "calibration.engines", "def _reaches(", "def _seed(", {"beyond": "above"}),
    "name of a module imported in a function": partial(
        renamed_in, "models.base", "import pymc as pm", "def starts(", {"pm": "sampler"}
    ),
    "order of functions": partial(moved, "posterior.quadrature", "def _sums(", "def _difference(", "def _lattice("),
    "order of methods": partial(
        moved, "posterior.exact", "    def shares(", "\n\n@lru_cache(maxsize=32)\ndef _quadrature", "    def expect("
    ),
    "method that no engine uses": partial(
        edited,
        "models.base",
        "    def prior_sentence(",
        "    @property\n    def half(self) -> float:\n        return 0.5\n\n    def prior_sentence(",
    ),
    "method that engines do not use": partial(edited, "models.base", "for times in (0.5, 2.0):", "for times in (0.25, 4.0):"),
    "curve that is not the model": lambda: {**TEXTS, "models.other": TEXTS["models.power"].replace("class Power", "class Other")},
}
COMPUTED = {
    "constant": (partial(edited, "posterior.quadrature", "SAFETY = 2.0", "SAFETY = 3.0"), QUADRATURE),
    "constant of several": (partial(edited, "posterior.quadrature", "8.0, 4 / 3", "8.0, 3 / 2"), QUADRATURE),
    "number in a function": (partial(edited, "models.base", "return (1 / 6,)", "return (1 / 5,)"), ONE & QUADRATURE),
    "operator": (partial(edited, "models.base", "b = self.scale(rate) - at", "b = self.scale(rate) + at"), ONE & QUADRATURE),
    "comparison": (partial(edited, "posterior.exact", "left, right = at_low >= 0,", "left, right = at_low > 0,"), QUADRATURE),
    "called function": (partial(edited, "models.power", "return np.log(-np.log(p))", "return np.log(-np.log1p(p))"), POWER),
    "variable that is used": (
        partial(edited, "posterior.exact", "else low - at_low * (high", "else low - at_high * (high"),
        QUADRATURE,
    ),
    "order of arguments": (
        partial(edited, "posterior.quadrature", "replace(self._made(index, n_coarse,", "replace(self._made(n_coarse, index,"),
        QUADRATURE,
    ),
    "parameter, by whose name it can be called": (
        partial(edited, "calibration.engines", "seed: int, index: int) -> np", "index: int, seed: int) -> np"),
        set(KINDS),
    ),
    "argument called by name": (partial(edited, "posterior.exact", "return_inverse=True", "return_index=True"), QUADRATURE),
    "text without a blank": (
        partial(edited, "models.two_parameter", '"c,cij->ij"', '"c,cij->ji"'),
        {"hierarchical"},
    ),
    "called private function": (
        partial(edited, "calibration.engines", "rank = _placed(likelihood,", "rank = _below(likelihood,"),
        QUADRATURE,
    ),
    "called method": (
        partial(edited, "posterior.quadrature", "columns = self._integrands(z, steps)", "columns = self._lattice(z, steps)"),
        QUADRATURE,
    ),
    "default": (
        partial(
            edited,
            "posterior.exact",
            "y: np.ndarray, tolerance: float = REPORTED) -> tuple",
            "y: np.ndarray, tolerance: float = 1e-3) -> tuple",
        ),
        QUADRATURE,
    ),
    "default of a setting": (partial(edited, "posterior.mcmc", "target_accept: float = 0.9", "target_accept: float = 0.8"), NUTS),
    "default of the prior": (partial(edited, "models.base", "] = 1.34**0.5", "] = 1.3**0.5"), ONE),
    "bound of a setting": (
        partial(
            edited, "models.base", "prior_sd: Annotated[float, Field(gt=0, le=10", "prior_sd: Annotated[float, Field(gt=0, le=99"
        ),
        ONE,
    ),
    "class attribute": (
        partial(edited, "models.base", "rises: ClassVar[bool] = False", "rises: ClassVar[bool] = True"),
        ONE,
    ),
    "name of a parameter": (partial(edited, "models.base", '= ("b",)', '= ("beta",)'), ONE),
    "import that no engine uses": (
        partial(edited, "posterior.exact", "from scipy.special import expit", "from scipy.special import ndtr as expit"),
        set(),
    ),
    "import that is used": (partial(edited, "models.base", "import ndtr, ndtri", "import ndtr, logit as ndtri"), ONE & QUADRATURE),
    "import in a function": (
        partial(edited, "models.base", "import pytensor.tensor as pt\n\n        n, y", "import numpy as pt\n\n        n, y"),
        NUTS,
    ),
    "decorator": (partial(edited, "posterior.exact", "@lru_cache(maxsize=32)\ndef exact_fit", "def exact_fit"), QUADRATURE),
    "base class": (
        partial(edited, "posterior.exact", "class ExactPosterior(Posterior)", "class ExactPosterior(ExactFit)"),
        QUADRATURE,
    ),
    "order of statements": (
        partial(edited, "posterior.exact", "        at_low, at_high = function(low), function(high)\n    left", "    left"),
        QUADRATURE,
    ),
    "method of a model alone": (
        partial(edited, "models.logistic", "return (1 / 12,)", "return (1 / 11,)"),
        {"logistic-quadrature"},
    ),
    "overridden method": (
        partial(edited, "models.power", "    def log_at(", "    def coordinates(self):\n        return 0\n\n    def log_at("),
        POWER,
    ),
    "method that the language calls": (
        partial(edited, "models.power", "    def log_at(", "    def __hash__(self):\n        return 0\n\n    def log_at("),
        POWER,
    ),
    "validator that changes the settings": (
        partial(
            edited,
            "models.power",
            "    def log_at(",
            "    @model_validator(mode='after')\n    def other(self):\n        return Power(skeleton=(0.1,))\n\n    def log_at(",
        ),
        POWER,
    ),
    "validator that changes an attribute": (
        partial(
            edited,
            "models.power",
            "    def log_at(",
            "    @model_validator(mode='after')\n    def other(self):\n        setattr(self, 'b', 1)\n        return self\n\n"
            "    def log_at(",
        ),
        POWER,
    ),
    "statement at import": (partial(edited, "models.power", "class Power(", "np.seterr(all='ignore')\n\nclass Power("), POWER),
    "method of several trials": (
        partial(edited, "models.hierarchical", "dose * self.infusions for", "dose + self.infusions for"),
        {"hierarchical"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("changed", WORDS.values(), ids=WORDS)
def test_words_and_private_names_do_not_count(changed):
    assert changed_in(changed()) == set()


@pytest.mark.parametrize(("changed", "of"), COMPUTED.values(), ids=COMPUTED)
def test_changed_computation_counts_where_it_is_used(changed, of):
    assert changed_in(changed()) == of


def test_private_functions_that_change_places_count():
    """Their names say nothing, what they do does."""
    swapped = {
        module: re.sub(r"\b(_exactly|_roughly)\b", lambda found: {"_exactly": "_roughly", "_roughly": "_exactly"}[found[0]], text)
        for module, text in TEXTS.items()
    }
    assert changed_in(swapped) == set()
    called = re.sub(
        r"lambda \*block: _exactly\(grid, \*block\)", "lambda *block: _roughly(grid, *block)", TEXTS["posterior.quadrature"]
    )
    assert called != TEXTS["posterior.quadrature"]
    assert changed_in({**TEXTS, "posterior.quadrature": called}) == QUADRATURE


def executed(name):
    """Functions that one data set of a case runs, of the modules that are followed."""
    files = {str(source.PACKAGE / f"{module.replace('.', '/')}.py"): module for module in TEXTS}
    found = set()

    def note(code, _):
        module = files.get(code.co_filename)
        if module is not None:
            found.add(f"{module}:{code.co_qualname.partition('.<locals>')[0]}")
        # Once for each function, so that compiling a model is not slowed down.
        return sys.monitoring.DISABLE

    case = CASES[name]
    engine = ENGINES[case.engine](case.model)
    layout = checked_layout(case.model, case.layouts["fixed"], "fixed")
    # What has been worked out before would not run again.
    for kept in ("exact", "mcmc", "hierarchical"):
        for value in vars(sys.modules[f"dosefind.posterior.{kept}"]).values():
            if callable(getattr(value, "cache_clear", None)):
                value.cache_clear()
    sys.monitoring.use_tool_id(TOOL, __name__)
    sys.monitoring.register_callback(TOOL, sys.monitoring.events.PY_START, note)
    try:
        sys.monitoring.set_events(TOOL, sys.monitoring.events.PY_START)
        sys.monitoring.restart_events()
        engine.one(layout, "fixed", 1, 0)
    finally:
        sys.monitoring.set_events(TOOL, 0)
        sys.monitoring.free_tool_id(TOOL)
    return found


@pytest.mark.parametrize(
    "name",
    [*(name for name in CASES if name.endswith("quadrature")), *(pytest.param(name, marks=pytest.mark.slow) for name in SAMPLED)],
)
def test_whatever_runs_is_reached(name):
    found = executed(name)
    assert len(found) > 30
    assert {one for one in found if "<" not in one} <= {place for place, _ in NOW[CLASSES[name]]}


def test_engines_and_models_have_hashes_of_their_own():
    assert source_hash(ByQuadrature, Power(skeleton=(0.1, 0.3))) == source_hash(ByQuadrature, Power(skeleton=(0.2, 0.3)))
    assert len({str(computed(definitions)) for definitions in NOW.values()}) == len(NOW)

    class Other(ByQuadrature):
        def posterior(self, n, y, rng):
            return super().posterior(n, n - y, rng)

    power = Power(skeleton=(0.1, 0.3))
    assert len({source_hash(kind, power) for kind in (ByQuadrature, ByNuts, Other)}) == 3


def test_every_room_on_which_a_result_can_depend_is_in_the_key_of_stored_results(tmp_path, monkeypatch):
    copies = {path.relative_to(ROOT / "dosefind"): path.read_bytes() for path in ROOT.glob("dosefind/**/*.py")}
    for place, content in copies.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(content)
    monkeypatch.setattr("dosefind.blocks.fingerprint.PACKAGE", tmp_path)

    def hashed(place, more):
        (tmp_path / place).write_bytes(copies[place] + more)
        package_hash.cache_clear()
        return package_hash()

    one_per_room = {place.parts[0].removesuffix(".py"): place for place in copies if place.parts[0] != "__init__.py"}
    assert set(one_per_room) == set(FLOORS)
    now = hashed(one_per_room["operating"], b"")
    found = set()
    for room, place in one_per_room.items():
        if hashed(place, b"# A comment.\n") != now:
            found.add(room)
        assert hashed(place, b"") == now
    package_hash.cache_clear()
    # A room imports from lower floors only.
    assert found == {room for room, floor in FLOORS.items() if floor <= FLOORS["operating"]} | {"calibration"}


def test_layouts_are_compared_by_their_settings():
    model = Power(skeleton=(0.1, 0.3))
    one, other = (design_from_rule(rule, max_n=9) for rule in (lambda trial: 1, lambda trial: 2))
    found = described(model, {"a": (3, 3), "b": one})["layout_settings"]
    assert found["a"] == [3, 3]
    assert "max_n=9" in found["b"]
    # No address in memory, and no setting that was not given, so that one that is added later changes nothing.
    assert "0x" not in found["b"]
    assert "max_n_per_dose" not in found["b"]
    assert found["b"] == described(model, {"b": other})["layout_settings"]["b"]
    assert found["b"] != described(model, {"b": design_from_rule(lambda trial: 1, max_n=12)})["layout_settings"]["b"]


FAULTS = {
    "words count": (
        "dosefind.calibration.source:reached",
        lambda old: lambda classes, texts: [("", repr(texts))],
        lambda: test_words_and_private_names_do_not_count(WORDS["docstring of a method"]),
    ),
    "only names count": (
        "dosefind.calibration.source:reached",
        lambda old: lambda classes, texts: [(place, place) for place, _ in old(classes, texts)],
        lambda: test_changed_computation_counts_where_it_is_used(*COMPUTED["constant"]),
    ),
}

test_fault_is_caught = faults(FAULTS)
