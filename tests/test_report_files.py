"""The report as PDF and Word: the same content as the HTML, read back from the files; texts of users are only texts."""

import csv
import dataclasses
import io
import re
import subprocess
import sys
import unicodedata
import warnings
import zipfile
from itertools import pairwise

import docx
import pypdf
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.provenance import save_tables
from dosefind.show import content
from dosefind.show.content import Column, Figure, Note, Paragraph, Run, Section, Table, text
from dosefind.show.report import Report

from . import made_up
from .test_report import CONFIG, CUT, HOSTILE, MISSING, harmless, in_two_processes, read, rows, said, small


def plain(words):
    return "".join(run.text for run in words)


def every(document):
    """All sections, those within others after them."""
    return list(content._all(document.sections))


def tables(document):
    return [block for one in every(document) for block in one.blocks if isinstance(block, Table)]


def squeezed(words):
    """Without blanks, which the places of letters on a page only hint at, and with letters that typst joins taken apart."""
    return re.sub(r"\s", "", unicodedata.normalize("NFKC", words))


def pages(pdf):
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(pdf), strict=True).pages]


def word(file):
    return docx.Document(io.BytesIO(file))


@pytest.fixture(scope="module")
def conduct():
    return dsf.report(dsf.load_protocol(CONFIG), made_up.single_dose(), CUT)


@pytest.fixture(scope="module")
def conduct_pdf(conduct):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return conduct.pdf()


@pytest.fixture(scope="module")
def conduct_word(conduct):
    return conduct.docx()


@pytest.mark.parametrize("lines", [1, 60])
def test_what_is_left_of_a_long_first_page_does_not_stand_alone(lines, conduct):
    """The contents come on the page after the summary, and on the one with its end where that is a second page."""
    first = Section("summary", text("Summary"), (content.Bullets((text("one line"),) * lines),), own_page=True)
    shown = pages(dataclasses.replace(conduct, sections=(first, Section("rest", text("Rest"), (Paragraph(text("so")),)))).pdf())
    assert "Contents" not in shown[0]
    assert "Contents" in shown[1]
    assert ("one line" in shown[1]) == (lines > 1)


# The same figures in every format.


@pytest.mark.slow
def test_tables_of_the_three_formats_are_those_of_the_content(conduct, conduct_pdf, conduct_word):
    """And those of the HTML are held against the library in test_report.py."""
    expected = [
        [[plain(one.heading) for one in table.columns], *[[*map(plain, row)] for row in table.rows]] for table in tables(conduct)
    ]
    assert len(expected) > 10
    in_html = [one for one in read(conduct.html()).iter("table") if one.get("class") != "signature"]
    assert [[[said(cell) for cell in row] for row in one.iter("tr")] for one in in_html] == expected
    in_word = [one for one in word(conduct_word).tables if one.rows[0].cells[0].text in {row[0][0] for row in expected}]
    in_word = [[[cell.text for cell in row.cells] for row in one.rows] for one in in_word]
    assert [one for one in in_word if one[0][0] != "role"] == expected
    in_pdf = squeezed(" ".join(pages(conduct_pdf)))
    for table in expected:
        for row in table[1:]:
            assert [cell for cell in row if squeezed(cell) not in in_pdf] == []
    # Rows without long texts stand in one line, so that their figures are in order.
    figures = [row for table in expected for row in table[1:] if len(row) > 4 and all(len(cell) < 12 for cell in row)]
    assert len(figures) > 20
    place = -1
    for row in figures:
        place = in_pdf.find(squeezed("".join(row)), place + 1)
        assert place >= 0, row


@pytest.mark.slow
def test_figures_of_the_pdf_and_the_word_file_are_those_of_the_library(conduct_pdf, conduct_word):
    protocol = dsf.load_protocol(CONFIG)
    found = dsf.next_dose(protocol, made_up.single_dose(), CUT)
    summary = dsf.analyze(protocol, found.evaluated.cohorts()).summary
    by_word = {
        caption.text.partition(". ")[2]: table
        for caption, table in zip(captions(word(conduct_word), "Table"), data_tables(word(conduct_word)), strict=True)
    }
    (rates,) = [table for caption, table in by_word.items() if caption.startswith("DLT rate by dose: dose in")]
    shown = [[cell.text for cell in row.cells] for row in rates.rows][1:]
    in_pdf = squeezed(" ".join(pages(conduct_pdf)))
    for d, row in enumerate(shown):
        at = summary.isel(dose=d)
        mean, *figures = (f"{100 * float(at[name]):.1f}" for name in ("mean", "p_target", "p_over", "prior_p_over"))
        interval = f"{100 * float(at.lower):.1f}\u2013{100 * float(at.upper):.1f}"
        assert row[3:8] == [mean, interval, *figures]
        assert squeezed("".join([mean, interval, *figures])) in in_pdf
    lead = squeezed(f"The MTD is uncertain: most likely level 3 or above, {100 * summary.mtd.values[-1]:.1f}%")
    assert lead in in_pdf
    assert lead in squeezed(" ".join(one.text for one in word(conduct_word).paragraphs))


