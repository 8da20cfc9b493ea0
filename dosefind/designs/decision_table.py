"""A design that follows a decision table supplied by the user."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema, model_validator

from ..intake.moves import read_moves
from ..trial import States
from ..words import _, marked, n_patients
from .base import Beside, Proposal
from .interval import IntervalDesign

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DecisionTable"]

_MOVES = {"E": 1, "S": 0, "D": -1, "DU": -2}
_WORDS = {"E": marked("escalate"), "S": marked("stay"), "D": marked("de-escalate"), "DU": marked("de-escalate and eliminate")}
_MOST_PATIENTS = 1000


def _moves(value: Any) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Return the moves by number of patients as pairs, in ascending order, each row checked separately."""
    if not isinstance(value, Mapping):
        # Moves that were checked before, as in a copy of the settings.
        value = dict(value) if isinstance(value, tuple) else None
    if not value:
        raise ValueError('must give the moves for each number of patients, such as 3 = "E S D DU"')
    rows = {}
    for key, row in value.items():
        # Keys of a TOML file are strings.
        n = int(key) if isinstance(key, str) and re.fullmatch("[0-9]{1,4}", key) else key
        if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= _MOST_PATIENTS or n in rows:
            raise ValueError(f"{key!r} must be a number of patients from 1 to {_MOST_PATIENTS}, each given once")
        moves = row.split() if isinstance(row, str) else row
        if not isinstance(moves, Sequence) or len(moves) != n + 1:
            given = f"not {len(moves)}" if isinstance(moves, Sequence) else f"not {row!r}"
            raise ValueError(f"the moves for {n} patients must be {n + 1} in number, for 0 to {n} DLTs, {given}")
        moves = tuple(move.strip().upper() if isinstance(move, str) else move for move in moves)
        for dlts, move in enumerate(moves):
            if move not in _MOVES:
                raise ValueError(f"the move for {dlts} DLTs in {n} patients, {move!r}, must be one of {', '.join(_MOVES)}")
            if dlts and _MOVES[move] > _MOVES[moves[dlts - 1]]:
                before = f"{moves[dlts - 1]} for {dlts - 1} DLTs in {n} patients"
                raise ValueError(f"{before} and {move} for {dlts}: one more DLT must not lead to a higher dose")
        rows[n] = moves
    return tuple(sorted(rows.items()))


_SCHEMA = {
    "oneOf": [
        {"type": "string", "description": "a CSV file with the columns n, dlts and move, in the folder of the protocol's file"},
        {"type": "object", "patternProperties": {"^[0-9]+$": {"type": "string"}}, "additionalProperties": False},
    ]
}
Moves = Annotated[tuple[tuple[int, tuple[str, ...]], ...], BeforeValidator(_moves), WithJsonSchema(_SCHEMA)]


