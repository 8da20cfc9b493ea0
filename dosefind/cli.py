"""The command line: open a file, call a task, print. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import atexit
import contextlib
import gc
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__, terminal
from .interruption import Ended, raised, written
from .threads import hold_one_thread

if TYPE_CHECKING:
    import pandas as pd

    from .borrowing import Borrowing
    from .chain import Chain
    from .config import Trial
    from .protocol import Protocol
    from .show.content import Page
    from .tasks import NextDose
    from .trial import Cohort

__all__ = ["main"]

# Before a command imports NumPy.
hold_one_thread()


class _Command(click.Command):
    """A command whose texts are read as UTF-8 where the locale could not read them. Paths stay as the system names them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for name, value in ctx.params.items():
            if isinstance(value, str):
                ctx.params[name] = terminal.argument(value)
            elif isinstance(value, tuple):
                ctx.params[name] = tuple(terminal.argument(one) if isinstance(one, str) else one for one in value)
        ctx.meta["cache"] = ctx.params.get("cache")
        return rest


class _Commands(click.Group):
    """Commands whose bad input ends in one line on standard error and exit status 2, and that a signal ends tidily."""

    command_class = _Command

    def command(self, *names: Any, examples: Sequence[str] = (), **settings: Any) -> Any:
        """Return a decorator that makes a command; ``examples`` stand at the end of its help."""
        shown = "\n".join(["\b", "Examples:", *(f"  dosefind {example}" for example in examples)])
        return super().command(*names, epilog=shown if examples else None, **settings)

    def main(self, *args: Any, **settings: Any) -> Any:
        written.set([])
        if not args and settings.get("args") is None and "xarray" not in sys.modules:
            # In the process of a command: xarray would load dask where it is installed, which no command uses.
            sys.modules.setdefault("dask", None)  # type: ignore[arg-type]
        with terminal.guarded():
            try:
                with raised():
                    return super().main(*args, **settings)
            except OSError as error:
                # Help, version and errors of the command line are printed outside a command.
                _say(f"dosefind: error: {error.strerror or error}")
                sys.exit(1)
            except Ended as ended:
                sys.exit(_status(ended))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except ValueError as error:
            from ._check import InputError

            if not isinstance(error, InputError):
                raise
            _say(f"dosefind: error: {error}")
            ctx.exit(2)
        except ArithmeticError as error:
            _say(f"dosefind: error: {error}")
            ctx.exit(1)
        except BrokenPipeError:
            raise
        except OSError as error:
            _say(f"dosefind: error: {error.strerror or error}{_written()}")
            ctx.exit(1)
        except KeyboardInterrupt:
            _say(f"dosefind: interrupted{_written() or ', nothing was written'}{_resumed(ctx)}")
            ctx.exit(130)
        except Ended as ended:
            ctx.exit(_status(ended, _resumed(ctx)))


def _written() -> str:
    """Return the files written before a command was interrupted, in words; empty if there are none."""
    return "".join(f", after writing {words}" for words in written.get())


def _resumed(ctx: click.Context) -> str:
    """Return how the command that was interrupted goes on, in words; empty if it begins anew."""
    cache = ctx.meta.get("cache")
    return "" if cache is None else f"; the same command resumes from the blocks completed in {cache}"


def _status(ended: Ended, resumed: str = "") -> int:
    """State that a signal ended the command; return the exit status."""
    _say(f"dosefind: ended by signal {ended.signal}{_written() or ', nothing was written'}{resumed}")
    return 128 + ended.signal


# With colours allowed, click leaves escape sequences in a text alone, so that they are shown and not dropped.
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "color": True}


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="dosefind")
def main() -> None:
    """Compare dose-finding designs for phase 1 trials exactly, and recommend the next dose of a trial."""


_details = click.option("--details", is_flag=True, help="Print all results, rules, definitions and assumptions.")
_config = click.argument("config", type=click.Path(path_type=Path))
_design = click.option("--design", metavar="NAME", help="Name of one of the config's designs.  [required]")


_outcomes = click.option("--outcomes", metavar="TEXT", help="Outcomes so far, such as '1NNN 2NNT'.")
_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="CSV of counts instead: level (or dose), n, dlts; one row per cohort, in the order of treatment.",
)


