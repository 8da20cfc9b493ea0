"""External data: from tables of counts to cohorts, and from tables of patients to records of each patient.

A table is read as text, cell by cell, by the reader of its kind of file (`csv_file`, `excel`, `xpt`), and interpreted by the
layout of its columns (`plain`, `sdtm`, `adam`). A new kind of file is one module and a line in `files.READERS`, a new
layout one module and a line in `reading.LAYOUTS`. Shared parts are in `cells` (rows, cells and their problems),
`doses` (an amount to its level), `assigned` (the level stated in a name), `infusions` (rows of exposure to infusions with
assigned and administered dose), `entries` (from facts to a patient, with consistency checks) and `cohorts`.
Values of endpoints are read by `measurements`.
"""

from .counts import read_counts
from .measurements import Measurement, Measurements, read_measurements
from .reading import read_patients

__all__ = ["Measurement", "Measurements", "read_counts", "read_measurements", "read_patients"]
