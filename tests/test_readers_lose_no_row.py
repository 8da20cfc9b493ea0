"""No reader loses a row in silence: the right answer, or one error with file, row and column.

Of a file that was cut off: CSV is refused, or noted unless it ends at the end of a line; a workbook is refused; a transport file is
refused unless it ends at a card of 80 bytes where a record ends. Whatever is read has every record that is whole in the file.
"""

import io
import os
import re
import socket
import tempfile
import zipfile
from contextlib import contextmanager
from datetime import date
from functools import cache, partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dosefind import InputError, load_protocol, read_patients
from dosefind.intake import read_counts
from dosefind.intake.files import READERS
from dosefind.intake.xpt import _CARD
from dosefind.trial import Cohort

from . import patient_files as made
from .peers import ROOT
from .quick import examples

AS = load_protocol(ROOT / "configs" / "nct05962762.toml")
HEADER = "subject,level,infusion_1,dlt,comment"
PEOPLE = f"{HEADER}\nA-1,1,2024-03-01,no,\nA-2,1,2024-03-08,no,\nA-3,1,2024-03-15,no,\n"
EVENTS = "subject,term,grade,related,start\nA-1,Fever,1,related,2024-03-02\nA-2,Rash,3,related,2024-03-10\n"


def written(folder, content, name="patients.csv"):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(path, *words, read=lambda path: read_patients(path, AS)):
    """One error that names the file and has these words."""
    with pytest.raises(InputError) as error:
        read(path)
    text = str(error.value)
    assert text.startswith((str(path), path.name, str(path.parent))), text
    for word in words:
        assert word in text, text
    return text


def subjects(path, **options):
    return [patient.subject for patient in read_patients(path, AS, **options).patients]


# Text -------------------------------------------------------------------------------------------------------------------