class _Day(click.DateTime):
    """A day in ISO form, with an example where it is none."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a day such as 2024-03-14.", param, ctx)


_events = click.option("--events", type=click.Path(path_type=Path), help="Adverse events in a separate file, .csv or .xlsx.")
_assessments = click.option(
    "--assessments",
    type=click.Path(path_type=Path),
    help="Assessments of the efficacy endpoint, one row each, as .csv or .xlsx; the config's table efficacy says what is read.",
)
_as_of = click.option(
    "--as-of",
    type=_Day(),
    metavar="YYYY-MM-DD",
    help="Data cutoff date.  [default: the last date in the data, stated as assumed]",
)
_curve = click.option("--curve", metavar="NAME", help="Name of one of the config's curves.  [default: the first]")
_borrow = click.option(
    "--borrow",
    multiple=True,
    metavar="TRIAL=OUTCOMES",
    help="Borrow from a trial of the config's table borrowing: its outcomes, or a CSV of its counts (a name that ends in .csv). "
    "Sampled by PyMC.",
)


def _given(outcomes: str | None, data: Path | None, protocol: Protocol) -> Any:
    """Return the outcomes, from the notation or from a table of counts."""
    from .intake import read_counts

    if outcomes is not None and data is not None:
        raise click.UsageError("--outcomes and --data exclude each other.")
    return read_counts(data, protocol.doses.amounts) if data is not None else outcomes or ""


def _from_patients(
    trial: Trial,
    patients: Path,
    events: Path | None,
    assessments: Path | None,
    as_of: datetime | None,
    *,
    curve: str | None,
    borrows: bool,
    samples: bool,
) -> tuple[list[Cohort], dict[str, Any]]:
    """Return the cohorts of a table of patients, with everything else of them that an analysis uses."""
    from .efficacy.responses import response_outcomes
    from .evaluability import evaluate
    from .intake import read_patients
    from .models import Hazard

    read = read_patients(patients, trial.protocol, events=events, assessments=assessments, progress=_progress("rows"))
    evaluated = evaluate(read, trial.protocol, None if as_of is None else as_of.date())
    rest: dict[str, Any] = {"others": evaluated.beside(), "weighted": evaluated.weighted}
    if trial.protocol.efficacy is not None:
        rest["responses"] = response_outcomes(evaluated, trial.protocol)
    if not borrows:
        rest["administered"] = evaluated.administered
    by_infusion = borrows and trial.borrowing is not None and trial.borrowing.by_infusion
    # A sampled hazard without its courses would be another answer to the same question: the analysis refuses them.
    hazard = isinstance(trial.curves.get(curve or next(iter(trial.curves), "")), Hazard)
    if by_infusion or not (borrows or (samples and not hazard)):
        rest["courses"] = evaluated.courses
    return evaluated.cohorts(), rest


def _borrowed(given: tuple[str, ...], borrowing: Borrowing | None) -> dict[str, Any] | None:
    """Return outcomes of the trials to borrow from, by name; nothing where none were given."""
    from .intake import read_counts

    found: dict[str, Any] = {}
    for one in given:
        name, equals, outcomes = one.partition("=")
        if not equals or name in found:
            raise click.BadParameter(f"{one!r} must be TRIAL=OUTCOMES, each trial once.", param_hint="'--borrow'")
        trial = borrowing.trials.get(name) if borrowing and outcomes.endswith(".csv") else None
        found[name] = outcomes if trial is None else read_counts(_as_path(outcomes), trial.doses)
    return found or None


def _one_design(trial: Trial, name: str | None) -> str:
    """Return the name of the design, which must be given; without it the error lists the designs of the config."""
    from ._check import MISSING, one_of

    return one_of("--design", MISSING, trial.designs) if name is None else name


def _as_path(text: str) -> str:
    """Return a path within a text, as the system names it."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class _Output:
    """Where a command's result goes, and what makes it: the options that every command has."""

    as_json: bool
    seed: int
    out: Path | None
    force: bool

    def claim(self, stem: str) -> None:
        """Refuse to overwrite a result's files, before anything is worked out."""
        from . import provenance

        self.claim_names(provenance.file_names(stem))

    def claim_names(self, names: list[str]) -> None:
        """Refuse to overwrite files of these names."""
        from . import provenance

        if self.out is not None:
            provenance.refuse_to_overwrite(self.out, names, self.force)

    def save(self, write: Callable[..., list[str]]) -> None:
        """Write the result where it was asked for."""
        if self.out is not None:
            _say(_in_one_line(f"wrote {', '.join(write(self.out, force=self.force))} to {self.out}"))


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every command has, passed to it as ``output``."""

    @wraps(command)
    def with_output(as_json: bool, seed: int, out: Path | None, force: bool, **own: Any) -> None:
        from ._check import seed_of

        seed_of(seed)
        command(output=_Output(as_json, seed, out, force), **own)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
        click.option(
            "--seed",
            type=click.IntRange(min=0),
            default=1,
            show_default=True,
            help="Seed of whatever is random; exact results do not use it.",
        ),
        click.option("--force", is_flag=True, help="Let --out overwrite."),
        click.option("--out", type=click.Path(path_type=Path), help="Folder for the result as CSV, JSON and NetCDF."),
    ):
        with_output = option(with_output)
    return with_output


def _distributed(command: Callable[..., None]) -> Callable[..., None]:
    """Options of commands that simulate trials in blocks."""
    for option in (
        click.option(
            "--cache",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Folder that keeps completed blocks of 10,000 trials, from which an interrupted simulation is resumed.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 1000),
            default=1,
            show_default=True,
            metavar="N",
            help="Processes that simulate; results do not depend on it.",
        ),
    ):
        command = option(command)
    return command


@main.command(
    examples=("compare configs/nct05962762.toml", "compare configs/nct05962762.toml --method simulate --trials 20000 --details")
)
@_config
@click.option(
    "--method",
    type=click.Choice(["exact", "simulate"]),
    default="exact",
    show_default=True,
    help="Every possible trial, or Monte Carlo.",
)
@click.option("--trials", type=click.IntRange(min=2), help="Trials per scenario, with --method simulate only.  [default: 10000]")
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="GIB",
    help="Maximum memory of an exact enumeration.",
)
@click.option("--optimum", "with_optimum", is_flag=True, help="Print what the primary design gives away to the best policy.")
@_distributed
@_details
@_common
def compare(
    config: Path,
    method: Any,
    trials: int | None,
    memory_limit: float,
    with_optimum: bool,
    workers: int,
    cache: Path | None,
    details: bool,
    output: _Output,
) -> None:
    """Compare the config's designs under its scenarios: correct selection, patients, DLTs, overdoses."""
    from . import provenance, tasks
    from .config import load_trial

    output.claim("compare")
    if not math.isfinite(memory_limit * 2**30):
        raise click.BadParameter("must be a finite number of GiB, above 0.", param_hint="'--memory-limit'")
    if trials is not None and method == "exact":
        raise click.UsageError("--trials has no effect with the exact method: add --method simulate, or leave it out.")
    if method == "exact" and (workers != 1 or cache is not None):
        name = "--workers" if workers != 1 else "--cache"
        raise click.UsageError(f"{name} has no effect with the exact method: add --method simulate, or leave it out.")
    if with_optimum and output.as_json:
        raise click.UsageError("--optimum has no effect with --json: use 'dosefind optimum --json'.")
    trial = load_trial(config)
    trials = 10_000 if trials is None else trials
    if method == "simulate":
        _say(f"simulating {trials:,} trials of each design in each scenario")
    limit, progress = int(memory_limit * 2**30), _progress("designs")
    result = tasks.compare(
        trial,
        method=method,
        n_trials=trials,
        seed=output.seed,
        memory_limit=limit,
        workers=workers,
        cache=cache,
        progress=progress,
    )
    output.save(partial(provenance.save_dataset, result, stem="compare"))
    if output.as_json:
        click.echo(provenance.as_json(result))
        return
    from .show.pages.comparison import comparison
    from .show.terminal import show

    page = comparison(result)
    if with_optimum:
        from .show.pages.optimum import optimum_blocks

        page = replace(page, blocks=(*page.blocks, *optimum_blocks(tasks.optimum(trial))))
    show(page, details)


