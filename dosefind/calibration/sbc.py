"""Simulation-based calibration of a model: run it, compare with uniform distributions, label the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._check import InputError, Problem, of_type, one_of, probability, whole
from ..blocks import run
from ..blocks.fingerprint import UnknownError
from ..models import Curve, HierarchicalHazard, HierarchicalLogistic
from ..posterior.mcmc import LAST_SEED, NutsSettings
from ..provenance import sampler_versions, versions
from ..threads import one_thread
from .bands import POINTS, bands, excess, histogram
from .engines import ENGINES, Engine, Layout, Model, checked_layout
from .jobs import DataSets
from .source import source_hash

if TYPE_CHECKING:
    import xarray as xr
    from distributed import Client

__all__ = ["calibrate", "described", "summarised"]


@one_thread
def calibrate(
    model: Model,
    layouts: Mapping[str, Layout],
    *,
    engine: str | type[Engine] | None = None,
    n_sets: int = 200,
    seed: int = 1,
    level: float = 0.01,
    settings: NutsSettings | None = None,
    workers: int | Client = 1,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Run simulation-based calibration, which checks whether an engine's posterior is that of the model.

    Parameters are drawn from the prior and data from the parameters, and the engine gives the position of the parameters in its
    posterior: a number that is uniform between 0 and 1, for every quantity, if the posterior is correct. Its empirical
    distribution function over many data sets is compared with simultaneous bands.

    Parameters
    ----------
    model
        A dose-toxicity curve with its prior, or a hierarchical model.
    layouts
        Assignment of patients to doses, each with a name of your own: patients per dose, or a design. For a hierarchical
        model, each layout is a table from the name of a trial to its own assignment.
    engine
        "quadrature" or "nuts" for a curve, "hierarchical-nuts" for a hierarchical model, or a class derived from
        `dosefind.calibration.engines.Engine`; by default quadrature if it is available for the model.
    n_sets
        Number of data sets per layout.
    seed
        Seed. The same seed gives each engine of a model the same data sets.
    level
        Probability that a correct posterior is rejected, for all quantities and layouts together (Bonferroni).
    settings
        Sampler settings, for NUTS.
    workers
        Number of processes, or a Dask client; the result does not depend on it.
    cache
        Folder in which completed results are stored: an interrupted run continues from there. A file that has changed since it
        was written is rejected, and so is a result of other settings or versions, or of code that has changed, including
        functions and constants used by a class or design of your own. What these read from files or the environment is not
        detected. If they use an object that cannot be compared, a warning says so, and the folder is not used.
    progress
        Called with the number of data sets done and of all.

    Returns
    -------
    xarray.Dataset
        ``pit`` (layout, set, quantity), the position of the true value in the posterior, and ``resolution``, its numerical
        error or the step of its rank; ``ecdf`` (layout, quantity, at), the empirical distribution function of the former, with
        its band ``lower``, ``upper`` (at); ``excess`` (layout, quantity), the distance by which it leaves the band, and
        ``passed``, whether it does not.

    Raises
    ------
    InputError
        If the engine does not support the model, or a layout does not fit the model.

    Examples
    --------
    >>> from dosefind import Power
    >>> found = calibrate(Power(skeleton=(0.1, 0.3)), {"three each": (3, 3)}, n_sets=50)
    >>> found.passed.sel(layout="three each").to_series().to_dict()
    {'b': True, 'p_1': True, 'p_2': True, 'log_likelihood': True}
    """
    whole("n_sets", n_sets, 20)
    whole("seed", seed, 0, LAST_SEED)
    probability("level", level)
    kind, checked, settings = _checked(model, layouts, engine, settings)
    jobs = [DataSets(kind, model, settings, label, layout, seed) for label, layout in checked.items()]
    made: list[np.ndarray] = []
    done = 0
    with closing(run(jobs, n_sets, workers, cache)) as results:
        for result in results:
            made.append(result)
            done += len(result)
            if progress is not None:
                progress(done, n_sets * len(jobs))
    rows = np.concatenate(made).reshape(len(jobs), n_sets, *made[0].shape[1:])
    names = kind(model, settings).quantities
    stamp = {"n_sets": n_sets, "seed": seed, "level": level, **dict(_described(kind, model, checked, settings))}
    return summarised(rows, list(checked), list(names), level).assign_attrs(stamp)


def described(
    model: Model, layouts: Mapping[str, Layout], *, engine: str | type[Engine] | None = None, settings: NutsSettings | None = None
) -> dict[str, Any]:
    """Return the identity of a result of `calibrate`, besides seed and number of sets: it is valid while only versions change.

    Parameters
    ----------
    model, layouts, engine, settings
        See `calibrate`.
    """
    kind, checked, settings = _checked(model, layouts, engine, settings)
    return dict(_described(kind, model, checked, settings))