def test_no_column_lies_beyond_the_page():
    """Also where every column has a word too long for its share: such a table was cut off at the paper's edge."""
    head = tuple(content.Column(content.text("incomprehensibilities")) for _ in range(9))
    wide = content.Table(content.text("wide"), head, ((content.text("incomprehensibilities"),) * 9,))
    for line in (84, 100, 114):
        assert sum(wide.widths(line)) <= line + 1e-9


def captions(found, kind):
    return [one for one in found.paragraphs if one.style.name == "Caption" and one.text.startswith(kind)]


OF_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def data_tables(found):
    return [one for one in found.tables if one.style.name == "Report Table" and one.rows[0].cells[0].text != "role"]


@pytest.mark.slow
def test_a_new_section_and_a_new_design_appear_in_all_formats():
    changed = small(designs={"brand-new": {"kind": "boin", "max_n_per_dose": 6}})
    found = dsf.report(changed, made_up.single_dose(), CUT)
    seen = Table(text("Seen."), (Column(text("what")), Column(text("n"), True)), ((text("<b>"), text("7")),), (text("Below."),))
    inner = Section("inner", text("Inner title"), (Note("Mind", (text("this"), text("that"))),))
    more = Section("more", text("Further title"), (content.Paragraph(text("One thing.")), seen), (inner,))
    found = dataclasses.replace(found, sections=(*found.sections, more))
    number = len(found.sections)
    tree, pdf, file = read(found.html()), found.pdf(), word(found.docx())
    assert rows(tree, "Seen.") == [["what", "n"], ["<b>", "7"]]
    last = next(one for one in data_tables(file)[::-1])
    assert [[cell.text for cell in row.cells] for row in last.rows] == [["what", "n"], ["<b>", "7"]]
    assert "brand-new" in {row.cells[0].text for table in data_tables(file) for row in table.rows}
    in_pdf = squeezed(" ".join(pages(pdf)))
    for words in ("brand-new", f"{number} Further title", f"{number}.1 Inner title", "<b>7", "Mind", "Below."):
        assert squeezed(words) in in_pdf
    assert [one.text for one in file.paragraphs if one.style.name == "Heading 1"][-1] == "Further title"
    wrong = Section("wrong", text("Wrong"), ("no block",))
    for make in (Report.pdf, Report.docx):
        with pytest.raises(Exception, match=r"no such block|cannot access|does not contain|type string"):
            make(dataclasses.replace(found, sections=(wrong,)))


# The files themselves.


def test_the_pdf_is_tagged_and_has_title_language_date_and_bookmarks(conduct, conduct_pdf):
    reader = pypdf.PdfReader(io.BytesIO(conduct_pdf), strict=True)
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert reader.metadata.title == f"{plain(conduct.title)}: {plain(conduct.subtitle)}"
    assert reader.metadata.creation_date.date() == CUT
    assert "<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data().decode()
    marks = [one for one in reader.outline if not isinstance(one, list)]
    titles = [re.sub(r"^[\d.]+\s+", "", one.title) for one in marks]
    assert [one for one in titles if one != conduct.labels["contents"]] == [plain(one.title) for one in conduct.sections]
    # No file, action or address is in it, and no font but the embedded ones.
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFiles|AA)\b", conduct_pdf)
    fonts = {
        str(font["/BaseFont"])
        for page in reader.pages
        for font in (one.get_object() for one in page["/Resources"].get("/Font", {}).values())
    }
    assert fonts
    assert all(re.search("LibertinusSerif|DejaVuSans", font) for font in fonts)


@pytest.mark.slow
def test_what_introduces_a_table_or_picture_is_on_its_page():
    report = dsf.report(dsf.load_protocol(CONFIG))
    made = [squeezed(page) for page in pages(report.pdf())]
    introduced = [
        (squeezed(plain(one.text)), squeezed(plain(following.caption)))
        for section in every(report)
        for one, following in pairwise(section.blocks)
        if isinstance(one, Paragraph) and isinstance(following, (Table, Figure))
    ]
    assert len(introduced) > 5
    for words, caption in introduced:
        assert any(words[-60:] in page and caption[:40] in page[page.index(words[-60:]) :] for page in made), words