@main.command(
    name="optimum",
    examples=("optimum configs/nct05962762.toml", "optimum configs/nct05948982.toml --cost-per-dlt 0.02 --details"),
)
@_config
@click.option(
    "--utility",
    type=click.Choice(["correct", "distance", "acceptable"]),
    default="correct",
    show_default=True,
    help="Utility of a conclusion: selecting the true MTD, the distance from the target, an acceptable dose.",
)
@click.option("--cost-per-dlt", type=float, default=0.0, show_default=True, metavar="COST", help="Cost of a DLT, in utility.")
@click.option("--cost-per-patient", type=float, default=0.0, show_default=True, metavar="COST", help="Cost of a patient.")
@click.option(
    "--cost-per-overdose",
    type=float,
    default=0.0,
    show_default=True,
    metavar="COST",
    help="Cost of a patient treated at an overdose.",
)
@click.option(
    "--curves",
    type=click.IntRange(2, 100_000),
    help="True curves that stand for a curve's prior.  [default: 1024, in large problems 256]",
)
@click.option(
    "--memory",
    type=click.FloatRange(0.01, 1024),
    default=2.0,
    show_default=True,
    metavar="GIB",
    help="Maximum memory of the backward induction; larger problems are refused beforehand.",
)
@_details
@_common
def optimum_(
    config: Path,
    utility: Any,
    cost_per_dlt: float,
    cost_per_patient: float,
    cost_per_overdose: float,
    curves: int | None,
    memory: float,
    details: bool,
    output: _Output,
) -> None:
    """Show the best policy under a prior, exactly, and what each of the config's designs gives away."""
    from . import provenance, tasks
    from ._check import InputError
    from .config import load_trial

    output.claim("optimum")
    trial = load_trial(config)
    try:
        result = tasks.optimum(
            trial,
            utility=utility,
            cost_per_dlt=cost_per_dlt,
            cost_per_patient=cost_per_patient,
            cost_per_overdose=cost_per_overdose,
            n_curves=curves,
            memory_limit=int(memory * 2**30),
            progress=_progress("priors"),
        )
    except InputError as error:
        # A key of the config is named with its file.
        of_config = any(problem.where.startswith("limits.") for problem in error.problems)
        raise (InputError(error.problems, source=str(config)) if of_config else error) from None
    output.save(partial(provenance.save_dataset, result, stem="optimum"))
    if output.as_json:
        click.echo(provenance.as_json(result))
        return
    from .show.pages.optimum import optimum
    from .show.terminal import show

    show(optimum(result), details)


@main.command(
    name="calendar",
    examples=(
        "calendar configs/nct05962762.toml",
        "calendar configs/nct05948982.toml --rate 0.5 --rate 2 --trials 10000 --details",
    ),
)
@_config
@click.option("--rate", "rates", type=float, multiple=True, help="Accrual rate in candidates per 28 days; repeat it for several.")
@click.option("--trials", type=click.IntRange(min=2), default=2000, show_default=True, help="Trials per design, rate and scenario.")
@click.option(
    "--cohorts",
    type=click.Choice(["complete", "until-decided"]),
    default="complete",
    show_default=True,
    help="Treat every cohort in full, or end it where no outcome can change the decision.",
)
@click.option("--scenario", help="Scenario of the first screen; by default one whose true MTD is the middle level.")
@_distributed
@_details
@_common
def calendar_(
    config: Path,
    rates: tuple[float, ...],
    trials: int,
    cohorts: Any,
    scenario: str | None,
    workers: int,
    cache: Path | None,
    details: bool,
    output: _Output,
) -> None:
    """Compare the duration of trials by design: duration, candidates turned away, decisions with outcomes pending."""
    from . import provenance, tasks
    from ._check import one_of
    from .config import load_trial

    output.claim("calendar")
    trial = load_trial(config)
    if scenario is not None:
        one_of("--scenario", scenario, trial.protocol.scenarios)
    _say(f"simulating {trials:,} trials of each design at each accrual rate in each scenario")
    progress = _progress("designs")
    result = tasks.calendar(
        trial,
        n_trials=trials,
        seed=output.seed,
        per_28_days=rates or None,
        cohorts=cohorts,
        workers=workers,
        cache=cache,
        progress=progress,
    )
    output.save(partial(provenance.save_dataset, result, stem="calendar"))
    if output.as_json:
        click.echo(provenance.as_json(result))
        return
    from .show.pages.calendar import calendar
    from .show.terminal import show

    show(calendar(result, scenario), details)