class DecisionTable(IntervalDesign):
    """A decision table supplied by the user: from patients and DLTs at the current dose to a move.

    Attributes
    ----------
    moves
        For each number of patients at the current dose, the moves for 0, 1, ... DLTs, such as ``{3: "E S D DU"}``: E escalate, S
        stay, D de-escalate, DU de-escalate and eliminate this dose and all higher doses. In a config this can also be the name of a
        CSV file with the columns n, dlts and move. If no move is DU, doses are eliminated by ``cutoff``. For a number of patients
        without a row, as after a dropout, the trial de-escalates if the next row de-escalates at the same number of DLTs, and
        otherwise stays until a number of patients with a row is reached.

    See Also
    --------
    IntervalDesign : target, elimination and safety stop
    Design : settings that all designs have

    Examples
    --------
    >>> from dosefind import decide
    >>> design = DecisionTable(target=0.25, moves={3: "E S D DU", 6: "E E S D DU DU DU"}, max_n_per_dose=6)
    >>> print(decide(design, "1NNN 2NNT", n_doses=3))
    stay at level 2, 3 patients: 1 DLT in 3 patients at level 2, a rate of 33.3% at which the table says stay
    """

    kind: ClassVar[str] = "table"
    title: ClassVar[str] = marked("Decision table")
    source: ClassVar[str] = marked("the table supplied")
    tied_to_target: ClassVar[tuple[str, ...]] = ("target", "moves")

    moves: Moves

    @classmethod
    def with_files(cls, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        moves = settings.get("moves")
        return {**settings, "moves": read_moves(folder / moves)} if isinstance(moves, str) else dict(settings)

    @model_validator(mode="after")
    def _no_gaps(self) -> Self:
        gaps = sorted(self._reached() - dict(self.moves).keys())
        if gaps:
            raise ValueError(f"moves has no row for {', '.join(map(str, gaps))} patients, which a dose can have within the limits")
        return self

    def _reached(self) -> set[int]:
        """Return the numbers of patients at a dose for which a move can be needed if all cohorts are complete."""
        sizes = self.cohort_size_by_dose or self.cohort_size
        sizes = sizes if isinstance(sizes, tuple) else (sizes,)
        limits = [limit for limit in (self.max_n, self.max_n_per_dose) if limit is not None]
        # Without a limit the table itself is the limit.
        most = min(limits, default=self.moves[-1][0])
        found, before = {0}, set[int]()
        for cohort in itertools.count():
            if found == before and cohort >= len(sizes):
                break
            before = found
            longer = {n + sizes[min(cohort, len(sizes) - 1)] for n in found}
            # A limit can reduce the last cohort.
            found = found | {min(n, most) for n in longer if n <= most or limits}
        # A trial at its maximum sample size needs no move, nor does one that stops at this number on any dose.
        ends = (self.max_n, *(n for n, place in self.stopping if place == "any"))
        return {n for n in found if n > 0 and all(end is None or n < end for end in ends)}

    def idle(self) -> dict[str, str]:
        return super().idle() | ({"cutoff": "because moves contains DU"} if self._eliminates and not self.extra_safe else {})

    def move(self, n: np.ndarray, y: np.ndarray) -> np.ndarray:
        n, y = np.asarray(n), np.asarray(y)
        row = self._row(n)
        move = np.sign(self._grid[row, np.minimum(y, row)])
        return np.where(n == row, move, np.minimum(move, 0))

    def fewest_eliminated(self, n: np.ndarray) -> np.ndarray:
        if not self._eliminates:
            return super().fewest_eliminated(n)
        fewest = {patients: row.index("DU") for patients, row in self.moves if "DU" in row}
        return np.array([fewest.get(row, int(patients) + 1) for patients, row in zip(n, self._row(n).tolist(), strict=True)])

    def planned_size(self, states: States, dose: np.ndarray) -> np.ndarray:
        """Return the cohort size; at a dose whose number of patients has no row, the number of patients up to the next row."""
        treated = states.at(states.n, dose)
        missing = self._row(treated) - treated
        return np.where((treated > 0) & (missing > 0), missing, super().planned_size(states, dose))

    def propose_beside(self, states: States, beside: Beside) -> Proposal:
        """Return the same as `propose`: a table has no rule for backfill."""
        return self.propose(states)

    def place(self, n: int, y: int) -> str:
        row = int(self._row(np.array(n)))
        move = _(_WORDS[dict(self.moves)[row][min(y, row)]])
        if n == row:
            sentence = _("{data}, a rate of {rate} at which the table says {move}")
        else:
            sentence = _("{data}, a rate of {rate}; the table has no row for {patients}, and the row for {row} says {move}")
        return sentence.format(data="{data}", rate="{rate}", move=move, patients=n_patients(n), row=row)

    def table(self, max_n: int = 30) -> pd.DataFrame:
        frame = super().table(max_n)
        return frame.loc[[n for n, _ in self.moves if n <= frame.index[-1]]]

    def move_sentences(self) -> list[str]:
        row = _("{patients}: {moves}")
        rows = "; ".join(row.format(patients=n_patients(n), moves=" ".join(moves)) for n, moves in self.moves)
        return [
            _(
                "Target DLT rate {target}. The move follows a table by patients and DLTs (0, 1, ...) at the current dose: E "
                "escalate, S stay, D de-escalate, DU de-escalate and eliminate."
            ).format(target=f"{self.target:g}"),
            _("The table is: {rows}.").format(rows=rows),
            _(
                "If the number of patients has no row: de-escalate if the next row (or the last, if there is no later row) "
                "de-escalates at the same number of DLTs; otherwise stay and treat enough patients to reach the next row."
            ),
        ]

    def elimination_sentence(self) -> str:
        if not self._eliminates:
            return super().elimination_sentence()
        return _(
            "A dose at which the table says DU is eliminated together with all higher doses, using all data to date; if the lowest "
            "dose is eliminated, the trial stops without an MTD."
        )

    @cached_property
    def _eliminates(self) -> bool:
        return any("DU" in row for _, row in self.moves)

    def _row(self, n: np.ndarray) -> np.ndarray:
        """Return the number of patients itself if it has a row, otherwise the next number that has one, or the last."""
        listed = np.array([patients for patients, _ in self.moves])
        return listed[np.minimum(np.searchsorted(listed, n), len(listed) - 1)]

    @cached_property
    def _grid(self) -> np.ndarray:
        """Return the moves by patients and DLTs; 0 where the table has no entry."""
        most = self.moves[-1][0]
        grid = np.zeros((most + 1, most + 1), int)
        for n, row in self.moves:
            grid[n, : n + 1] = [_MOVES[move] for move in row]
        return grid
