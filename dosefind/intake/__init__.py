"""Data from outside: tables of counts to cohorts, tables of patients to what they say of each patient.

A table is read as text, cell by cell, by the reader of its kind of file (`csv_file`, `excel`, `xpt`), and understood by the
layout that its columns follow (`plain`, `sdtm`, `adam`). A new kind of file is one module and a line in `files.READERS`, a new
layout one module and a line in `reading.LAYOUTS`. What all layouts share stands in `cells` (rows, cells and what is wrong with
them), `doses` (an amount to its level), `assigned` (the level that a name states), `infusions` (rows of exposure to infusions with
the dose assigned and administered), `entries` (from facts to a patient, with the checks between them) and `cohorts`.
"""

from .counts import read_counts
from .reading import read_patients

__all__ = ["read_counts", "read_patients"]