@main.command(
    examples=(
        "analyze configs/nct05962762.toml --outcomes '1NNN 2NNN 3NNT'",
        "analyze configs/nct05962762.toml --data counts.csv --curve power --details",
        "analyze configs/nct05948982.toml --patients examples/nct05948982/midway/patients.csv",
    )
)
@_config
@_outcomes
@_data
@click.option(
    "--patients",
    type=click.Path(path_type=Path),
    help="Patients instead of counts, as for 'next': a hazard per infusion uses parts of courses.",
)
@_events
@_assessments
@click.option(
    "--responses",
    metavar="TEXT",
    help="Responses and patients of each dose, such as '0/3 1/6 2/6'; needs the table efficacy of the config.",
)
@_as_of
@_curve
@_borrow
@click.option(
    "--engine",
    type=click.Choice(["quadrature", "nuts"]),
    help="Exact integration, or sampling by PyMC (about 15 s of compilation).  [default: quadrature; nuts with --borrow]",
)
@click.option(
    "--draws",
    type=click.IntRange(min=10),
    help="Draws per chain (four chains), if the posterior is sampled by PyMC.  [default: 1000]",
)
@_details
@_common
def analyze(
    config: Path,
    outcomes: str | None,
    data: Path | None,
    patients: Path | None,
    events: Path | None,
    assessments: Path | None,
    responses: str | None,
    as_of: datetime | None,
    curve: str | None,
    borrow: tuple[str, ...],
    engine: Any,
    draws: int | None,
    details: bool,
    output: _Output,
) -> None:
    """Estimate the DLT rates and the MTD: highest dose within the limit, P(overdose), predicted conclusion of the trial."""
    from . import provenance, tasks
    from .config import load_trial

    output.claim("analyze")
    if draws is not None and engine != "nuts" and not borrow:
        raise click.UsageError("--draws has no effect with quadrature: add --engine nuts, or leave it out.")
    trial = load_trial(config)
    rest: dict[str, Any] = {"responses": responses}
    known = _given(outcomes, data, trial.protocol)
    if patients is not None and responses is not None:
        raise click.UsageError("--patients excludes --responses: give them in columns, or with --assessments.")
    if patients is not None:
        if outcomes is not None or data is not None:
            raise click.UsageError("--patients excludes --outcomes and --data.")
        read = {"curve": curve, "borrows": bool(borrow), "samples": engine == "nuts"}
        known, rest = _from_patients(trial, patients, events, assessments, as_of, **read)
    elif any(option is not None for option in (events, assessments, as_of)):
        raise click.UsageError("--events, --assessments and --as-of need --patients.")
    found = tasks.analyze(
        trial,
        known,
        **rest,
        curve=curve,
        borrow=_borrowed(borrow, trial.borrowing),
        engine=engine,
        draws=draws or 1000,
        seed=output.seed,
        say=_say,
    )
    summary = found.summary.assign_attrs(seed=output.seed)
    output.save(lambda out, force: provenance.save_dataset(summary, out, "analyze", found.tree(seed=output.seed), force=force))
    if output.as_json:
        click.echo(provenance.as_json(summary))
        return
    from .show.pages.analysis import analysis
    from .show.terminal import show

    show(analysis(summary), details)


_measurements = click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    help="Measurements of the endpoints, one row each, as .csv or .xlsx, or a folder with LB, QS, RS, VS or ADLB, ADQS, ADTTE.",
)


def _measured(data: Path, measurements: Path | None, patients: Any, protocol: Protocol) -> Any:
    """Return the measurements of a table or folder of their own, or of the folder of the patients."""
    from .given_files import is_folder
    from .intake import read_measurements

    if measurements is None and not is_folder(data):
        raise click.UsageError("Missing option '--measurements': the table of measurements (or --data is a folder with domains).")
    return read_measurements(data if measurements is None else measurements, patients, protocol)


@main.command(
    name="endpoints",
    examples=(
        "endpoints configs/nct05948982.toml --data patients.csv --measurements measurements.csv --out results",
        "endpoints configs/nct05948982.toml --data sdtm --as-of 2024-03-14 --details",
    ),
)
@_config
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Patients, as for 'next'; a folder may hold the measurements too.",
)
@_events
@_measurements
@_as_of
@_details
@_common
def endpoints_(
    config: Path,
    data: Path,
    events: Path | None,
    measurements: Path | None,
    as_of: datetime | None,
    details: bool,
    output: _Output,
) -> None:
    """Summarize the endpoints by dose and visit: changes from baseline, survival, incidences, missing values."""
    from . import provenance, tasks
    from .config import load_trial
    from .intake import read_patients
    from .tasks.endpoints import TABLES

    output.claim_names(provenance.table_names("endpoints", TABLES))
    trial = load_trial(config)
    patients = read_patients(data, trial.protocol, events=events, progress=_progress("rows"))
    read = _measured(data, measurements, patients, trial.protocol)
    found = tasks.summarize_endpoints(trial, patients, read, None if as_of is None else as_of.date())
    output.save(partial(provenance.save_tables, found.tables, found.attrs, stem="endpoints"))
    if output.as_json:
        click.echo(provenance.tables_as_json(found.tables, found.attrs))
        return
    from .show.pages.endpoints import endpoints
    from .show.terminal import show

    show(endpoints(found), details)


@main.command(
    examples=(
        "settle examples/nct05962762/dose-selection/trial.toml --responses '1/6 3/6 4/6'",
        "settle examples/nct05962762/dose-selection/trial.toml --responses '1/6 3/6 4/6' --levels 2,3 --wanted 0.75",
    )
)
@_config
@click.option("--responses", metavar="TEXT", help="Responses and patients of each dose, such as '0/3 1/6 2/6'.")
@click.option("--patients", type=click.Path(path_type=Path), help="Patients, as for 'next'.")
@_events
@_assessments
@_as_of
@click.option(
    "--levels", metavar="LEVELS", help="Levels to compare, such as 2,3.  [default: the two with the highest response rates]"
)
@click.option(
    "--margin", type=float, default=0.0, show_default=True, help="Difference in response rates that selects a higher dose."
)
@click.option("--wanted", type=float, default=0.8, show_default=True, help="Wanted probability of correct selection.")
@_details
@_common
def settle(
    config: Path,
    responses: str | None,
    patients: Path | None,
    events: Path | None,
    assessments: Path | None,
    as_of: datetime | None,
    levels: str | None,
    margin: float,
    wanted: float,
    details: bool,
    output: _Output,
) -> None:
    """Show how many patients a randomised comparison of doses needs, with the responses of the trial as prior."""
    from . import provenance, tasks
    from .config import load_trial

    output.claim("settle")
    if (responses is None) == (patients is None):
        raise click.UsageError("Give either --responses or --patients.")
    trial = load_trial(config)
    given: Any = responses
    if patients is not None:
        rest = _from_patients(trial, patients, events, assessments, as_of, curve=None, borrows=False, samples=False)[1]
        given = rest.get("responses", "")
    among = None if levels is None else [int(each) for each in _numbers(levels, "--levels")]
    found = tasks.settle(trial, given, levels=among, margin=margin, wanted=wanted)
    stamp = {**tasks.stamp(trial, assesses=True), "method": "exact", "seed": output.seed, **found.attrs}
    output.save(partial(provenance.save_table, found, stamp, stem="settle"))
    if output.as_json:
        click.echo(provenance.as_json(found, stamp))
        return
    from .show.pages.efficacy import settled
    from .show.terminal import show

    show(settled(found, stamp), details)


