"""`read_patients`: from files to patients and listed rows, without losing a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from .._check import MOST_COUNTED, InputError, of_type
from ..given_files import is_folder
from ..patients import Patients
from ..protocol import Doses, Protocol
from ..words import _
from . import adam, plain, sdtm
from .cells import Findings, Row, Table
from .cohorts import cohorts_of
from .doses import match_level
from .entries import Draft, Steps, to_patient
from .files import Found, domain_files, domains, patient_tables, refuse_further_files, survival, table_beside
from .missing import empty_missing
from .responses import read_responses
from .same_person import read_whole_numbers, refuse_same_person
from .unread import refuse_deaths_of_domains
from .untreated import deaths_without_infusion

__all__ = ["LAYOUTS", "read_patients"]

# Number of rows between two calls of a progress callback.
_STEP = 1000


class Layout(NamedTuple):
    """How a kind of tables is read: the required and optional domains, and their reader."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    read: Callable[[dict[str, Table], Protocol, Findings, Steps], Draft]


# Layouts of a folder; the domains of each are its own.
LAYOUTS = {
    "SDTM": Layout(("dm", "ex"), ("ae", "ds", "dd", "suppdm", "suppae"), sdtm.read),
    "ADaM": Layout(("adsl", "adex"), ("adae",), adam.read),
}


