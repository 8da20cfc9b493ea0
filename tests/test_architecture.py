"""The map in ARCHITECTURE.md is the building: import order, dependencies, light start, public face."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

import dosefind

from .peers import ROOT

PACKAGE = ROOT / "dosefind"
MAP = (ROOT / "ARCHITECTURE.md").read_text()
FLOORS = {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", MAP, re.MULTILINE)}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path):
    """Full names of everything that a module imports, wherever in the file."""
    package = ("dosefind", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_is_on_the_map():
    assert {room(path) for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "dosefind" or parts[1:] == ["__version__"]:
            continue
        other = parts[1]
        assert other in FLOORS, f"{name} is not in a room of the map"
        assert other == room(path) or FLOORS[other] < FLOORS[room(path)], (
            f"{room(path)} (floor {FLOORS[room(path)]}) imports {name}"
        )


@pytest.mark.parametrize("place", ["show", "plots", "tasks"])
def test_records_are_not_handed_on_as_text(place):
    """What is shown and worked out has records as they are; JSON is made and read with files, by rooms below."""
    for path in (path for path in MODULES if room(path) == place):
        called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert not called & {"json.loads", "json.load", "loads", "TypeAdapter"}, path
        assert not {"json.loads", "json.load"} & set(imported(path)), path


def test_every_dependency_has_its_reason():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # Extras add to what the package can do; those for tests and development do not. One extra may bring another.
    every = project["optional-dependencies"].items()
    extras = {name: [line for line in lines if line[:9] != "dosefind["] for name, lines in every if name not in ("test", "dev")}
    declared = [*project["dependencies"], *(line for lines in extras.values() for line in lines)]
    names = {re.match(r"[\w-]+", line)[0] for line in declared}
    reasons = set(re.findall(r"^\| ([a-z0-9-]+) \| \S", MAP.split("## Dependencies")[1], re.MULTILINE)) - {"package"}
    assert names == reasons
    used = {name.split(".")[0] for path in MODULES for name in imported(path)} - set(sys.stdlib_module_names) - {"dosefind"}
    # The one package that is imported under another name than it is installed.
    assert used <= names | {"docx"}
    # The row of an extra's package says which extra brings it.
    for extra, lines in extras.items():
        for line in lines:
            assert re.search(rf"^\| {re.match(r'[\w-]+', line)[0]} \| extra `{extra}`: ", MAP, re.MULTILINE)


def loaded_by(code):
    script = f"{code}\nimport sys; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())


def test_import_is_light():
    assert not {"numpy", "pydantic", "pandas", "xarray", "pymc", "click"} & loaded_by("import dosefind")
    assert not {"numpy", "pydantic", "pandas", "xarray", "pymc"} & loaded_by("import dosefind.cli")


@pytest.mark.slow
def test_comparison_does_not_load_the_sampler():
    loaded = loaded_by(f"import dosefind as d; d.compare(d.load_protocol({str(ROOT / 'configs' / 'nct05962762.toml')!r}))")
    assert "xarray" in loaded
    assert not {"pymc", "arviz", "pytensor", "matplotlib"} & loaded


def test_quadrature_does_not_load_the_sampler():
    """Nor does the module of the sampler itself, before a model is made."""
    loaded = loaded_by(
        "import numpy as np; import dosefind.posterior.mcmc\n"
        "from dosefind.models import Power; from dosefind.posterior.exact import ExactFit, ExactPosterior\n"
        "ExactPosterior(ExactFit(Power(skeleton=(0.1, 0.3)), (0.3,)), np.array([3, 3]), np.array([0, 1])).quantiles((0.5,))"
    )
    assert "scipy" in loaded
    assert not {"pymc", "arviz", "pytensor", "nutpie", "xarray", "pandas"} & loaded


def test_public_face():
    stub = set(re.findall(r"^from \S+ import (\w+) as \1$", (PACKAGE / "__init__.pyi").read_text(), re.MULTILINE))
    assert stub == set(dosefind.__all__) - {"__version__"}
    for name in dosefind.__all__:
        assert getattr(dosefind, name).__doc__ or name == "__version__"
        assert name in dir(dosefind)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dosefind.nothing  # noqa: B018


@pytest.mark.slow
def test_the_clock_is_not_read():
    for path in MODULES:
        # How long something took is no date.
        assert "time" not in {name.split(".")[0] for name in imported(path) if name != "time.perf_counter"}, path
        assert not re.search(r"\.(now|today|utcnow)\(", path.read_text()), path