@main.command(
    examples=(
        "sensitivity configs/nct05962762.toml --outcomes '1NNN 2NNN 3NNT'",
        "sensitivity configs/nct05962762.toml --data counts.csv --details",
    )
)
@_config
@_outcomes
@_data
@_curve
@_borrow
@_details
@_common
def sensitivity(
    config: Path,
    outcomes: str | None,
    data: Path | None,
    curve: str | None,
    borrow: tuple[str, ...],
    details: bool,
    output: _Output,
) -> None:
    """Analyse the sensitivity of the posterior to curve, prior, reference dose, target, limits and borrowing."""
    from . import tasks

    def make(trial: Trial) -> pd.DataFrame:
        given, others = _given(outcomes, data, trial.protocol), _borrowed(borrow, trial.borrowing)
        return tasks.sensitivity(trial, given, curve=curve, borrow=others, seed=output.seed, say=_say)

    def page(table: pd.DataFrame, stamp: Mapping[str, Any]) -> Page:
        from .show.pages.sensitivity import sensitivity

        return sensitivity(table, stamp)

    _tabulate(config, None, "sensitivity", make, page, details, output, borrows=bool(borrow))


@main.command(
    examples=("table configs/nct05962762.toml --design 3+3", "table configs/nct05962762.toml --design boin --out results --details")
)
@_config
@_design
@_details
@_common
def table(config: Path, design: str | None, details: bool, output: _Output) -> None:
    """Show the decision table of a design."""
    from . import tasks

    def make(trial: Trial) -> pd.DataFrame:
        return tasks.decision_table(trial, _one_design(trial, design))

    def page(table: pd.DataFrame, stamp: Mapping[str, Any]) -> Page:
        from .show.pages.table import decision_table

        return decision_table(table, stamp, design=str(design))

    _tabulate(config, design, "table", make, page, details, output)


@main.command(
    examples=(
        "paths configs/nct05962762.toml --design 3+3",
        "paths configs/nct05962762.toml --design crm --cohorts 1 --outcomes '1NNN 2NNT'",
    )
)
@_config
@_design
@click.option("--cohorts", type=click.IntRange(min=1), default=2, show_default=True, help="Cohorts to look ahead.")
@click.option("--outcomes", default="", metavar="TEXT", help="Outcomes so far, such as '1NNN 2NNT'.")
@_details
@_common
def paths(config: Path, design: str | None, cohorts: int, outcomes: str, details: bool, output: _Output) -> None:
    """Show every path of the next cohorts, with the decision after each and its probability in each scenario."""
    from . import tasks

    def make(trial: Trial) -> pd.DataFrame:
        return tasks.paths(trial, _one_design(trial, design), cohorts=cohorts, outcomes=outcomes)

    def page(table: pd.DataFrame, stamp: Mapping[str, Any]) -> Page:
        from .show.pages.paths import paths

        return paths(table, stamp, design=str(design), cohorts=cohorts, outcomes=outcomes)

    _tabulate(config, design, "paths", make, page, details, output)


_patients = click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Patients, one row per patient, as .csv or .xlsx; or a folder with SDTM or ADaM as .xpt or .csv.",
)
_replay = click.option("--replay", is_flag=True, help="Go back to --as-of: leave out what the data say of later days.")
_final = click.option(
    "--final", is_flag=True, help="Final analysis: a possible DLT on a day not known counts as inside the DLT window."
)
_binding = click.option("--design", metavar="NAME", help="Primary design.  [default: the config's]")


def _next(
    config: Path, data: Path, events: Path | None, as_of: datetime | None, replay: bool, design: str | None, final: bool = False
) -> tuple[NextDose, Path]:
    """Return the next step, and the file of the committee's decisions beside the config."""
    from . import tasks
    from .config import load_trial
    from .intake import read_patients

    trial = load_trial(config)
    patients = read_patients(data, trial.protocol, events=events, progress=_progress("rows"))
    decisions, adjudications = config.parent / "decisions.csv", config.parent / "adjudications.csv"
    cut = None if as_of is None else as_of.date()
    found = tasks.next_dose(
        *(trial, patients, cut),
        replay=replay,
        design=design,
        decisions=decisions,
        adjudications=adjudications,
        final=final,
    )
    return found, decisions


@main.command(
    "next",
    examples=(
        "next configs/nct05962762.toml --data examples/nct05962762/midway/patients.csv",
        "next configs/nct05948982.toml --data examples/nct05948982/complete/sdtm-csv --as-of 2024-03-20 --replay --details",
    ),
)
@_config
@_patients
@_events
@_as_of
@_replay
@_final
@_binding
@click.option("--details", is_flag=True, help="Also print rules, paths and the next steps of every design.")
@_common
def next_(
    config: Path,
    data: Path,
    events: Path | None,
    as_of: datetime | None,
    replay: bool,
    final: bool,
    design: str | None,
    details: bool,
    output: _Output,
) -> None:
    """Recommend the next dose of a trial: recommendation of each design, evaluability for DLT, safety, protocol deviations."""
    from . import provenance

    output.claim_names(provenance.table_names("next", _NEXT))
    found, _ = _next(config, data, events, as_of, replay, design, final)
    stamp = {**found.attrs, "seed": output.seed}
    output.save(partial(provenance.save_tables, found.tables, stamp, stem="next"))
    if output.as_json:
        click.echo(provenance.tables_as_json(found.tables, stamp))
        return
    from .show.pages.next_dose import next_dose
    from .show.terminal import show

    show(next_dose(found), details)