SECOND = "A-2,1,2024-03-08,no,"
# Name, text in place of the second patient's row, words of the error.
BAD_CSV = {
    "quote never closed": ('A-2,1,2024-03-08,no,"moved', "row 3, comment"),
    "quote never closed at the start": ('"A-2,1,2024-03-08,no,', "row 3, subject"),
    "quote closed in a later row": ('A-2,1,2024-03-08,no,"moved\nA-9,1,2024-03-09,no,"', "row 3, comment"),
    "quote opened in a later line of its row": ('A-2,1,2024-03-08,"n\no","x', "row 4, comment"),
    "quote never closed after a blank line": ('\n\nA-2,1,2024-03-08,no,"moved', "row 5, comment"),
    "text after a quote": ('A-2,"1"0,2024-03-08,no,', "row 3, level"),
    "quotes that swallow a comma": ('"A-2"",1,2024-03-08,no,', "row 3"),
    "blank before a quote": ('A-2,1,2024-03-08, "no",', "row 3, dlt"),
    "blank before a quote around a comma": ('A-2,1,2024-03-08,no, "a, b"', "row 3"),
    "line break in a quoted cell": ('A-2,1,2024-03-08,no,"a\nb"', "row 3, comment"),
    "carriage return in a quoted cell": ('A-2,1,2024-03-08,no,"a\rb"', "row 3, comment"),
    "fewer cells": ("A-2,1,2024-03-08,no", "row 3", "4 cells"),
    "more cells": ("A-2,1,2024-03-08,no,,", "row 3", "6 cells"),
    "comment line": ("# second cohort", "row 3", "1 cells"),
    "semicolons in one row": ("A-2;1;2024-03-08;no;", "row 3", "1 cells"),
    "long cell": (f"A-2,1,2024-03-08,no,{'x' * 20_000}", "row 3, comment", "20,000"),
    "cell beyond the reader's limit": (f"A-2,1,2024-03-08,no,{'x' * 200_000}", "row 3"),
    "zero byte": ("A-2,1,2024-03-08,no,\0", "zero bytes"),
    "digits without end": (f"A-2,{'9' * 5000},2024-03-08,no,", "row 3", "level"),
    "fullwidth digit": ("A-2,\uff11,2024-03-08,no,", "row 3", "level"),
    "Arabic digit": ("A-2,\u0661,2024-03-08,no,", "row 3", "level"),
    "underscore": ("A-2,0_1,2024-03-08,no,", "row 3", "level"),
    "hexadecimal": ("A-2,0x1,2024-03-08,no,", "row 3", "level"),
    "superscript": ("A-2,\u00b9,2024-03-08,no,", "row 3", "level"),
    "vertical tab after a number": ("A-2,1\v,2024-03-08,no,", "row 3", "level"),
    "separator of information after a date": ("A-2,1,2024-03-08\x1c,no,", "row 3", "infusion_1"),
    "next line within a name": ("A\u0085-2,1,2024-03-08,no,", "row 3", "subject"),
    "line separator within a name": ("A\u2028-2,1,2024-03-08,no,", "row 3", "subject"),
    "escape before a name": ("\x1bA-2,1,2024-03-08,no,", "row 3", "subject"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_a_row_that_cannot_be_read_is_refused(case, tmp_path):
    text, *words = BAD_CSV[case]
    refused(written(tmp_path, PEOPLE.replace(SECOND, text)), *words)


@pytest.mark.parametrize(
    "case", ["quote never closed", "text after a quote", "fewer cells", "long cell", "zero byte", "Arabic digit"]
)
def test_tables_of_events_have_the_same_reader(case, tmp_path):
    line = BAD_CSV[case][0].replace("A-2", "Rash").replace("2024-03-08", "").replace("no", "")
    events = written(tmp_path, f"subject,grade,term,related,start\nA-1,1,Fever,,\nA-1,{line.partition(',')[2]}\n", "events.csv")
    people = written(tmp_path, PEOPLE)
    refused(events, read=lambda path: read_patients(people, AS, events=path))


@pytest.mark.parametrize("case", ["quote never closed", "text after a quote", "fewer cells", "long cell", "zero byte"])
def test_domains_have_the_same_reader(case, tmp_path):
    folder_with(tmp_path, 5)
    (tmp_path / "ae.xpt").unlink()
    line = BAD_CSV[case][0].replace("A-2", "S-00002")
    path = written(tmp_path, f"USUBJID,AETOXGR,AESTDTC,AEREL,AETERM\n\n{line}\n", "ae.csv")
    refused(path, read=lambda path: read_patients(path.parent, AS))


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\u0085", "\u2028", "\u2029"])
def test_only_line_feeds_and_carriage_returns_end_a_row(mark, tmp_path):
    text = PEOPLE.replace("A-2,1,2024-03-08,no,\n", f"A-2,1,2024-03-08,no,one{mark}two\n")
    assert subjects(written(tmp_path, text)) == ["A-1", "A-2", "A-3"]
    counts = f"level,n,dlts,comment\n1,3,0,a{mark}2,3,0\n"
    refused(written(tmp_path, counts, "counts.csv"), "row 2", read=lambda path: read_counts(path, (1, 3, 5)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_end_of_a_line_is_read(end, tmp_path):
    assert subjects(written(tmp_path, PEOPLE.replace("\n", end))) == ["A-1", "A-2", "A-3"]
    refused(written(tmp_path, PEOPLE.replace(SECOND, 'A-2,1,2024-03-08,no,"x').replace("\n", end)), "row 3, comment")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("subject,level,infusion_1,dlt,Dlt", "column dlt"),
        ("subject,level,infusion_1,dlt, DLT\u200b", "column dlt"),
        ("subject,level,infusion_1,comment,Comment", "column comment"),
        ("subject;level;infusion_1;dlt;comment", "semicolons"),
        ("subject\tlevel\tinfusion_1\tdlt\tcomment", "tabs"),
        ("subject|level|infusion_1|dlt|comment", "vertical bars"),
        (f"sep=,\n{HEADER}", "states a separator"),
        (f"sep=;\n{HEADER}", "states a separator"),
        ('subject,level,"infusion_1,dlt,comment', "row 1"),
    ],
)
def test_a_header_that_is_not_understood_is_refused(header, words, tmp_path):
    refused(written(tmp_path, PEOPLE.replace(HEADER, header)), words)


def test_a_column_with_data_and_no_name_is_noted(tmp_path):
    text = PEOPLE.replace(HEADER, f"{HEADER},").replace("no,\n", "no,,x\n")
    notes = " ".join(read_patients(written(tmp_path, text), AS).notes)
    assert "column 6" in notes


def test_rows_are_those_of_the_file(tmp_path):
    text = '\n\nsubject,level,infusion_1,comment\n\nA-1,1,2024-03-01,"one ""x"""\n,,,\nA-2,1,2024-13-01,\n'
    refused(written(tmp_path, text), "row 7, subject A-2, infusion_1 = '2024-13-01'")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"])
def test_other_encodings_are_refused_with_advice(encoding, tmp_path):
    text = PEOPLE.replace("A-2", "J\u00f6-2")
    refused(written(tmp_path, text.encode(encoding)), "is not UTF-8 text", "CSV UTF-8")
    assert "J\u00f6-2" in subjects(written(tmp_path, text.encode("utf-8-sig")))


@pytest.mark.parametrize(("start", "words"), [(b"PK\x03\x04", "zip archive"), (b"\xd0\xcf\x11\xe0", "old Excel workbook")])
def test_a_workbook_under_the_name_of_a_csv_file(start, words, tmp_path):
    refused(written(tmp_path, start + b"x" * 600), words)


# Tables of counts --------------------------------------------------------------------------------------------------------

BAD_COUNTS = {
    "quote never closed": ('level,n,dlts,comment\n1,3,0,"fine\n2,3,1,\n', "row 2, comment"),
    "text after a quote": ('level,n,dlts\n1,"3"0,0\n', "row 2, n"),
    "column of doses twice": ("level,dose,dose,n,dlts\n1,3,1,3,0\n", "column dose", "2 times"),
    "column twice by case": ("level,n,N,dlts\n1,3,6,0\n", "column n", "2 times"),
    "unread column twice": ("level,n,dlts,x,x\n1,3,0,,\n", "column x", "2 times"),
    "row cut off": ("level,n,dlts,comment\n1,3,0,\n1,3", "row 3"),
    "line break in a cell": ('level,n,dlts,comment\n1,3,0,"a\n2,3,0,b"\n', "row 2, comment"),
    "digits without end": (f"level,n,dlts\n1,{'9' * 5000},0\n", "row 2.n"),
    "field beyond the reader's limit": (f"level,n,dlts,comment\n1,3,0,{'x' * 200_000}\n", "row 2"),
    "fullwidth digit": ("level,n,dlts\n1,\uff13,0\n", "row 2.n"),
    "Arabic digit": ("level,n,dlts\n\u0661,3,0\n", "row 2.level"),
    "fullwidth dose": ("dose,n,dlts\n\uff13,3,0\n", "row 2.dose"),
    "underscore": ("level,n,dlts\n1,0_3,0\n", "row 2.n"),
    "infinite": ("level,n,dlts\n1,inf,0\n", "row 2.n"),
    "not a number": ("dose,n,dlts\nnan,3,0\n", "row 2.dose"),
    "hexadecimal": ("level,n,dlts\n1,0x3,0\n", "row 2.n"),
    "vertical tab": ("level,n,dlts\n1,3,0\v2,3,0\n", "row 2"),
    "blank lines": ("level,n,dlts\n\n\n1,3,9\n", "row 4.dlts"),
    "semicolons": ("level;n;dlts\n1;3;0\n", "semicolons"),
    "zero byte": ("level,n,dlts\n1,3,0\0\n", "zero bytes"),
    "no rows": ("level,n,dlts\n", "no rows"),
    "a mark alone": ("\ufeff", "empty"),
}


@pytest.mark.parametrize("case", BAD_COUNTS)
def test_bad_tables_of_counts_are_refused(case, tmp_path):
    text, *words = BAD_COUNTS[case]
    refused(written(tmp_path, text, "counts.csv"), *words, read=lambda path: read_counts(path, (1, 3, 5)))


@pytest.mark.parametrize(
    "text",
    [
        "level,n,dlts\n1,3,0\n2,3,1\n",
        "level,n,dlts\r1,3,0\r2,3,1",
        '\ufefflevel,n,dlts,comment\r\n\r\n1, 3 ,0,"a, b"\r\n2,3.0,1,"say ""x"""\r\n',
        "Level,N,DLTs,\n1,3,0,x\n2,3,1,\n",
    ],
)
def test_good_tables_of_counts_are_read(text, tmp_path):
    assert read_counts(written(tmp_path, text, "counts.csv"), (1, 3, 5)) == [Cohort(1, 3, 0), Cohort(2, 3, 1)]


# Dates -------------------------------------------------------------------------------------------------------------------


NO_DATES = """
2024-03-05 nonsense|2024-03-05 x|2024-03-05T|2024-03-05T99:99:99.+-Z|2024-03-05 99:99|2024-03-05T24:00|2024-03-05T10:60
2024-03-05T10:30+99:00|2024-03-05T10:30Zulu|2024-03-05T10:30:00.|2024-03-05 ..|2024-03-05T-|2024-03-05T10:30 AM|2024-03T10:30
2024-02-30|2023-02-29|2024-00-05|2024-13-05|0000-03-05|9999-03-05|1899-12-31|24-03-05|2024-3-5|+2024-03-05|2024-03|2024
2024-W10-2|2024065|2024-065|20240305|05/03/2024|5 March 2024|45356|2024-03-05/2024-03-06|True|inf|0
"""
FULLWIDTH = ("\uff12024-03-05", "2024\u201303\u201305", "\u0662\u0660\u0662\u0664-03-05")
DATES = """
2024-03-05| 2024-03-05 |2024-03-05T14:30|2024-03-05T14:30:00|2024-03-05T14:30:00.123|2024-03-05T00:00:00Z|2024-03-05T23:59:60
2024-03-05T14:30+02:00|2024-03-05T14:30:00-0500|2024-03-05T14:30:00+01|2024-03-05T-:15|2024-03-05T14:-:17|2024-03-05T14:-
2024-03-05T14|2024-03-05 14:30|2024-03-05 9:30|2024-03-05 00:00:00+00:00
"""


@pytest.mark.parametrize("text", [*re.split("[|\n]", NO_DATES.strip("\n")), *FULLWIDTH])
def test_invalid_dates_are_rejected(text, tmp_path):
    refused(written(tmp_path, PEOPLE.replace("2024-03-08", text)), "row 3, subject A-2, infusion_1")


@pytest.mark.parametrize("text", re.split("[|\n]", DATES.strip("\n")))
def test_dates_with_a_time_of_day_are_read(text, tmp_path):
    found = read_patients(written(tmp_path, PEOPLE.replace("2024-03-08", text)), AS)
    assert next(patient for patient in found.patients if patient.subject == "A-2").infusions == (date(2024, 3, 5),)


# Workbooks ---------------------------------------------------------------------------------------------------------------

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
# Number formats of cells: 1 a date, 2 a duration, 3 a time of day.
STYLES = (
    f'<styleSheet xmlns="{MAIN}"><numFmts count="2"><numFmt numFmtId="164" formatCode="[h]:mm:ss"/>'
    '<numFmt numFmtId="165" formatCode="hh:mm"/></numFmts><fonts count="1"><font/></fonts>'
    '<fills count="1"><fill><patternFill/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="4"><xf/>'
    '<xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>'
)
ROWS = (("subject", "level", "infusion_1", "dlt"), ("A-1", 1, "2024-03-01", "no"), ("A-2", 1, "2024-03-08", "no"))


def cell(place, value):
    """The XML of a cell: a number, text, or XML as it is."""
    if isinstance(value, str) and value.startswith("<c "):
        return value
    text = (
        f'<c r="{place}"><v>{value}</v></c>'
        if isinstance(value, int)
        else f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    )
    return text if value != "" else ""


def row(number, cells, attributes=""):
    inside = "".join(cell(f"{chr(65 + place)}{number}", value) for place, value in enumerate(cells))
    return f'<row r="{number}"{attributes}>{inside}</row>'


def sheet(*rows, before="", after=""):
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{"".join(rows)}</sheetData>{after}</worksheet>'


def rows(table=ROWS):
    return [row(number, cells) for number, cells in enumerate(table, start=1)]


def workbook(*sheets, names=("patients", "events", "notes"), states=("visible",) * 3, without=(), kind="worksheet", office=OFFICE):
    """The bytes of a workbook with these sheets."""
    many = range(1, len(sheets) + 1)
    entries = "".join(f'<sheet name="{names[k - 1]}" sheetId="{k}" state="{states[k - 1]}" r:id="r{k}"/>' for k in many)
    links = "".join(f'<Relationship Id="r{k}" Type="{OFFICE}/{kind}" Target="worksheets/sheet{k}.xml"/>' for k in many)
    types = "".join(
        f'<Override PartName="/xl/worksheets/sheet{k}.xml" '
        f'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}+xml"/>'
        for k in many
    )
    book = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{book}"/>{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{office}"><sheets>{entries}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>',
        "xl/styles.xml": STYLES,
    } | {f"xl/worksheets/sheet{k}.xml": text for k, text in zip(many, sheets, strict=True)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            if name not in without:
                archive.writestr(name, text)
    return file.getvalue()


def with_cell(xml, column=2):
    """The workbook of which this is a cell of the second patient."""
    return workbook(sheet(*rows([*ROWS[:2], [*ROWS[2][:column], xml, *ROWS[2][column + 1 :]]])))


DIMENSION = '<dimension ref="A1:B2"/>'
GOOD_BOOKS = {
    "plain": workbook(sheet(*rows())),
    "dimension too small": workbook(sheet(*rows(), before=DIMENSION)),
    "rows and cells without numbers": workbook(sheet(*(re.sub(r' r="\w+"', "", text) for text in rows()))),
    "rows with gaps": workbook(sheet(row(3, ROWS[0]), row(7, ROWS[1]), row(100_000, ROWS[2]))),
    "the last row of all": workbook(sheet(row(1, ROWS[0]), row(7, ROWS[1]), row(1_048_576, ROWS[2]))),
    "columns far apart": workbook(sheet(*(text.replace('r="D', 'r="XFD') for text in rows()))),
    "an empty row twice": workbook(sheet(*rows(), row(3, ()))),
    "merged cells beside the table": workbook(sheet(*rows(), after='<mergeCells><mergeCell ref="J1:J9"/></mergeCells>')),
    "notes with merged cells and lines": workbook(
        sheet(*rows()),
        sheet(row(1, ["about\nit"]), row(2, ["x"]), after='<mergeCells><mergeCell ref="A1:B1"/></mergeCells>'),
        names=("patients", "notes"),
    ),
    "a date": with_cell('<c r="C3" s="1"><v>45359</v></c>'),
    "a date with a time of day": with_cell('<c r="C3" s="1"><v>45359.5</v></c>'),
    "a date shown as a time of day": with_cell('<c r="C3" s="3"><v>45359.5</v></c>'),
}


@pytest.mark.parametrize("case", GOOD_BOOKS)
def test_no_row_of_a_workbook_is_lost(case, tmp_path):
    found = read_patients(written(tmp_path, GOOD_BOOKS[case], "book.xlsx"), AS)
    assert [(patient.subject, str(patient.infusions[0]), patient.dlt) for patient in found.patients] == [
        ("A-1", "2024-03-01", False),
        ("A-2", "2024-03-08", False),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (workbook(sheet(*rows(), row(4, ROWS[2], ' hidden="1"').replace("A-2", "A-3"))), "hidden rows are read too: 4"),
        (workbook(sheet(*rows()), states=("hidden",)), "is hidden"),
        (workbook(sheet(*rows([[*ROWS[0], ""], [*ROWS[1], "x"], [*ROWS[2], ""]]))), "column E"),
    ],
)
def test_hidden_parts_of_a_workbook_are_noted(content, words, tmp_path):
    assert words.lower() in " ".join(read_patients(written(tmp_path, content, "book.xlsx"), AS).notes).lower()


def merged(place):
    return workbook(sheet(*rows(), after=f'<mergeCells count="1"><mergeCell ref="{place}"/></mergeCells>'))


def only_a_chart():
    import openpyxl.chart

    book, file = openpyxl.Workbook(), io.BytesIO()
    book.create_chartsheet("chart").add_chart(openpyxl.chart.BarChart())
    book.remove(book.worksheets[0])
    book.save(file)
    return file.getvalue()


HUGE = workbook(sheet(*rows(), after=f"<!--{' ' * 51_000_000}-->"))
BAD_BOOKS = {
    "row number twice": (workbook(sheet(*rows(), row(3, ROWS[2]).replace("A-2", "A-3"))), "row 3", "twice"),
    "rows descending": (workbook(sheet(row(1, ROWS[0]), row(5, ROWS[1]), row(4, ROWS[2]))), "row 4", "after row 5"),
    "cell of another row": (workbook(sheet(*rows(), row(4, ROWS[2]).replace('r="D4"', 'r="D3"'))), "row 4", "D3"),
    "cell twice": (workbook(sheet(*rows(), row(4, ROWS[2]).replace('r="D4"', 'r="C4"'))), "row 4", "C4", "twice"),
    "cells out of order": (workbook(sheet(*rows(), row(4, ROWS[2]).replace('r="A4"', 'r="E4"'))), "row 4", "B4"),
    "merged over two patients": (merged("D2:D3"), "D2:D3"),
    "merged over two columns": (merged("C3:D3"), "C3:D3"),
    "merged header": (merged("C1:D1"), "C1:D1"),
    "columns of one name": (workbook(sheet(*rows([[*ROWS[0][:3], "Infusion_1"], *ROWS[1:]]))), "column infusion_1"),
    "a duration": (with_cell('<c r="C3" s="2"><v>3</v></c>'), "row 3, subject A-2, infusion_1"),
    "a duration as long as to this day": (with_cell('<c r="C3" s="2"><v>45356</v></c>'), "row 3, subject A-2, infusion_1"),
    "a time of day": (with_cell('<c r="C3" s="3"><v>0.5</v></c>'), "row 3, subject A-2, infusion_1"),
    "a number shown as a time of day": (with_cell('<c r="C3" s="3"><v>3.5</v></c>'), "row 3, subject A-2, infusion_1"),
    "a number shown as a date": (with_cell('<c r="C3" s="1"><v>3</v></c>'), "row 3, subject A-2, infusion_1"),
    "a dose shown as a date": (with_cell('<c r="B3" s="1"><v>1</v></c>', 1), "row 3, subject A-2, level"),
    "a date beyond all": (with_cell('<c r="C3" s="1"><v>99999999</v></c>'), "row 3, subject A-2, infusion_1"),
    "a number": (with_cell('<c r="C3"><v>45359</v></c>'), "row 3, subject A-2, infusion_1"),
    "yes as a date": (with_cell('<c r="C3" t="b"><v>1</v></c>'), "row 3, subject A-2, infusion_1"),
    "yes as a level": (with_cell('<c r="B3" t="b"><v>1</v></c>', 1), "row 3, subject A-2, level"),
    "an error as a date": (with_cell('<c r="C3" t="e"><v>#REF!</v></c>'), "row 3, subject A-2, infusion_1", "#REF!"),
    "an error as a name": (with_cell('<c r="A3" t="e"><v>#NAME?</v></c>', 0), "row 3", "#NAME?"),
    "an error as a flag": (with_cell('<c r="D3" t="e"><v>#DIV/0!</v></c>', 3), "row 3, subject A-2, dlt", "#DIV/0!"),
    "a formula without a value": (with_cell('<c r="C3"><f>TODAY()</f></c>'), "row 3, subject A-2, infusion_1", "formula"),
    "a formula with a value": (with_cell('<c r="C3" s="1"><f>C2+7</f><v>45359</v></c>'), "row 3, subject A-2", "formula"),
    "a level of many digits": (with_cell(f'<c r="B3" t="str"><v>{"9" * 5000}</v></c>', 1), "row 3, subject A-2, level"),
    "only a chart": (only_a_chart(), "charts"),
    "no cells": (workbook(sheet()), "is empty"),
    "only a header": (workbook(sheet(*rows(ROWS[:1]))), "no rows"),
    "sheets of one name": (workbook(sheet(*rows()), sheet(*rows()), names=("patients", "Patients")), "several sheets of the same"),
    "a second sheet with data": (workbook(sheet(*rows()), sheet(*rows()), names=("patients", "more")), "more"),
    "a sheet that is not in it": (workbook(sheet(*rows()), sheet(*rows()), without=("xl/worksheets/sheet2.xml",)), "damaged"),
    "a strict workbook": (workbook(sheet(*rows()), office="http://purl.oclc.org/ooxml/officeDocument/relationships"), "Strict"),
    "no list of sheets": (workbook(sheet(*rows()), without=("xl/workbook.xml",)), "not an Excel workbook"),
    "another zip archive": (workbook(without=("xl/workbook.xml", "[Content_Types].xml")), "not an Excel workbook"),
    "a password": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + "Workbook".encode("utf-16-le"), ".xls"),
    "text": (PEOPLE.encode(), "not an Excel workbook"),
    "a page": (b"<html><table><tr><td>subject</td></tr></table></html>", "not an Excel workbook"),
    "an archive that unpacks to gigabytes": (HUGE, "MB unpacked"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BOOKS)
def test_a_workbook_that_cannot_be_read_is_refused(case, tmp_path):
    content, *words = BAD_BOOKS[case]
    refused(written(tmp_path, content, "book.xlsx"), *words)


# Transport files ---------------------------------------------------------------------------------------------------------


@cache
def domains(version):
    """The files of SDTM domains as bytes."""
    people, events = made.trial(7)
    with tempfile.TemporaryDirectory() as folder:
        for name, table in made.sdtm(people, events).items():
            made.write_xpt(Path(folder) / f"{name}.xpt", table, version)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def records(content):
    """Rows of a transport file, as the reader has them."""
    with tempfile.NamedTemporaryFile(suffix=".xpt") as file:
        Path(file.name).write_bytes(content)
        (table,) = READERS[".xpt"](Path(file.name), content, str.upper)
    return [row.cells for row in table.rows]


def folder_with(folder, version, **changed):
    for name, content in domains(version).items():
        written(folder, changed.get(name.partition(".")[0], lambda content: content)(content), name)
    return folder


HEAD = b"HEADER RECORD*******"
BAD_TRANSPORT = {
    "cut inside a record": (5, lambda data: data[:-160], "truncated in record"),
    "cut inside the variables": (5, lambda data: data[:1200], "truncated before its records"),
    "cut inside its head": (5, lambda data: data[:400], "truncated before its variables"),
    "cut inside a card": (5, lambda data: data[:-7], "multiple of 80 bytes"),
    "a record fewer than stated": (8, lambda data: restated(data, 1), "records"),
    "a record more than stated": (8, lambda data: restated(data, -1), "records"),
    "two tables": (5, lambda data: data + data[3 * _CARD :], "several tables"),
    "the head of another file": (5, lambda data: data.replace(b"LIBRARY ", b"LIBRARIES", 1)[:-1], "not a SAS transport file"),
    "text": (5, lambda data: b"USUBJID,AETERM\n".ljust(_CARD), "not a SAS transport file"),
    "nothing": (5, lambda data: b"", "is empty"),
}


def restated(content, more):
    """The file of version 8 with another number of records in its head."""
    start = content.index(HEAD + b"OBSV8") + 48
    return content[:start] + b"%15d" % (int(content[start : start + 15]) + more) + content[start + 15 :]


@pytest.mark.parametrize("case", BAD_TRANSPORT)
def test_a_transport_file_that_is_not_whole_is_refused(case, tmp_path):
    version, change, words = BAD_TRANSPORT[case]
    refused(folder_with(tmp_path, version, ae=change) / "ae.xpt", words, read=lambda path: read_patients(path.parent, AS))


@pytest.mark.parametrize("version", [5, 8])
def test_blanks_at_the_end_of_a_transport_file_are_no_records(version):
    content = domains(version)["dm.xpt"]
    whole = records(content)
    assert len(whole) == 7
    assert records(content + b" " * _CARD * 20) == whole


# Files that are none -----------------------------------------------------------------------------------------------------

READ = {
    "data": lambda path: read_patients(path, AS),
    "events": lambda path: read_patients(written(path.parent, PEOPLE, "people.csv"), AS, events=path),
    "counts": lambda path: read_counts(path, (1, 3, 5)),
    "config": load_protocol,
}


def fifo(path):
    os.mkfifo(path)


def large(path):
    with path.open("wb") as file:
        file.truncate(100_000_000)


def listening(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


OTHERS = {
    "a named pipe": (fifo, "named pipe"),
    "a link to a device": (lambda path: path.symlink_to("/dev/zero"), "device"),
    "a link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "a link to nothing": (lambda path: path.symlink_to(path.with_name("none")), "No such file"),
    "an empty file": (lambda path: path.touch(), ""),
    "a large file": (large, "100.0 MB (100,000,000 bytes)"),
    "nothing": (lambda path: None, "No such file"),
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("role", READ)
def test_other_paths_than_files_are_rejected_at_once(role, case, tmp_path):
    make, words = OTHERS[case]
    path = tmp_path / "x.csv"
    make(path)
    refused(path, words, read=READ[role])


@pytest.mark.parametrize("role", ["events", "counts", "config"])
def test_a_folder_is_no_file(role, tmp_path):
    (tmp_path / "x.csv").mkdir()
    refused(tmp_path / "x.csv", "directory", read=READ[role])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no sockets with a name on this system")
def test_a_socket_is_no_file(tmp_path, monkeypatch):
    # The name of a socket has at most about 100 characters.
    monkeypatch.chdir(tmp_path)
    listening("x.csv")
    refused(tmp_path / "x.csv", "socket", read=READ["data"])


@contextmanager
def as_nobody():
    """As a user who owns no file, where this one may read every file."""
    mighty = os.geteuid() == 0
    if mighty:
        os.seteuid(65534)
    try:
        yield
    finally:
        if mighty:
            os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions of files on this system")
@pytest.mark.parametrize("role", READ)
def test_a_file_that_may_not_be_read(role, tmp_path):
    written(tmp_path, PEOPLE, "people.csv")
    written(tmp_path, PEOPLE, "x.csv").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)

    def read(path):
        with as_nobody():
            (partial(read_patients, tmp_path / "people.csv", AS, events=path) if role == "events" else partial(READ[role], path))()

    refused(tmp_path / "x.csv", "Permission denied", read=read)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no permissions of files on this system")
@pytest.mark.parametrize("name", ["x.csv", "x.txt", "folder"])
def test_a_folder_that_may_not_be_searched(name, tmp_path):
    shut = tmp_path / "shut"
    shut.mkdir(mode=0)

    def read(path):
        with as_nobody():
            read_patients(path, AS)

    refused(shut / name, "Permission denied", read=read)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("case", ["a named pipe", "a link to itself", "a link to nothing"])
def test_a_domain_that_cannot_be_read_is_not_passed_over(case, tmp_path):
    folder_with(tmp_path, 5)
    (tmp_path / "ae.xpt").unlink()
    make, words = OTHERS[case]
    make(tmp_path / "ae.xpt")
    refused(tmp_path / "ae.xpt", words, read=lambda path: read_patients(path.parent, AS))


# Files cut off at any byte -----------------------------------------------------------------------------------------------

cuts = settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = (
    'subject,term,grade,related,start\r\nA-1,"Fever, high",1,related,2024-03-02\r\n\r\n'
    'A-2,"Rash ""x""",3,related,2024-03-10\nA-1,Pain,2,,\n'
)


def csv_rows(text, path="events.csv"):
    (table,) = READERS[".csv"](Path(path), text.encode(), str.lower)
    return [list(row.cells.values()) for row in table.rows], table.notes


@cuts
@given(place=st.integers(1, len(TEXT)))
def test_csv_cut_at_any_byte(place):
    part = TEXT[:place]
    at_end_of_line = part.endswith(("\n", "\r"))
    complete = sum(1 for line in part.splitlines(keepends=True) if line.endswith(("\n", "\r")) and line.strip())
    try:
        rows, notes = csv_rows(part)
    except InputError:
        assert not at_end_of_line
        return
    # Rows that are whole are all there; one that may not be is noted.
    whole = max(complete - 1, 0)
    assert rows[:whole] == csv_rows(TEXT)[0][:whole]
    assert len(rows) == whole + (complete > 0 and not at_end_of_line)
    assert bool(notes) == (not at_end_of_line)


@cuts
@given(data=st.data())
def test_workbook_cut_at_any_byte(data, tmp_path):
    content = GOOD_BOOKS["plain"]
    place = data.draw(st.integers(1, len(content) - 1))
    refused(written(tmp_path, content[:place], "book.xlsx"), "not an Excel workbook")


@cuts
@given(data=st.data(), version=st.sampled_from([5, 8]))
def test_transport_file_cut_at_any_byte(data, version):
    content = domains(version)["ae.xpt"]
    whole = records(content)
    place = data.draw(st.integers(1, len(content) // _CARD).map(lambda card: card * _CARD) | st.integers(1, len(content)))
    try:
        found = records(content[:place])
    except InputError:
        assert place < len(content)
        return
    assert found == whole[: len(found)]
    if place < len(content):
        # Version 5 does not say how many records there are: one ends within the last card, which is filled up with blanks.
        assert version == 5
        start, variables = content.index(HEAD + b"OBS ") + _CARD, int(content[7 * _CARD + 54 : 7 * _CARD + 58])
        lengths = [int.from_bytes(content[8 * _CARD + 140 * k + 4 : 8 * _CARD + 140 * k + 6]) for k in range(variables)]
        assert not content[start + len(found) * sum(lengths) : place].strip()