def read_patients(
    data: str | Path,
    protocol: Protocol,
    *,
    events: str | Path | None = None,
    assessments: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Patients:
    r"""Read the patients of a trial's tables, without judging their evaluability for DLT.

    Dates are in ISO form (a time of day is ignored). A partial date, or an interval such as 2024-03-05/2024-03-20, is
    the set of its possible days; an ambiguous date is never completed. Formulas are never evaluated. Text is kept unchanged, and
    is data whatever its first character.

    Parameters
    ----------
    data
        A table of patients as CSV (UTF-8, commas, decimal points) or Excel (.xlsx: the sheet ``patients``, or the first; adverse
        events in the sheet ``events``, ``AE`` or ``Adverse events``; another sheet with data is an error), or a folder with CDISC
        domains as .xpt or .csv. Columns and domains are recognised in any case and order. The columns are described below.
    protocol
        The protocol, for its doses with their unit. With amendments, the doses are those of the latest version, which has all
        levels of the previous versions.
    events
        A table of adverse events in addition to ``data``, as .csv or .xlsx.
    assessments
        A table of assessments of the efficacy endpoint, as .csv or .xlsx; the protocol needs the table ``efficacy``. In a workbook
        of patients it can be the sheet ``assessments``.
    progress
        Called at intervals with the number of rows done and their total.

    Returns
    -------
    Patients
        Each row read is a patient, an adverse event, or listed with the reason; this is checked. ``notes`` states what was
        derived, and which columns were not read.

    Raises
    ------
    InputError
        If a file cannot be read, is truncated or too large (above 20 MB as .csv or .xlsx, 200 MB as .xpt), or its content is not
        valid. Every finding is counted, the first twenty are shown, each with its row (in CSV the line, in Excel the row,
        so that the header is row 1; in XPT the record), subject, column and value.

    Notes
    -----
    The table of patients, with one row per patient:

    ``subject``
        Identifier, required; no other identifying data of a patient are shown.
    ``level``, ``dose`` or ``assigned``
        Dose level from 1, or assigned amount in the protocol's unit; at least one. An amount that is not a dose of the protocol to
        the digits shown, or within ``doses.tolerance`` of one, is kept, with ``level`` none. Levels are numbered as in the latest
        version of the protocol; if an amendment changes the numbering of earlier levels, ``dose`` is required. Together with
        ``assigned``, or as an amount not in the protocol together with ``level``, ``dose`` is the administered amount.
    ``administered``, or ``administered_1``, ``administered_2``, ...
        Amount administered at the only infusion (also named ``dose_given`` or ``dose_administered``), or at each; if empty, the
        assigned amount.
    ``infusion_1``, ``infusion_2``, ...
        Days of the infusions, as full dates; a row without any is listed, and is an error if it has a DLT or a related adverse
        event of grade 3 or worse.
    ``cohort``
        Number from 1, in date order. Without this column, `evaluate` derives it from the evaluable patients.
    ``last_contact``
        Last day on which the patient was known to be in follow-up. If it is empty for some patients still in follow-up,
        they are known to have been followed up to the last of their own dates; if it is empty for all of them, to the data cutoff
        date, which is stated.
    ``dlt``, ``dlt_date``
        ``yes`` or ``no``, or empty if unknown; the day of the DLT, which can be a partial date.
    ``discontinued``, ``reason``
        Day on which the patient discontinued treatment or follow-up, and the reason.
    ``evaluable``, ``evaluable_reason``
        Whether the patient is recorded as evaluable for DLT (yes or no), and the reason; also named ``dlt_evaluable`` or
        ``evaluable_for_dlt``, and ``reason_not_evaluable`` or ``not_evaluable_reason``. If the patient did not discontinue,
        ``reason`` is that of this decision.
    ``left_treatment``, ``left_treatment_reason``
        Day on which the patient stopped treatment and stayed in follow-up, and the reason. Without a later contact it is read as
        ``discontinued``.
    ``replaces``
        Subject whom this patient replaces.
    ``part``
        Part of the trial: escalation (also for an empty cell), backfill, expansion, run-in, placebo or control. Patients on
        placebo and control need neither ``level`` nor ``dose``. A dose of 0 with an empty part is read as placebo.
    ``response``, ``response_date``, ``response_baseline``, ``rescue``
        If the protocol has the table ``efficacy``: yes or no, or the change from baseline; the day of the assessment; the baseline
        of a change; the day of the first rescue treatment. Otherwise they are not read.
    ``died``
        Day of death, or ``yes`` if unknown; also named ``death``, ``death_date``, ``dod``, ``dead``, .... A reason for
        discontinuation that reports death, or an event of grade 5 or with a fatal outcome, reports it as well. A death without a
        day is shown on the last day known, with a note.

    The usual spellings of these columns are read, with a note: ``DLT (y/n)``, ``dlt_flag`` or ``had_dlt`` as ``dlt``, ``deceased``
    or ``dthdtc`` as a death. A column that is not read, has text, and is named after DLTs, deaths, seriousness, relationship to
    treatment, grades, severity, evaluability or outcomes is an error, and so is a cell of any column that reports a death which no
    column that is read reports. Two subjects whose identifiers differ only in case, zeros before a number, separators or look-alike
    letters are an error; so is the death of a subject who was assigned a dose and has no infusion.

    For a partial date of the last contact, of discontinuation and of death the earliest possible day is used, with a note: from the
    last infusion, the first infusion, and the last day on which the patient is known to be alive, respectively, if the date
    includes such a day.

    The table of adverse events, one row per event: ``subject`` and ``term``, required; ``grade``, 1 to 5; ``related``, as in the
    data; ``start``, of which a partial date is kept as its possible days, none of them after the end of the event or after a full
    date of death, with a note; ``serious`` (yes or no; also named ``sae``, ``seriousness``, ``is_serious``, ...), ``outcome``,
    ``organ_class``; the flags ``results_in_death``, ``fatal`` or ``aesdth`` of a fatal event, and ``hospitalisation``,
    ``life_threatening`` or ``aeshosp`` of a serious one; ``initial_grade``, 0 to 5, the grade at onset, if ``grade`` is the worst;
    ``end``, a date or ``ongoing``; ``worsened``, the day on which it worsened after onset; ``severity``, which is not a grade
    unless ``dlt.grade_by_severity`` defines one; ``dlt``, whether the investigator flagged it as a DLT; ``treatment_emergent``;
    ``event_id``, shared by several rows of one event. An event is fatal by its grade, its outcome (words, or 5 of ICH E2B), a flag,
    its severity or its term. An outcome that is not recognised is noted, and rejected if it is close to a word for death.

    The table of ``assessments``, one row per assessment of the efficacy endpoint: ``subject`` and ``value`` (or ``change``),
    required; ``parameter``, ``visit``, ``date``, ``baseline`` (yes for the baseline); also by the names of ADaM. Rows of another
    parameter are listed.

    The sheet ``labs`` of a workbook, read with ``dlt.liver_grading = "baseline"``: ``subject``, ``test`` (ALT, AST, ALP, GGT or
    BILI), ``value``, ``unit``, ``uln`` (upper limit of normal), ``date``; ``baseline`` (yes or no).

    SDTM: DM (USUBJID or SUBJID; RFPENDTC and DTHDTC, the later of which is the last contact; VITSTAT and each variable that begins
    with DTH for deaths; arms for screen failures, placebo and the assigned level), EX (EXSTDTC, EXDOSE, EXDOSU, EXTRT, EXOCCUR), AE
    (AEDECOD or AETERM, AETOXGR or AETOXGRN, AEREL, AESTDTC, AESER, AEOUT, AESOC or AEBODSYS; AESDTH for fatal events; AESLIFE,
    AESHOSP, AESDISAB, AESCONG and AESMIE for serious ones; AESEV where there is no grade; AEITOXGR, AEENDTC, AEENRTPT, AEENRF;
    AEDLT or AEDLTFL; AEGRPID, AELNKID or AESPID where several records of one term share it), SUPPAE (of events that it names by
    IDVAR and IDVARVAL: flags of DLTs, initial and worst grade, AEREL1 and the like, AETRTEM, AEWORDTC; by QNAM, or by QLABEL where
    the value fits), LB with ``dlt.liver_grading = "baseline"`` (LBTESTCD, LBSTRESN, LBSTRESU, LBSTNRHI, LBDTC, LBBLFL or LBLOBXFL),
    DS (DSCAT, DSDECOD, DSSTDTC: disposition events other than COMPLETED, the first of which counts; in any category a patient lost
    to follow-up, consent withdrawn, or a death, by DSDECOD or DSTERM; COMPLETED is a last contact), DD (each subject in it has
    died; DDDTC), SUPPDM (QNAM and QVAL). A row of DS is about treatment alone by DSSCAT, unless it is about lost follow-up; by
    EPOCH, unless it is about consent or no later disposition shows that the patient stayed. AEACN and AEACNOTH of AE say who
    stopped treatment or left the study because of an event. RFENDTC can only make a last contact later. SS, CO, SUPPDS and ADTTE
    are searched for deaths that nothing else reports, which are an error. A further file of a domain, such as ``ae1.csv``, is an
    error.

    ADaM: ADSL (LSTALVDT, EOSDT and DTHDT, the latest of which is the last contact; EOSSTT with EOSDT and DCSREAS, EOTSTT with EOTDT
    and DCTREAS; COHORTN; DTHDT, DTHDTC, DTHFL, DTHCAUS and DTHADY for deaths), ADEX (ASTDT or EXSTDTC, ADOSE or EXDOSE, ADOSEU or
    EXDOSU, PARAMCD, EXTRT), ADAE (ASTDT, of which ASTDTF = D leaves the month, M the year and others nothing, unless AESTDTC is
    there; AEDECOD or AETERM; ATOXGR, ATOXGRN, AETOXGR and AETOXGRN, the worst of which is read; AITOXGR and AEITOXGR, the least of
    which is read; AENDT unless AENDTF says that it is imputed; TRTEMFL; AREL and AEREL, of which related is read; flags as in AE).
    A DLT is taken from DLTFL and each CRITnFL whose CRITn speaks of DLTs of ADAE, or from DLTFL and DLTDT of ADSL. VITSTAT, and
    each variable that begins with DTH, is read for deaths, and so are DCSREASP and DCTREASP. A reason (DCSREAS, DCTREAS) or a day
    (EOSDT) without its status is read as leaving, with a note.

    The recorded decision on evaluability is in ADSL, in SUPPDM or in DM, under the name that the config gives
    (``intake.evaluable_flag``, ``intake.evaluable_reason``) or under a usual one, such as DLTEVLFL, with a note. The config can
    also name the variables of the DLT, its day and the cohort.
    The dose level of SDTM and ADaM is the assigned one: that of the first of ACTARMCD, ACTARM, TRT01A, ARMCD, ARM and TRT01P that
    states a level ("DL1", "Dose level 1") or an amount with its unit ("1 x 10^6 cells/kg"), or that ``doses.arms`` of the config
    maps to a level; then DOSE01P; then EXTRT, TRTA, EPOCH and EXEPOCH of the first infusion. "DL-1" and "Cohort 1" state no level.
    Without an assignment the level is that of the amount of the first infusion. EXDOSE, or ADOSE, is the amount administered.
    Records of one day, and of ``treatment.split_days`` after it, are one infusion, whose amounts are added.

    A patient who discontinued treatment is in follow-up if a later contact shows it; otherwise the patient left follow-up on that
    day.

    Placebo: a dose of 0 if EXTRT, TRTA, TRT01A or the arm mentions placebo (or a control, which is read as control); an empty
    dose if the treatment is exactly placebo; a nominal dose if treatment or arm is exactly placebo. A
    subject who also received the product has only the infusions of the product, and those of placebo are listed.

    Cells with a spelling of a missing value are empty: NA, N/A, NaN, NaT, <NA>, NULL, None, #N/A, a dash, and SAS's point and .A to
    .Z. Notes count them, except points. "None" remains a word in terms, outcomes and relationships to treatment. A subject with
    such a spelling is rejected. The identifier 1001.0 is that of the subject 1001, if there is one. Numbers may be written as 3,
    3.0, 3e0 or +3; separators of thousands are rejected, because 1,000 may be 1000 or 1. Grades may be written as 3, 3.0, Grade 3,
    G3, CTCAE 3 or 3 - Severe; flags as yes, y, true, t or 1, and no, n, false, f or 0.

    An amount is a dose of the protocol if it equals it to the digits shown, of which there must be three or more
    (`dosefind.intake.doses.match_level`). The unit of a dose must have the same meaning as the protocol's (`dosefind.units`: mcg is
    µg): units are not converted.

    Examples
    --------
    >>> import tempfile, dosefind
    >>> table = "subject,dose,infusion_1,last_contact,dlt,dlt_date\nA-1,1,2024-03-05,2024-04-02,no,\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "patients.csv"
    ...     size = path.write_text(table)
    ...     found = read_patients(path, dosefind.load_protocol("configs/nct05962762.toml"))
    >>> found.patients[0].level, found.patients[0].dlt, found.rows
    (1, False, 1)
    """
    of_type("protocol", protocol, Protocol, "load_protocol reads one from a file")
    path = Path(data)
    with_labs = any(rules.dlt.liver_grading == "baseline" for _, rules in protocol.versions)
    with_assessments = protocol.versions[-1][1].efficacy is not None and assessments is None
    layout, files = _open(path, None if events is None else Path(events), with_labs, with_assessments)
    if (subjects := len(files.tables[layout.required[0]].rows)) > MOST_COUNTED:
        raise InputError(f"has {subjects:,} rows of patients: must be at most {MOST_COUNTED:,}", source=str(path))
    latest = protocol.versions[-1][1]
    if assessments is not None:
        if latest.efficacy is None:
            raise InputError("needs the table efficacy in the config, which says what is read of it", source=str(assessments))
        files = table_beside(files, "assessments", Path(assessments))
    found = Findings(path, notes=[*files.notes, *empty_missing(files.tables.values(), latest.dlt)])
    if with_labs and not {"lb", "labs"} & set(files.tables):
        found.notes.append(_("no table of liver tests (LB, or the sheet labs), so liver tests are graded as recorded"))
    if latest.doses.amounts[: protocol.n_doses] != protocol.doses.amounts and "patients" in files.tables:
        _refuse_levels_alone(found, files.tables["patients"], latest.doses)
    refuse_same_person(found, files.tables[layout.required[0]])
    read_whole_numbers(found, files.tables[layout.required[0]], files.tables.values())
    own = {name: table for name, table in files.tables.items() if name != "assessments"}
    draft = layout.read(own, latest, found, _steps(files.tables.values(), progress))
    if "assessments" in files.tables and latest.efficacy is not None:
        table = files.tables["assessments"]
        read_responses(found, draft, table, latest.efficacy, files.tables[layout.required[0]].name, _steps([table], None))
    deaths_without_infusion(found, draft, files.tables[layout.required[0]], files.tables.values())
    if is_folder(path):
        refuse_deaths_of_domains(found, draft, survival(path, files.tables))
    cohorts = cohorts_of(found, draft)
    patients = [to_patient(found, entry, cohorts.get(entry.subject), draft.events) for entry in draft.entries]
    found.stop()
    if not patients:
        raise InputError("has no patient with an infusion", source=str(path))
    result = Patients(
        patients=tuple(sorted(patients, key=lambda patient: (patient.infusions[0], patient.subject))),
        listed=tuple(draft.listed),
        rows=sum(len(table.rows) for table in files.tables.values()),
        notes=tuple(found.notes),
        last_date=max(day for patient in patients for _, day in patient.dates()),
        sha256=files.sha256,
        keeps_contacts=draft.keeps_contacts,
    )
    _check_no_row_is_lost(result, files.tables.values())
    return result


def _refuse_levels_alone(found: Findings, table: Table, doses: Doses) -> None:
    """Reject rows with a level but no dose of the protocol, if the number may be that of an earlier version."""
    for row in table.rows:
        level = row.cell("level")
        if level.text and not any(match_level(row.cell(name).text, doses.amounts) for name in ("dose", "assigned")):
            found.refuse(level, "needs the column dose too: an amendment of the protocol changes the numbers of the levels")


def _open(path: Path, events: Path | None, with_labs: bool, with_assessments: bool) -> tuple[Layout, Found]:
    """Return the layout of the data and their tables; liver tests are read only if the protocol uses them for grading."""
    if not is_folder(path):
        tables = patient_tables(path, events, with_labs, with_assessments)
        return Layout(("patients",), ("events", "labs"), plain.read), tables
    if events is not None:
        raise InputError("is a folder: its adverse events are in AE or ADAE, and a separate table is not read", source=str(path))
    files = domain_files(path)
    present = [name for name, layout in LAYOUTS.items() if set(files) & {*layout.required, *layout.optional}]
    wanted = "; ".join(f"{name}: {', '.join(layout.required).upper()}" for name, layout in LAYOUTS.items())
    if len(present) != 1:
        allowed = (
            "domains of both SDTM and ADaM: keep those of one of them in the folder" if present else f"no CDISC domains ({wanted})"
        )
        raise InputError(f"has {allowed}", source=str(path))
    layout = LAYOUTS[present[0]]
    missing = [name.upper() for name in layout.required if name not in files]
    if missing:
        raise InputError(f"has no {' and no '.join(missing)} as .xpt or .csv ({wanted})", source=str(path))
    names = [*layout.required, *layout.optional, *(("lb",) if with_labs and present == ["SDTM"] else ())]
    refuse_further_files(path, names)
    found = domains(path, names, files)
    others = sorted(file.name for name, group in files.items() if name not in names for file in group)
    notes = [_("files not used: {files}").format(files=", ".join(others))] if others else []
    return layout, found._replace(notes=notes)


def _steps(tables: Iterable[Table], progress: Callable[[int, int], None] | None) -> Steps:
    """Yield rows, and report the number done."""
    total, done = sum(len(table.rows) for table in tables), 0

    def walk(rows: list[Row]) -> Iterator[Row]:
        nonlocal done
        for row in rows:
            yield row
            done += 1
            if progress is not None and (done % _STEP == 0 or done == total):
                progress(done, total)

    return walk


def _check_no_row_is_lost(result: Patients, tables: Iterable[Table]) -> None:
    """Raise unless every row is included exactly once: in a patient, an adverse event, or the list."""
    named = [source for patient in result.patients for source in patient.source]
    named += [row for patient in result.patients for event in patient.events or () for row in event.sources]
    named += [lab.source for patient in result.patients for lab in patient.labs]
    # An assessment in a column is of the patient's row.
    assessed = ((patient, seen.source) for patient in result.patients for seen in patient.assessments)
    named += [source for patient, source in assessed if source not in patient.source]
    named += [listed.source for listed in result.listed]
    if Counter(named) != Counter(row.source for table in tables for row in table.rows):
        raise AssertionError("a row was lost or counted twice; this is a defect of dosefind")