@main.command(
    examples=(
        "record trial.toml --data patients.csv --as-of 2024-03-14 --decision 'level 2' --reason 'as recommended'",
        "record trial.toml --data patients.csv --decision 'MTD 2' --reason 'DLT rate at level 3' --meeting 2024-03-20",
    )
)
@_config
@_patients
@_events
@_as_of
@_replay
@_final
@_binding
@click.option(
    "--decision",
    required=True,
    metavar="TEXT",
    help="'level 2', 'wait', 'stop', 'resume' (after a safety pause), 'MTD 2', 'MTD none', 'RP2D 2', 'RP2D none' or "
    "'add dose 0.5'.",
)
@click.option("--reason", required=True, metavar="TEXT", help="Why it was decided so.")
@click.option("--meeting", type=_Day(), metavar="YYYY-MM-DD", help="Date of the meeting.  [default: none is recorded]")
@click.option("--attendees", default="", metavar="TEXT", help="Who attended.")
@click.option("--conditions", default="", metavar="TEXT", help="Conditions of the decision.")
def record(
    config: Path,
    data: Path,
    events: Path | None,
    as_of: datetime | None,
    replay: bool,
    final: bool,
    design: str | None,
    decision: str,
    reason: str,
    meeting: datetime | None,
    attendees: str,
    conditions: str,
) -> None:
    """Add the committee's decision to decisions.csv beside the config, with what was recommended."""
    from .decisions import record_decision
    from .tasks.standing import event_words

    found, path = _next(config, data, events, as_of, replay, design, final)
    met = None if meeting is None else meeting.date()
    recorded = found.record(decision, reason, meeting=met, attendees=attendees, conditions=conditions)
    record_decision(path, recorded)
    said = f"against the recommendation ({recorded.recommendation})" if recorded.override == "yes" else "as recommended"
    _say(_in_one_line(f"recorded in {path}: {recorded.decision}, {said}"))
    _say_altered(found.chains)
    if recorded.about in ("level", "resume") and found.holds.events:
        waiting = "; ".join(event_words(found, event) for event in found.holds.events)
        _say(f"Enrolment stays on hold until adjudication ('dosefind adjudicate') of: {waiting}.")
    if recorded.decision == "resume" and not found.holds.pauses:
        _say("No pause rule has fired, so there is nothing to resume after.")


@main.command(
    examples=(
        "adjudicate trial.toml --data patients.csv --subject A-04 --event death --conclusion DLT \\\n"
        "    --by 'safety committee' --on 2024-03-14 --reason 'related to the infusion'",
        "adjudicate trial.toml --data patients.csv --subject A-06 --event 2024-03-02 --conclusion 'not a DLT' \\\n"
        "    --by 'safety committee' --on 2024-03-14 --reason 'infection, confirmed by culture'",
    )
)
@_config
@_patients
@_events
@_as_of
@_replay
@click.option("--subject", required=True, metavar="ID", help="Identifier of the patient.")
@click.option(
    "--event",
    metavar="DATE_OR_NUMBER",
    help="Start date of the adverse event, its number among the patient's events, 'death', or 'none' for the DLT assessment as a "
    "whole.  [default: the only event of grade 3 or worse, or serious and related]",
)
@click.option(
    "--conclusion",
    required=True,
    type=click.Choice(["DLT", "not a DLT", "not evaluable", "retracted"]),
    help="Conclusion of the adjudication; 'retracted' withdraws the earlier adjudications of the event.",
)
@click.option("--by", required=True, metavar="TEXT", help="Person or committee that adjudicated.")
@click.option("--on", required=True, type=_Day(), metavar="YYYY-MM-DD", help="Date of the meeting or adjudication.")
@click.option("--reason", required=True, metavar="TEXT", help="Reason for the conclusion.")
def adjudicate(
    config: Path,
    data: Path,
    events: Path | None,
    as_of: datetime | None,
    replay: bool,
    subject: str,
    event: str | None,
    conclusion: Any,
    by: str,
    on: datetime,
    reason: str,
) -> None:
    """Add the adjudication of an adverse event, or of a DLT assessment, to adjudications.csv beside the config."""
    from ._check import InputError, Problem
    from .adjudications import Adjudicated, adjudications_on_file, event_to_adjudicate, record_adjudication
    from .config import load_trial
    from .evaluability import evaluate
    from .evaluability.serious import known_at
    from .intake import read_patients
    from .tasks.next_dose import read_checked

    protocol = load_trial(config).protocol
    path = config.parent / "adjudications.csv"
    # Both files are checked as by every command that reads them.
    chains = (adjudications_on_file(path, protocol.record.id)[1], read_checked(config.parent / "decisions.csv", protocol)[1])
    cut = None if as_of is None else as_of.date()
    evaluated = evaluate(read_patients(data, protocol, events=events, progress=_progress("rows")), protocol, cut, replay=replay)
    patient = next((one for one in evaluated.patients if one.subject == subject), None)
    if patient is None:
        raise InputError(Problem("subject", subject, f"must be a patient with an infusion by {evaluated.as_of}"))
    dlt = protocol.in_force(patient.infusions[0]).dlt
    key = event_to_adjudicate(patient, dlt, event)
    adjudicated = Adjudicated(
        as_of=evaluated.as_of,
        adjudicated_on=on.date(),
        protocol=protocol.record.id,
        data_sha256=evaluated.sha256,
        subject=subject,
        event_date=key.date,
        term=key.term,
        grade=key.grade,
        conclusion=conclusion,
        adjudicated_by=by,
        reason=reason,
        **known_at(patient, key, dlt)._asdict(),
    )
    record_adjudication(path, adjudicated)
    about = "DLT assessment" if adjudicated.of_assessment else f"event of {key.date or 'no start date'}"
    grade = "" if key.grade is None else f", grade {key.grade}"
    _say(_in_one_line(f"recorded in {path}: {subject}, {about}{grade}: {conclusion}"))
    _say_altered(chains)


