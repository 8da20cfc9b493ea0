"""How often designs select the true MTD with a prior that is tighter or wider than the protocol's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._check import InputError
from ..config import Trial
from ..designs import Design
from ..operating.lattice import lattice
from ..operating.metrics import judged
from ..protocol import Protocol
from ..provenance import named_column
from ..threads import one_thread
from .comparison import standards_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare_priors"]

# What the standard deviations of a prior are multiplied by.
SCALES = (0.5, 2.0)


@one_thread
def compare_priors(trial: Trial | Protocol) -> pd.DataFrame:
    """Compute the probability of selecting the true MTD for each design that has a prior, with a tighter and a wider prior.

    Parameters
    ----------
    trial
        The trial, or its protocol.

    Returns
    -------
    pandas.DataFrame
        One row per design and ``scale`` of the prior's standard deviations; one column ``scenario: NAME`` per scenario, exact.
        Missing where the design cannot begin with such a prior: then no dose that it could start at is admissible. No rows where
        no design has a prior.

    Examples
    --------
    >>> from dosefind import load_trial
    >>> table = compare_priors(load_trial("configs/nct05962762.toml"))
    >>> table.loc[table["design"] == "crm", ["scale", "scenario: middle is MTD"]].round(3).values.tolist()
    [[0.5, 0.548], [2.0, 0.464]]
    """
    import pandas as pd

    trial = Trial.of(trial)
    protocol = trial.protocol
    columns = [named_column("scenario", name) for name in protocol.scenarios]
    rows = [
        {"design": name, "scale": scale} | dict(zip(columns, chances, strict=True))
        for name, design in trial.without_calendar.items()
        for scale in SCALES
        if (chances := _correct(protocol, design, scale)) is not None
    ]
    return pd.DataFrame(rows, columns=["design", "scale", *columns])


def _correct(protocol: Protocol, design: Design, scale: float) -> np.ndarray | None:
    """Return the probability of selecting the true MTD in each scenario; ``None`` if the design has no prior."""
    truths, standards = protocol.truths, standards_of(protocol)
    try:
        varied = design.with_prior(scale)
    except InputError:
        return np.full(len(truths), np.nan)
    if varied is None:
        return None
    return judged(lattice(varied).figures(truths, standards.overdose_limit)["selected"], truths, standards)["correct"]