@one_thread
def summarised(rows: np.ndarray, labels: list[str], names: list[str], level: float) -> xr.Dataset:
    """Return the labelled result of rows ``(layouts, sets, 2, quantities)``; see `calibrate`."""
    from ..results import Dataset

    pit, n_sets = rows[:, :, 0], rows.shape[1]
    each = level / (len(labels) * len(names))
    counted = histogram(np.swapaxes(pit, 1, 2))
    beyond, (lower, upper) = excess(counted, each), bands(n_sets, each)
    data = {
        "pit": (("layout", "set", "quantity"), pit, "posterior mass below the true value"),
        "resolution": (("layout", "set", "quantity"), rows[:, :, 1], "numerical error of the PIT value, or the step of its rank"),
        "ecdf": (
            ("layout", "quantity", "at"),
            counted.cumsum(axis=-1)[..., :-1] / n_sets,
            "proportion of the data sets whose PIT value is below",
        ),
        "lower": (("at",), lower, f"lower band of the distribution function, left with probability {each:.2g} per quantity"),
        "upper": (("at",), upper, "upper band"),
        "excess": (
            ("layout", "quantity"),
            beyond,
            "distance by which the distribution function leaves its band; negative: distance inside",
        ),
        "passed": (("layout", "quantity"), beyond <= 0, "the distribution function stays within its band"),
    }
    return Dataset(
        {name: (dims, values, {"definition": words}) for name, (dims, values, words) in data.items()},
        coords={"layout": labels, "set": np.arange(n_sets), "quantity": names, "at": np.arange(1, POINTS) / POINTS},
        attrs={"method": "simulation-based calibration"},
    )


def _described(
    kind: type[Engine], model: Model, layouts: Mapping[str, Any], settings: NutsSettings | None
) -> Iterator[tuple[str, Any]]:
    yield "engine", kind.name
    yield "model", "\n".join(model.sentences())
    yield "model_settings", repr(model)
    yield "layouts", {label: _words(layout) for label, layout in layouts.items()}
    yield "layout_settings", {label: _settings(layout) for label, layout in layouts.items()}
    yield "settings", vars(settings) if settings else {}
    try:
        yield "source", source_hash(kind, model)
    except UnknownError as error:
        yield "source", f"unknown: it depends on {error}"
    yield "versions", versions() | (sampler_versions() if settings else {})


def _checked(model: Any, layouts: Any, engine: Any, settings: Any) -> tuple[type[Engine], dict[str, Any], NutsSettings | None]:
    """Return the engine, layouts and settings of a model after checking them."""
    kind = _kind(model, engine)
    if settings is not None:
        of_type("settings", settings, NutsSettings, "from dosefind.posterior.mcmc")
        if kind.settings_by_default is None:
            raise InputError(Problem("settings", settings, f"have no effect with the engine {kind.name!r}"))
    of_type("layouts", layouts, Mapping, "a name to patients for each dose or a design")
    if not layouts:
        raise InputError(Problem("layouts", {}, "must have at least one entry"))
    checked = {label: checked_layout(model, layout, f"layouts.{label}") for label, layout in layouts.items()}
    return kind, checked, settings or kind.settings_by_default


def _kind(model: Any, engine: Any) -> type[Engine]:
    if not isinstance(model, Curve | HierarchicalLogistic):
        raise InputError(Problem("model", model, "must be a dose-toxicity curve, such as Power(...), or a HierarchicalLogistic"))
    if isinstance(engine, type) and issubclass(engine, Engine):
        kind = engine
    else:
        fitting = [name for name, engine in ENGINES.items() if isinstance(model, engine.takes)]
        kind = ENGINES[one_of("engine", fitting[0] if engine is None else engine, fitting)]
    of_type("model", model, kind.takes, f"the engine {kind.name!r} supports no other")
    if isinstance(model, Curve) and model.counted is not model:
        raise InputError(Problem("model", model.kind, "must have the DLT probability of the course: data sets have whole courses"))
    if isinstance(model, HierarchicalHazard) and model.courses:
        raise InputError(Problem("model.courses", len(model.courses), "must be empty: data sets are simulated"))
    return kind


def _words(layout: Any) -> Any:
    """Return a layout as shown in a file: patients per dose, or the rules of a design."""
    if isinstance(layout, Mapping):
        return {name: _words(part) for name, part in layout.items()}
    return list(layout) if isinstance(layout, tuple) else [layout.title, *layout.rules()]


def _settings(layout: Any) -> Any:
    """Return a layout by its settings: patients per dose, or the settings given to a design."""
    if isinstance(layout, Mapping):
        return {name: _settings(part) for name, part in layout.items()}
    if isinstance(layout, tuple):
        return list(layout)
    given = {name: getattr(layout, name) for name in sorted(layout.model_fields_set)}
    shown = ", ".join(f"{name}={value.__name__ if callable(value) else repr(value)}" for name, value in given.items())
    return f"{type(layout).__name__}({shown})"