@main.command(
    examples=(
        "synthesize configs/nct05962762.toml --truth 'middle is MTD' --seed 8 --out trial",
        "synthesize configs/nct05962762.toml --truth 0.05,0.15,0.3 --until 2023-11-20 --dropout 0.2 --out trial",
    )
)
@_config
@click.option(
    "--truth", required=True, metavar="TEXT", help="One of the config's scenarios, or one DLT probability per dose: 0.05,0.15,0.3."
)
@click.option(
    "--start", type=_Day(), metavar="YYYY-MM-DD", help="Day on which the trial opens.  [default: the protocol's version date]"
)
@click.option("--until", type=_Day(), metavar="YYYY-MM-DD", help="Stop on this day, with outcomes pending.  [default: the end]")
@click.option("--dropout", type=float, default=0.1, show_default=True, help="Probability of leaving before the DLT window ends.")
@click.option("--deviate", type=float, default=0.1, show_default=True, help="Probability of a deviation, for each kind of it.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(["schedule", "stagger", "dose"]),
    default=("schedule", "stagger"),
    show_default=True,
    help="Deviations: infusion off schedule, staggering interval not kept, dose not in the protocol.",
)
@click.option("--gap", type=float, default=4.0, show_default=True, help="Mean days until the next patient could enter.")
@click.option(
    "--response", help="True response rate (or mean change) of each dose, such as '0.2,0.4,0.5': also simulate the endpoint."
)
@click.option(
    "--endpoints",
    is_flag=True,
    help="Also simulate every parameter of the table endpoints, with follow-up to its last visit.",
)
@_binding
@_common
def synthesize(
    config: Path,
    truth: str,
    start: datetime | None,
    until: datetime | None,
    dropout: float,
    deviate: float,
    kinds: tuple[str, ...],
    gap: float,
    response: str | None,
    endpoints: bool,
    design: str | None,
    output: _Output,
) -> None:
    """Simulate a complete synthetic trial, and write it to --out as CSV and as SDTM."""
    from . import tasks
    from .config import load_trial

    if output.out is None:
        raise click.UsageError("Missing option '--out': the folder for the synthetic trial.")
    output.claim_names([*tasks.SYNTHETIC_FILES, *(tasks.MEASURED_FILES if endpoints else ())])
    trial = load_trial(config)
    made = tasks.synthesize(
        trial,
        _truth(truth, trial.protocol),
        seed=output.seed,
        start=start.date() if start else None,
        until=until.date() if until else None,
        dropout=dropout,
        deviate=deviate,
        kinds=kinds,
        gap=gap,
        design=design,
        response=None if response is None else _numbers(response, "--response"),
        endpoints=endpoints,
    )
    output.save(made.write)
    click.echo(made.as_json() if output.as_json else str(made).rstrip())


def _uncollected(command: Callable[..., None]) -> Callable[..., None]:
    """A command that runs without the search for garbage in cycles: pictures make much that lives until the process ends, and
    looking through it again and again, and once more at the end, takes a fifth of the time.
    """

    @wraps(command)
    def run(*given: Any, **named: Any) -> None:
        was_on = gc.isenabled()
        gc.disable()
        try:
            command(*given, **named)
        finally:
            if was_on:
                # What there is now counts as old, so that it is not looked through at once; nor when the process ends.
                gc.freeze()
                gc.enable()
                gc.unfreeze()
                atexit.register(gc.freeze)

    return run


def _say_written(save: Callable[[], list[str]], folder: Path) -> None:
    """Write files, and say so with every warning."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        # Always: the author of the report must see that a character is in no font.
        warnings.simplefilter("always")
        names = save()
    for one in caught:
        _say(f"Warning: {one.message}.")
    _say(_in_one_line(f"wrote {', '.join(names)} to {folder}"))


def _numbers(text: str, option: str) -> list[float]:
    """Return the numbers in a text, separated by commas."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} must be numbers separated by commas.", param_hint=f"'{option}'") from None


def _truth(text: str, protocol: Protocol) -> Any:
    """Return the name of a scenario, or the probabilities in the text."""
    try:
        return text if text in protocol.scenarios else [float(part) for part in text.split(",")]
    except ValueError:
        return text


@main.command(
    examples=(
        "report configs/nct05962762.toml --out report",
        "report configs/nct05962762.toml --data patients.csv --events events.csv --as-of 2024-03-15 --out report",
    )
)
@_config
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Patients as for next, for the conduct report. Without it, the design report is written.",
)
@_events
@_assessments
@_measurements
@_as_of
@_replay
@_final
@_binding
@_curve
@click.option("--format", "formats", default="html,pdf,docx", show_default=True, help="What to write, separated by commas.")
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the report.")
@_uncollected
def report(
    config: Path,
    data: Path | None,
    events: Path | None,
    assessments: Path | None,
    measurements: Path | None,
    as_of: datetime | None,
    replay: bool,
    final: bool,
    design: str | None,
    curve: str | None,
    formats: str,
    force: bool,
    out: Path,
) -> None:
    """Write a report for the committee: on the design before the first patient, or on the trial at a data cutoff date.

    The report is written as report.html, report.pdf and report.docx, with the same content.
    """
    from . import provenance, show
    from .config import load_trial
    from .intake import read_patients
    from .show.report import can_write

    wanted = [one.strip() for one in formats.split(",")]
    provenance.refuse_to_overwrite(out, can_write(wanted), force)
    options = {
        "--events": events,
        "--assessments": assessments,
        "--measurements": measurements,
        "--as-of": as_of,
        "--replay": replay or None,
        "--final": final or None,
        "--design": design,
    }
    without = [option for option, value in options.items() if value is not None]
    if data is None and without:
        raise click.UsageError(f"{without[0]} has no effect on a design report: add --data, or leave it out.")
    trial = load_trial(config)
    if data is None:
        found = show.report(trial, curve=curve, progress=_progress("designs"))
    else:
        patients = read_patients(data, trial.protocol, events=events, assessments=assessments, progress=_progress("rows"))
        cut = None if as_of is None else as_of.date()
        measured = None if measurements is None else _measured(data, measurements, patients, trial.protocol)
        found = show.report(
            *(trial, patients, cut),
            replay=replay,
            final=final,
            design=design,
            curve=curve,
            decisions=config.parent / "decisions.csv",
            adjudications=config.parent / "adjudications.csv",
            measurements=measured,
        )
    _say_written(lambda: found.save(out, wanted, force=force), out)


