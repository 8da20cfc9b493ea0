"""The command line: open a file, call a task, print. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__

if TYPE_CHECKING:
    import pandas as pd

    from .protocol import Protocol

__all__ = ["main"]

# The matrix products are small: more threads would wait for one another longer than they work.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


class _Commands(click.Group):
    """Commands whose bad input ends in one line on standard error and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as error:
            from ._check import InputError

            if not isinstance(error, InputError):
                raise
            click.echo(f"dosefind: error: {error}", err=True)
            ctx.exit(2)
        except ArithmeticError as error:
            click.echo(f"dosefind: error: {error}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            raise
        except OSError as error:
            click.echo(f"dosefind: error: {error.strerror or error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("dosefind: interrupted, nothing was written", err=True)
            ctx.exit(130)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dosefind")
def main() -> None:
    """Dose finding for phase 1 trials: compare designs exactly, and see what each would do next."""


_config = click.argument("config", type=click.Path(path_type=Path))
_design = click.option("--design", required=True, metavar="NAME", help="Name of one of the config's designs.")


_outcomes = click.option("--outcomes", metavar="TEXT", help="Outcomes so far, such as '1NNN 2NNT'.")
_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="CSV of counts instead: level (or dose), n, dlts; a row a cohort, in the order of treatment.",
)


def _given(outcomes: str | None, data: Path | None, protocol: Protocol) -> Any:
    """The outcomes, from the notation or from a table of counts."""
    from .intake import read_counts

    if outcomes is not None and data is not None:
        raise click.UsageError("--outcomes and --data exclude each other.")
    return read_counts(data, protocol.doses.amounts) if data is not None else outcomes or ""


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Options that every command has."""
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
        command = option(command)
    return command


@main.command()
@_config
@click.option(
    "--method",
    type=click.Choice(["exact", "simulate"]),
    default="exact",
    show_default=True,
    help="Every possible trial, or Monte Carlo.",
)
@click.option("--trials", type=click.IntRange(min=2), help="Trials a scenario, with --method simulate only.  [default: 10000]")
@click.option(
    "--memory-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=6.0,
    show_default=True,
    metavar="GIB",
    help="Most memory of an exact walk.",
)
@_common
def compare(
    config: Path, method: Any, trials: int | None, memory_limit: float, as_json: bool, seed: int, out: Path | None, force: bool
) -> None:
    """Operating characteristics of the config's designs under its scenarios."""
    from . import provenance, tasks
    from .config import load_protocol

    if out is not None:
        provenance.refuse_to_overwrite(out, provenance.file_names("compare"), force)
    if not math.isfinite(memory_limit):
        raise click.BadParameter("must be a finite number of GiB, above 0.", param_hint="'--memory-limit'")
    if trials is not None and method == "exact":
        raise click.UsageError("--trials has no effect with the exact method: add --method simulate, or leave it out.")
    protocol = load_protocol(config)
    trials = 10_000 if trials is None else trials
    if method == "simulate":
        click.echo(f"simulating {trials:,} trials of each design in each scenario", err=True)
    limit = int(memory_limit * 2**30)
    result = tasks.compare(protocol, method=method, n_trials=trials, seed=seed, memory_limit=limit, progress=_progress())
    if out is not None:
        _say_saved(out, provenance.save_dataset(result, out, "compare"))
    if as_json:
        click.echo(provenance.as_json(result))
        return
    from . import tables

    tables.show(tables.comparison(result))


@main.command()
@_config
@click.option("--outcomes", metavar="TEXT", help="Outcomes so far, such as '1NNN 2NNT'.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="CSV of counts, a row a cohort: level (or dose), n, dlts; in place of --outcomes.",
)
@click.option("--curve", metavar="NAME", help="Name of one of the config's curves.  [default: the first]")
@click.option(
    "--engine",
    type=click.Choice(["quadrature", "nuts"]),
    default="quadrature",
    show_default=True,
    help="Exact integration, or sampling by PyMC (compiles for a quarter of a minute).",
)
@click.option(
    "--draws", type=click.IntRange(min=10), help="Draws of each of four chains, with --engine nuts only.  [default: 1000]"
)
@_common
def analyze(
    config: Path,
    outcomes: str | None,
    data: Path | None,
    curve: str | None,
    engine: Any,
    draws: int | None,
    as_json: bool,
    seed: int,
    out: Path | None,
    force: bool,
) -> None:
    """Posterior of the DLT rates, the MTD and the RP2D, and what the trial will conclude."""
    from . import provenance, tasks
    from .config import load_protocol

    if out is not None:
        provenance.refuse_to_overwrite(out, provenance.file_names("analyze"), force)
    if draws is not None and engine == "quadrature":
        raise click.UsageError("--draws has no effect with quadrature: add --engine nuts, or leave it out.")
    protocol = load_protocol(config)
    found = tasks.analyze(
        protocol,
        _given(outcomes, data, protocol),
        curve=curve,
        engine=engine,
        draws=draws or 1000,
        seed=seed,
        say=lambda words: click.echo(words, err=True),
    )
    summary = found.summary.assign_attrs(seed=seed)
    if out is not None:
        _say_saved(out, provenance.save_dataset(summary, out, "analyze", found.tree(seed=seed)))
    if as_json:
        click.echo(provenance.as_json(summary))
        return
    from . import tables

    tables.show(tables.analysis(summary))


@main.command()
@_config
@_outcomes
@_data
@click.option("--curve", metavar="NAME", help="Name of one of the config's curves.  [default: the first]")
@_common
def sensitivity(
    config: Path,
    outcomes: str | None,
    data: Path | None,
    curve: str | None,
    as_json: bool,
    seed: int,
    out: Path | None,
    force: bool,
) -> None:
    """What RP2D, MTD and P(over) hang on besides the data: curve, prior, reference dose, target, limits."""
    from . import tasks

    _tabulate(
        config,
        None,
        "sensitivity",
        lambda protocol: tasks.sensitivity(protocol, _given(outcomes, data, protocol), curve=curve),
        "Sensitivity of the posterior",
        as_json,
        seed,
        out,
        force,
    )


@main.command()
@_config
@_design
@_common
def table(config: Path, design: str, as_json: bool, seed: int, out: Path | None, force: bool) -> None:
    """Decision table of a design."""
    from . import tasks

    _tabulate(
        config,
        design,
        "table",
        lambda protocol: tasks.decision_table(protocol, design),
        f"Decision table of {design}",
        as_json,
        seed,
        out,
        force,
    )


@main.command()
@_config
@_design
@click.option("--cohorts", type=click.IntRange(min=1), default=2, show_default=True, help="Cohorts to look ahead.")
@click.option("--outcomes", default="", metavar="TEXT", help="Outcomes so far, such as '1NNN 2NNT'.")
@_common
def paths(config: Path, design: str, cohorts: int, outcomes: str, as_json: bool, seed: int, out: Path | None, force: bool) -> None:
    """Every path of the next cohorts, with the decision after each and its probability in each scenario."""
    from . import tasks

    title = f"Paths of the next {cohorts} cohort{'s' * (cohorts != 1)} of {design}" + (f" after {outcomes}" if outcomes else "")
    _tabulate(
        config,
        design,
        "paths",
        lambda protocol: tasks.paths(protocol, design, cohorts=cohorts, outcomes=outcomes),
        title,
        as_json,
        seed,
        out,
        force,
    )


@main.command()
@_common
def schema(as_json: bool, seed: int, out: Path | None, force: bool) -> None:
    """JSON Schema of a config, for editors.

    It is JSON with or without --json; --out DIR writes it to DIR/schema.json.
    """
    import json

    from . import provenance
    from .config import protocol_schema

    text = json.dumps(protocol_schema(), indent=2)
    if out is None:
        click.echo(text)
        return
    provenance.refuse_to_overwrite(out, ["schema.json"], force)
    provenance.write_whole(out, {"schema.json": lambda path: path.write_text(text + "\n", encoding="utf-8")})
    _say_saved(out, ["schema.json"])


def _tabulate(
    config: Path,
    design: str | None,
    stem: str,
    make: Callable[[Protocol], pd.DataFrame],
    title: str,
    as_json: bool,
    seed: int,
    out: Path | None,
    force: bool,
) -> None:
    """Make a table from a config, save it, print it."""
    import json

    from . import provenance, tasks
    from .config import load_protocol

    if out is not None:
        provenance.refuse_to_overwrite(out, provenance.file_names(stem), force)
    protocol = load_protocol(config)
    frame = make(protocol)
    stamp = {**tasks.stamp(protocol, design), "method": "exact", "seed": seed, **frame.attrs}
    if out is not None:
        _say_saved(out, provenance.save_table(frame, stamp, out, stem))
    if as_json:
        click.echo(provenance.as_json(frame, stamp))
        return
    from . import tables

    tables.show(tables.frame(frame, f"{protocol.record.id}: {title}", frame.attrs.get("note", "")))
    if design is not None:
        tables.show(tables.rules(json.loads(stamp["rules"])))
    tables.show(tables.assumed(json.loads(stamp["assumptions"]), stamp["without_effect"]))


def _progress() -> Callable[[int, int], None] | None:
    """A line on standard error that counts designs, where somebody is there to see it."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        click.echo("\r" + (f"{done} of {total} designs" if done < total else " " * 40 + "\r"), err=True, nl=False)

    return show


def _say_saved(folder: Path, names: list[str]) -> None:
    click.echo(f"wrote {', '.join(names)} to {folder}", err=True)


if __name__ == "__main__":
    sys.exit(main())
