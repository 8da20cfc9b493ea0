"""Generated trials, made up from a seed, written in every format that intake reads; no patient of theirs exists."""

import csv
from datetime import date, timedelta
from pathlib import Path

import numpy as np

UNIT = "10^6 cells/kg"
PEOPLE = ("subject", "dose", "infusion_1", "infusion_2", "last_contact", "discontinued", "reason")
EVENTS = ("subject", "term", "grade", "related", "start")
TERMS = ("PYREXIA", "HYPERTENSION", "ALT INCREASED", "HEADACHE")


def trial(n: int, seed: int = 1, doses=(1, 3, 5), rate: float = 1.5):
    """People and adverse events as tables of text: one in ten is not treated, one in seven leaves, one event in five has no day."""
    random = np.random.default_rng(seed)
    start = date(2023, 9, 4)
    people, events = [], []
    for k in range(n):
        row = dict.fromkeys(PEOPLE, "") | {"subject": f"S-{k + 1:05d}"}
        people.append(row)
        if k % 10 == 9:
            continue
        first = start + timedelta(days=k // 4)
        row |= {
            "dose": str(doses[min(k // 8, len(doses) - 1)]),
            "infusion_1": str(first),
            "last_contact": str(first + timedelta(60)),
        }
        if k % 2:
            row["infusion_2"] = str(first + timedelta(28))
        if k % 7 == 6:
            row |= {"discontinued": str(first + timedelta(40)), "reason": "WITHDRAWAL BY SUBJECT"}
        for _ in range(random.poisson(rate)):
            begun = str(first + timedelta(int(random.integers(0, 60))))
            event = {"subject": row["subject"], "term": TERMS[random.integers(4)], "grade": str(random.integers(1, 6))}
            events.append(
                event | {"related": ("Y", "N", "")[random.integers(3)], "start": begun[:7] if len(events) % 5 == 4 else begun}
            )
    return people, events


def write_csv(path: Path, rows: list[dict], columns=None) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_xlsx(path: Path, sheets: dict[str, list[dict]]) -> Path:
    """As a spreadsheet keeps it: dates as dates, numbers as numbers, empty cells empty."""
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        sheet.append(list(rows[0]))
        for row in rows:
            sheet.append([_excel(cell) for cell in row.values()])
    book.save(path)
    return path


def _excel(cell: str):
    try:
        return date.fromisoformat(cell) if len(cell) == 10 else float(cell)
    except ValueError:
        return cell or None


def sdtm(people: list[dict], events: list[dict]) -> dict[str, list[dict]]:
    """DM, EX, AE and DS with the variables of the CDISC pilot that matter here, and rows that are of no use."""
    study = {"STUDYID": "MADE-UP"}
    dm = [
        study | {"USUBJID": p["subject"], "RFPENDTC": p["last_contact"], "ARMCD": "A" if p["dose"] else "SCRNFAIL"} for p in people
    ]
    ex, ds = [], []
    for p in people:
        days = [p[name] for name in ("infusion_1", "infusion_2") if p[name]]
        row = study | {"USUBJID": p["subject"], "EXTRT": "UC-MSC", "EXDOSE": p["dose"], "EXDOSU": "10^6 CELLS/kg"}
        ex += [row | {"EXSTDTC": f"{day}T09:30"} for day in days]
        row = study | {"USUBJID": p["subject"], "DSCAT": "DISPOSITION EVENT"}
        ds.append(row | {"DSDECOD": "INFORMED CONSENT OBTAINED", "DSCAT": "PROTOCOL MILESTONE", "DSSTDTC": "2023-09-01"})
        left = p["reason"] or ("COMPLETED" if p["dose"] else "SCREEN FAILURE")
        ds.append(row | {"DSDECOD": left, "DSSTDTC": p["discontinued"] or p["last_contact"]})
    ae = [
        study | {"USUBJID": e["subject"], "AETERM": e["term"].lower(), "AEDECOD": e["term"], "AETOXGR": e["grade"]}
        | {"AEREL": e["related"], "AESTDTC": e["start"]}
        for e in events
    ]  # fmt: skip
    return {"dm": dm, "ex": ex, "ae": ae, "ds": ds}


def adam(people: list[dict], events: list[dict]) -> dict[str, list[dict]]:
    """ADSL, ADEX and ADAE; dates are numbers in XPT (`write_xpt`), a partial one is imputed and flagged."""
    adsl = [
        {"USUBJID": p["subject"], "ACTARM": "UC-MSC" if p["dose"] else "Screen Failure", "TRTSDT": p["infusion_1"]}
        | {"LSTALVDT": p["last_contact"], "EOSSTT": "DISCONTINUED" if p["reason"] else "ONGOING", "EOSDT": p["discontinued"]}
        | {"DCSREAS": p["reason"]}
        for p in people
    ]  # fmt: skip
    adex = []
    for p in people:
        row = {"USUBJID": p["subject"], "PARAMCD": "DOSE", "EXDOSE": p["dose"], "EXDOSU": UNIT}
        adex += [row | {"ASTDT": p[name]} for name in ("infusion_1", "infusion_2") if p[name]]
        adex += [row | {"PARAMCD": "TDOSE", "ASTDT": p["infusion_1"]}] if p["infusion_1"] else []
    adae = []
    for e in events:
        partial = len(e["start"]) < 10
        row = {"USUBJID": e["subject"], "AEDECOD": e["term"], "ATOXGR": f"Grade {e['grade']}", "AREL": e["related"]}
        adae.append(row | {"ASTDT": f"{e['start']}-01" if partial else e["start"], "ASTDTF": "D" if partial else ""})
    return {"adsl": adsl, "adex": adex, "adae": adae}


def write_domains(folder: Path, domains: dict[str, list[dict]], kind: str) -> Path:
    folder.mkdir()
    for name, rows in domains.items():
        write_xpt(folder / f"{name}.xpt", rows) if kind == "xpt" else write_csv(folder / f"{name.upper()}.csv", rows)
    return folder


def write_xpt(path: Path, rows: list[dict], version: int = 5) -> Path:
    """A SAS transport file: doses and days (of variables ending in DT) as numbers, with labels as the pilot's files have them."""
    import pandas as pd
    import pyreadstat

    table = pd.DataFrame(rows)
    for name in table.columns:
        if name.endswith("DT"):
            days = [(date.fromisoformat(cell) - date(1960, 1, 1)).days if cell else float("nan") for cell in table[name]]
            table[name] = pd.Series(days, dtype=float)
        elif name.endswith("DOSE"):
            table[name] = pd.to_numeric(table[name])
    labels = [f"label of {name}" for name in table.columns]
    pyreadstat.write_xport(table, path, file_format_version=version, table_name=path.stem.upper()[:8], column_labels=labels)
    return path