def test_pictures_bring_their_alternative_text(conduct, conduct_pdf, conduct_word):
    alts = [block.alt for one in every(conduct) for block in one.blocks if isinstance(block, Figure)]
    assert len(alts) > 3
    found = []

    def walk(node):
        node = node.get_object()
        if isinstance(node, dict):
            if "/Alt" in node and node.get("/S") == "/Figure":
                found.append(str(node["/Alt"]))
            kids = node.get("/K", [])
            for kid in kids if isinstance(kids, list) else [kids]:
                walk(kid)

    walk(pypdf.PdfReader(io.BytesIO(conduct_pdf)).trailer["/Root"]["/StructTreeRoot"])
    assert found == alts
    pictures = [one._inline for one in word(conduct_word).inline_shapes]
    assert [one.docPr.get("descr") for one in pictures] == alts
    with zipfile.ZipFile(io.BytesIO(conduct_word)) as made:
        images = [name for name in made.namelist() if name.startswith("word/media/")]
    assert len(images) == len(alts)
    assert all(name.endswith(".png") for name in images)


def test_the_word_file_has_styles_headers_captions_and_properties(conduct, conduct_word):
    file = word(conduct_word)
    about = file.core_properties
    assert about.title == f"{plain(conduct.title)}: {plain(conduct.subtitle)}"
    assert (about.author, about.last_modified_by, about.language) == ("", "", "en")
    assert about.created.date() == about.modified.date() == CUT
    sections = every(conduct)
    headings = [one.text for one in file.paragraphs if one.style.name.startswith("Heading ")]
    assert headings == [plain(one.title) for one in sections]
    for table in data_tables(file):
        first, *others = table._tbl.tr_lst
        assert first.find(f"{OF_WORD}trPr/{OF_WORD}tblHeader") is not None
        assert all(row.find(f"{OF_WORD}trPr/{OF_WORD}tblHeader") is None for row in others)
    for kind, count in (("Table", len(tables(conduct))), ("Figure", len(file.inline_shapes))):
        shown = captions(file, kind)
        assert [one._p.find(f"{OF_WORD}fldSimple").find(f"{OF_WORD}r").text for one in shown] == [str(k + 1) for k in range(count)]
        fields = [one._p.find(f"{OF_WORD}fldSimple").get(f"{OF_WORD}instr") for one in shown]
        assert set(fields) == {f" SEQ {kind} \\* ARABIC "}
    # Headings are numbered by their style, not in their text.
    assert all(file.styles[f"Heading {level}"].element.pPr.numPr is not None for level in (1, 2, 3))


BYTES = """
import hashlib, dosefind as dsf
from tests import made_up, test_report
found = dsf.report(test_report.small(), made_up.single_dose(), test_report.CUT)
for made in (found.pdf(), found.docx(), found.html().encode(), found.pdf()):
    print(hashlib.sha256(made).hexdigest())
"""


@pytest.mark.slow
def test_the_same_bytes_in_two_processes():
    made = in_two_processes(BYTES)
    assert made[0] == made[1]
    assert made[0][0] == made[0][3]


# Texts of users.


@pytest.fixture(scope="module")
def hostile():
    people = [made_up.patient(name, 1, 10 * k + 1, source=(f"row {k}",)) for k, name in enumerate(HOSTILE)]
    changed = small(
        record={
            **small().record.model_dump(),
            "id": '#read("/etc/passwd")',
            "title": "</w:t><w:b/> *b* $x$ @x",
            "product": "=cmd|' /C calc'!A0",
        },
        scenarios={"<i>$x$ {n}</i>": [0.1, 0.2, 0.3], "#read(1)": [0.1, 0.2, 0.3]},
    )
    return dsf.report(changed, made_up.trial(*people))


@pytest.mark.slow
def test_hostile_texts_are_only_shown(hostile):
    escaped = [plain((Run(one),)) for one in HOSTILE]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdf, file = hostile.pdf(), hostile.docx()
    in_pdf = squeezed(" ".join(pages(pdf)))
    assert "root:" not in in_pdf
    # A line of Hebrew is laid out from the right; what it says is tested on its own.
    for one in [*escaped, '#read("/etc/passwd")', "</w:t><w:b/> *b* $x$ @x", "=cmd|' /C calc'!A0"]:
        if "\u05d0" not in one:
            assert squeezed(one) in in_pdf or squeezed(one) in squeezed(pdf_of_long(in_pdf, one)), one
    assert not re.search(rb"/(JavaScript|JS|Launch|URI|EmbeddedFiles|AA)\b", pdf)
    subjects = [
        row.cells[0].text for table in data_tables(word(file)) if table.rows[0].cells[0].text == "subject" for row in table.rows[1:]
    ]
    assert set(subjects) == set(escaped)
    with zipfile.ZipFile(io.BytesIO(file)) as made:
        for name in made.namelist():
            if name.endswith(".rels"):
                assert b'TargetMode="External"' not in made.read(name)
        assert set(re.findall(rb'instr="([^"]*)"', made.read("word/document.xml"))) <= {
            b" SEQ Table \\* ARABIC ",
            b" SEQ Figure \\* ARABIC ",
        }
    html = hostile.html()
    harmless(read(html), html)