@main.command(
    "protocol-text",
    examples=(
        "protocol-text configs/nct05962762.toml --out section.docx",
        "protocol-text configs/nct05962762.toml --design boin --out section.md",
    ),
)
@_config
@_binding
@_curve
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="File for the section, which ends in .docx, .md, .html or .pdf; the pictures of an .md file are written beside it.",
)
@_uncollected
def protocol_text(config: Path, design: str | None, curve: str | None, force: bool, out: Path) -> None:
    """Write the statistical section of a protocol, to be pasted into it, with a query wherever the config assumes something."""
    from . import show
    from .config import load_trial
    from .show.report import can_save_as

    can_save_as(out, force=force)
    found = show.protocol_text(load_trial(config), design=design, curve=curve, progress=_progress("designs"))
    _say_written(lambda: found.save_as(out, force=force), out.parent)


@main.command(examples=("selfcheck", "selfcheck --on 2024-03-14 --out record.pdf"))
@click.option("--on", type=_Day(), metavar="YYYY-MM-DD", help="Date of the record; required with --out.")
@_details
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File for the validation record, which ends in .pdf, .html, .docx or .md.",
)
@_uncollected
@click.pass_context
def selfcheck(ctx: click.Context, on: datetime | None, details: bool, force: bool, out: Path | None) -> None:
    """Compute the reference cases on this installation, and write a validation record.

    The exit status is 1 if a case fails.
    """
    from . import show
    from .show.report import can_save_as
    from .validation import selfcheck as checked

    if out is not None:
        if on is None:
            raise click.UsageError("Missing option '--on': the date of the record, which dosefind does not read from the clock.")
        can_save_as(out, force=force)
    found = checked()
    if out is not None and on is not None:
        record = show.validation_record(found, on.date())
        _say_written(lambda: record.save_as(out, force=force), out.parent)
    from .show.pages.selfcheck import selfcheck as page
    from .show.terminal import show as shown

    shown(page(found), details)
    if not found.passed:
        ctx.exit(1)


@main.command(
    examples=(
        "explore configs/nct05962762.toml --out explore.html",
        "explore examples/nct05948982/course/trial.toml --out course.html --force",
    )
)
@_config
@click.option("--force", is_flag=True, help="Overwrite.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="File of the page, such as explore.html.")
def explore(config: Path, force: bool, out: Path) -> None:
    """Write a page on which exact operating characteristics follow the true DLT rates as they are set.

    It is one HTML file that works in a browser without a network.
    """
    from . import provenance
    from .config import load_trial
    from .show.explore import explore

    provenance.refuse_to_overwrite(out.parent, [out.name], force)
    page = explore(load_trial(config), progress=_progress("designs"))
    page.save(out, force=force)
    for name, why in page.left_out.items():
        _say(_in_one_line(f"{name} is left out: {why}"))
    _say(_in_one_line(f"wrote {out}"))


@main.command(examples=("schema > dosefind.schema.json", "schema --out configs"))
@_common
def schema(output: _Output) -> None:
    """Write the JSON Schema of a config, for editors.

    It is JSON with or without --json; --out DIR writes it to DIR/schema.json.
    """
    import json

    from . import provenance
    from .config import protocol_schema

    text = json.dumps(protocol_schema(), indent=2)
    if output.out is None:
        click.echo(text)
        return

    output.claim_names(["schema.json"])

    def write(out: Path, *, force: bool) -> list[str]:
        provenance.write_whole(out, {"schema.json": f"{text}\n".encode()}, force=force)
        return ["schema.json"]

    output.save(write)


def _tabulate(
    config: Path,
    design: str | None,
    stem: str,
    make: Callable[[Trial], pd.DataFrame],
    page: Callable[[pd.DataFrame, Mapping[str, Any]], Page],
    details: bool,
    output: _Output,
    *,
    borrows: bool = False,
) -> None:
    """Make a table from a config, save it, print its page."""
    from . import provenance, tasks
    from .config import load_trial

    output.claim(stem)
    trial = load_trial(config)
    frame = make(trial)
    method = "sampled" if borrows else "exact"
    stamp = {**tasks.stamp(trial, design, borrows=borrows), "method": method, "seed": output.seed, **frame.attrs}
    output.save(partial(provenance.save_table, frame, stamp, stem=stem))
    if output.as_json:
        click.echo(provenance.as_json(frame, stamp))
        return
    from .show.terminal import show

    show(page(frame, stamp), details)


def _progress(what: str) -> Callable[[float, int], None] | None:
    """Report progress as `show.notebook.progress` does, which is loaded only where progress is shown."""
    if not sys.stderr.isatty():
        return None
    from .show.notebook import progress

    return progress(what)


# The tables of `next`, each a file.
_NEXT = (
    "doses",
    "serious",
    "safety",
    "audit",
    "courses",
    "designs",
    "what-if",
    "completions",
    "waiting",
    "waiting-basis",
    "follow-up",
    "paths",
    "findings",
    "recorded",
)


def _say_altered(chains: Sequence[Chain]) -> None:
    """Say where files of decisions and adjudications were changed by hand; words are loaded where there is something to say."""
    if any(chain.altered for chain in chains):
        from .show.pages.next_dose import record_words

        for words in record_words([replace(chain, without_hash=()) for chain in chains]):
            _say(f"Caution: {words}")


def _say(words: str) -> None:
    """Print on standard error; where nobody can read it, the command goes on."""
    with contextlib.suppress(OSError):
        click.echo(words, err=True)


def _in_one_line(words: str) -> str:
    """Return words in one line, whatever the name of a file holds."""
    return words.replace("\n", "\\n")


if __name__ == "__main__":
    sys.exit(main())
