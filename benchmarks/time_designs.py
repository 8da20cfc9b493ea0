"""What designs that decide with outcomes pending save in time, and what they cost: the table of the page on TITE-BOIN and TITE-CRM.

Run: ``python -m benchmarks.time_designs [trials]``. It prints the table in Markdown: NCT05962762 (one infusion, DLT window of 28
days) and NCT05948982 (a course of three infusions, 84 days), with one, two and four candidates per 28 days, two scenarios, every
design beside its own version on complete data. Designs that wait treat dose groups one after the other, as the protocols have it;
those that decide with outcomes pending are shown with dose groups that may overlap. Cohorts are those of the protocols; TITE-CRM
and the CRM are shown one by one too. Monte Carlo standard errors are in parentheses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import xarray as xr

import dosefind as dsf

TRIALS, SEED = 2_000, 1
RATES = (1.0, 2.0, 4.0)
SCENARIOS = ("middle is MTD", "low")
CRM = {"kind": "tite-crm", "skeleton": {"halfwidth": 0.05, "mtd_level": 2}, "safety_cutoff": 0.95, "safety_by": "beta"}
DESIGNS: dict[str, dict[str, Any]] = {
    "3+3": {"kind": "3+3"},
    "rolling-6": {"kind": "rolling-6", "strict": False},
    "boin": {"kind": "boin"},
    "tite-boin-imputation": {"kind": "tite-boin", "rule": "imputation"},
    "tite-boin-app-2025": {"kind": "tite-boin", "rule": "app-2025"},
    "tite-boin-ess": {"kind": "tite-boin", "rule": "ess"},
    "tite-crm": CRM,
    "tite-crm-1": CRM | {"cohort_size": 1},
}
WORDS = {
    "rolling-6": "rolling six",
    "boin": "BOIN",
    "tite-boin-imputation": "TITE-BOIN, imputation",
    "tite-boin-app-2025": "TITE-BOIN, app-2025",
    "tite-boin-ess": "TITE-BOIN, ess",
    "tite-crm": "TITE-CRM",
    "tite-crm, complete data": "CRM",
    "tite-crm-1": "TITE-CRM, one by one",
    "tite-crm-1, complete data": "CRM, one by one",
}
COLUMNS = ("days", "correct", "dlts", "turned_away", "decisions", "with_pending", "bold")
HEADS = ("days", "correct, %", "DLTs", "turned away", "decisions", "of them with outcomes pending", "too bold")


def calendar(name: str, trials: int) -> xr.Dataset:
    """Return the calendar of a protocol with these designs."""
    table = dsf.load_trial(f"configs/{name}.toml").protocol.model_dump(exclude_unset=True)
    table |= {"designs": DESIGNS, "assumed": {}, "binding": "3+3", "curves": {}}
    protocol = dsf.Protocol.read({key: value for key, value in table.items() if key != "borrowing"})
    return dsf.calendar(protocol, n_trials=trials, seed=SEED, per_28_days=RATES, scenarios=SCENARIOS)


def rows(name: str, made: xr.Dataset) -> Iterator[dict[str, str]]:
    """Yield the values of each scenario, rate and design of a protocol."""
    for scenario in SCENARIOS:
        for rate in RATES:
            for design in map(str, made["design"].values):
                timed = made["reads"].sel(design=design) != "complete"
                own = made.sel(overlap="if allowed" if timed else "as written", accrual=rate, design=design, scenario=scenario)
                place = {"protocol": name, "scenario": scenario, "rate": f"{rate:g}", "design": WORDS.get(design, design)}
                yield place | {column: _cell(own, column) for column in COLUMNS}


def tables(found: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield the lines of a table of durations, and of one of what they cost in the first scenario."""
    designs = list(dict.fromkeys(row["design"] for row in found))
    yield f"| protocol | scenario | candidates per 28 days | {' | '.join(designs)} |"
    yield f"|{'---|' * (3 + len(designs))}"
    for _, of_rate in groupby(found, key=lambda row: (row["protocol"], row["scenario"], row["rate"])):
        own = list(of_rate)
        yield f"| {' | '.join([own[0]['protocol'], own[0]['scenario'], own[0]['rate'], *(row['days'] for row in own)])} |"
    yield ""
    names = ("protocol", "rate", "design", *COLUMNS[1:])
    yield f"| protocol | candidates per 28 days | design | {' | '.join(HEADS[1:])} |"
    yield f"|{'---|' * len(names)}"
    for row in found:
        if row["scenario"] == SCENARIOS[0] and row["rate"] != f"{RATES[0]:g}":
            yield f"| {' | '.join(row[name] for name in names)} |"


def _cell(own: xr.Dataset, column: str) -> str:
    """Return a value with its standard error, none where it is exact."""
    value, error = (float(own[part].sum() if part == "dlts" else own[part].max()) for part in (column, f"{column}_se"))
    digits, times = {"days": (0, 1), "correct": (1, 100)}.get(column, (2, 1))
    if column == "dlts":
        # The sum over doses, which are not independent, has no standard error of its own here.
        return f"{value:.2f}"
    return f"{times * value:.{digits}f}" + (f" ({times * error:.{digits}f})" if error else "")


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS
    found = [row for name in ("nct05962762", "nct05948982") for row in rows(name.upper(), calendar(name, trials))]
    print(*tables(found), sep="\n")


if __name__ == "__main__":
    main()