def pdf_of_long(in_pdf, one):
    """A cell over several pages has the page's foot and the table's head within it."""
    return one if in_pdf.count("w") >= len(one) else ""


def test_hostile_texts_in_csv_are_not_formulas(tmp_path):
    people = [made_up.patient(name, 1, 10 * k + 1, source=(f"row {k}",)) for k, name in enumerate(HOSTILE)]
    found = dsf.next_dose(small(), made_up.trial(*people))
    save_tables(found.tables, found.attrs | {"seed": None}, tmp_path, "next")
    cells = []
    for path in tmp_path.glob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert any("cmd" in cell for cell in cells)
    assert not any(re.match(r"[=+@\t\r]|-\D", cell) for cell in cells)


def test_a_table_that_may_be_longer_than_a_page_may_break():
    def table(rows, cell):
        return Table(text("x"), (Column(text("a")),), tuple((text(cell),) for _ in range(rows)))

    assert table(20, "w" * 100).short
    assert not table(21, "w").short
    assert not table(1, "w" * 10_000).short


def test_a_character_that_no_font_has_is_named(conduct):
    words = "a\u4f4eb \U0001f9ec \u05d0"
    found = dataclasses.replace(conduct, sections=(Section("x", text(words), ()),))
    with pytest.warns(
        UserWarning, match=r"\u4f4e \(U\+4F4E CJK UNIFIED IDEOGRAPH-4F4E\), \U0001f9ec \(U\+1F9EC DNA DOUBLE HELIX\)$"
    ):
        made = found.pdf()
    in_pdf = squeezed(" ".join(pages(made)))
    assert r"a\u4f4eb\u1f9ec" in in_pdf
    assert "\u05d0" in in_pdf
    assert "\x00" not in in_pdf
    # Word has fonts of its own for them.
    assert word(found.docx()).paragraphs[-2].text == words


@pytest.mark.slow
def test_the_command_passes_a_warning_on(tmp_path):
    config = tmp_path / "trial.toml"
    config.write_text(
        CONFIG.read_text(encoding="utf-8").replace('id = "NCT05962762"', 'id = "NCT05962762 \u4f4e"'), encoding="utf-8"
    )
    path = tmp_path / "patients.csv"
    path.write_text("subject,dose,infusion_1,last_contact,dlt\nS-1,1,2024-01-01,2024-02-20,no\n")
    done = CliRunner().invoke(main, ["report", str(config), "--data", str(path), "--format", "pdf", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Warning: the fonts of the PDF do not have every character" in done.stderr
    assert "U+4F4E" in done.stderr


# Calls.


@pytest.mark.slow
def test_save_writes_all_or_nothing(conduct, tmp_path):
    assert conduct.save(tmp_path, ["pdf", "docx"]) == ["report.pdf", "report.docx"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.docx", "report.pdf"]
    with pytest.raises(dsf.InputError, match=r"has report.pdf already"):
        conduct.save(tmp_path, ["html", "pdf"])
    assert not (tmp_path / "report.html").exists()
    with pytest.raises(dsf.InputError, match=r"formats = 'odt': must be one of"):
        conduct.save(tmp_path, ["odt"])
    with pytest.raises(dsf.InputError, match=r"formats = 'pdf': must be a list"):
        conduct.save(tmp_path, "pdf")


@pytest.mark.parametrize(("module", "package", "make"), [("typst", "typst", "pdf"), ("docx", "python-docx", "docx")])
def test_without_a_package_one_line_says_what_to_install(module, package, make):
    script = MISSING.replace('"jinja2"', f'"{module}"').replace(".html()", f".{make}()")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"a report needs {package}, which is not installed: pip install 'dosefind[report]'\n"


def test_the_command_says_so_before_it_computes(tmp_path):
    script = f"""
import sys
sys.modules["typst"] = None
sys.argv = ["dosefind", "report", {str(CONFIG)!r}, "--out", {str(tmp_path / "out")!r}]
from dosefind.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "a report needs typst, which is not installed: pip install 'dosefind[report]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
