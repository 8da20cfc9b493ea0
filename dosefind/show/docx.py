"""A document as a Word file: Word's own styles, lists, tables and numbered captions, so that a writer can paste from it.

Texts of the content only ever become the text of a run. Every date in the file is that of the document, so the same document gives
the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from docx import Document as new_document
from docx.document import Document as Word
from docx.enum.section import WD_SECTION
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_COLOR_INDEX, WD_TAB_ALIGNMENT, WD_TAB_LEADER
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from docx.shared import Emu, Mm, Pt, RGBColor
from docx.table import Table as WordTable
from docx.text.paragraph import Paragraph as WordParagraph

from .content import (
    Answers,
    Block,
    Bullets,
    Definitions,
    Document,
    Figure,
    Note,
    Paragraph,
    Section,
    Signature,
    Space,
    Table,
    Text,
    as_string,
    text,
)

__all__ = ["as_docx"]

# Of an A4 page with margins of 22 mm, and of the pictures on it.
_WIDTH, _PICTURE, _TALLEST = 166.0, 160.0, 210.0
# Letters of a line of a table, in normal and in small type.
_LINE, _LINE_SMALL = 84, 100
# Letters of a row that may break between pages.
_WHOLE_ROW = 1000
_DPI = 150
# Levels of headings in the contents.
_CONTENTS = 2
_BLUE, _FAINT = "005A94", "595959"


def as_docx(document: Document) -> bytes:
    """Return the document as the bytes of a Word file."""
    word = new_document()
    _styles(word, document.language)
    _page(word, document)
    day = datetime.fromisoformat(document.date)
    about: Any = word.core_properties
    about.title = f"{as_string(document.title)}: {as_string(document.subtitle)}"
    about.language, about.author, about.last_modified_by, about.comments = document.language, "", "", ""
    about.created = about.modified = day
    word.add_paragraph(style="Title").add_run(as_string(document.title))
    word.add_paragraph(style="Subtitle").add_run(as_string(document.subtitle))
    writer = _Writer(word, document.labels)
    _columns(word, 2)
    writer.definitions(document.facts, "Fact")
    _columns(word, 1)
    # The answer comes first, then the contents.
    first = 1 if document.sections and document.sections[0].own_page else 0
    for place, one in enumerate(document.sections):
        if place == first:
            writer.contents(document)
        writer.section(one, 1)
    word.add_paragraph(document.labels["footer"], style="Small")
    return _same_bytes(word, day)


class _Writer:
    """Content at the end of a Word document."""

    def __init__(self, word: Word, labels: dict[str, str]) -> None:
        self.word, self.labels = word, labels
        self.numbers = {"table": 0, "figure": 0}
        self.marks = 0

    def contents(self, document: Document) -> None:
        """Add the field of the contents, with links to the sections until Word adds the pages."""
        self.paragraph(text(document.labels["contents"]), "Contents Heading")
        listed = list(_numbered(document.sections))
        for place, (mark, level, number, title) in enumerate(listed):
            paragraph = self.word.add_paragraph(style=f"toc {level}")
            if place == 0:
                paragraph._p.append(_field_part("begin", dirty="true"))
                paragraph._p.append(_instruction(f'TOC \\o "1-{_CONTENTS}" \\h \\z \\u'))
                paragraph._p.append(_field_part("separate"))
            link = _element("w:hyperlink", anchor=mark, history="1")
            paragraph._p.append(link)
            link.append(paragraph.add_run(f"{number} {as_string(title)}")._r)
            if place == len(listed) - 1:
                paragraph._p.append(_field_part("end"))

    def section(self, one: Section, level: int) -> None:
        heading = self.paragraph(one.title, f"Heading {level}")
        self.marks += 1
        _bookmark(heading, _mark(one), self.marks)
        for each, leads in zip(one.blocks, one.leads, strict=True):
            if leads and isinstance(each, Paragraph):
                self.paragraph(each.text).paragraph_format.keep_with_next = True
            else:
                self.block(each)
        for inner in one.sections:
            self.section(inner, level + 1)

    def block(self, one: Block) -> None:
        match one:
            case Paragraph():
                self.paragraph(one.text)
            case Bullets():
                self.bullets(one.items)
            case Note():
                style = "Warning" if one.warning else "Remark"
                self.paragraph(text(one.title), f"{style} Title")
                for item in one.items:
                    self.paragraph(item, style)
            case Definitions():
                self.definitions(one)
            case Answers():
                self.answers(one)
            case Table():
                self.table(one)
            case Figure():
                self.figure(one)
            case Signature():
                self.signature(one)
            case Space():
                self.space(one)
            case _:
                raise TypeError(f"no such block: {type(one).__name__}")

    def paragraph(self, words: Text, style: str = "Normal") -> WordParagraph:
        return _fill(self.word.add_paragraph(style=style), words)

    def bullets(self, items: tuple[Text, ...]) -> None:
        for item in items:
            self.paragraph(item, "List Bullet")

    def definitions(self, one: Definitions, style: str = "Definition") -> None:
        for term, said in one.items:
            paragraph = self.word.add_paragraph(style=style)
            _fill(paragraph, term, bold=True)
            for place, words in enumerate(said):
                paragraph.add_run("\t" if place == 0 else "\n")
                _fill(paragraph, words)

    def answers(self, one: Answers) -> None:
        for answer in one.items:
            self.paragraph(text(answer.question), "Question")
            self.paragraph(answer.answer, "Answer")
            self.bullets(answer.because)

    def caption(self, words: Text, kind: str) -> None:
        """Return a caption with a number that Word counts."""
        self.numbers[kind] += 1
        paragraph = self.word.add_paragraph(style="Caption")
        paragraph.paragraph_format.keep_with_next = kind == "table"
        # What the word is in the document's language; Word lists captions by the name of the sequence.
        paragraph.add_run(f"{self.labels[kind]} ").bold = True
        _field(paragraph, f"SEQ {self.labels[kind]} \\* ARABIC", str(self.numbers[kind])).bold = True
        paragraph.add_run(". ").bold = True
        _fill(paragraph, words)

    def table(self, one: Table) -> None:
        self.caption(one.caption, "table")
        line, style = (_LINE_SMALL, "Table Text Small") if one.small else (_LINE, "Table Text")
        made = self.grid([column.heading for column in one.columns], one.rows, [_WIDTH * w / line for w in one.widths(line)])
        *others, last = made._tbl.tr_lst
        for row in (*others, last):
            for column, cell in zip(one.columns, row.tc_lst, strict=True):
                (paragraph,) = cell.p_lst
                paragraph.style = self.word.styles[style].style_id
                if one.short and row is not last:
                    paragraph.get_or_add_pPr().get_or_add_keepNext()
                if column.numeric:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        for note in one.notes:
            self.paragraph(note, "Small")

    def grid(self, head: Any, rows: Any, widths: Any) -> WordTable:
        """Return a table whose header row is repeated on every page."""
        made = self.word.add_table(0, 0, style="Report Table")
        made.autofit = False
        table: Any = made._tbl
        for width in widths:
            table.tblGrid.append(_element("w:gridCol", w=str(_twips(width))))
        for place, row in enumerate((head, *rows)):
            line = OxmlElement("w:tr")
            look = _element("w:trPr")
            if sum(len(run.text) for words in row for run in words) < _WHOLE_ROW:
                look.append(_element("w:cantSplit"))
            if place == 0:
                look.append(_element("w:tblHeader"))
            line.append(look)
            for words, width in zip(row, widths, strict=True):
                line.append(_cell(words, width))
            table.append(line)
        return made

    def figure(self, one: Figure) -> None:
        from ..plots import as_png

        paragraph = self.word.add_paragraph(style="Figure")
        made = paragraph.add_run().add_picture(io.BytesIO(as_png(one.picture, _DPI)), width=Mm(_PICTURE))
        # A tall picture leaves room for the heading of its section.
        scale = min(1.0, Mm(_TALLEST) / made.height)
        made.width, made.height = Emu(int(scale * made.width)), Emu(int(scale * made.height))
        about = made._inline.docPr
        about.set("descr", one.alt)
        about.set("name", f"{self.labels['figure']} {self.numbers['figure'] + 1}")
        self.caption(one.caption, "figure")

    def signature(self, one: Signature) -> None:
        self.paragraph(one.caption, "Question")
        rows = [(text(person), *[()] * (len(one.columns) - 1)) for person in one.people]
        made = self.grid([text(heading) for heading in one.columns], rows, [_WIDTH / len(one.columns)] * len(one.columns))
        for row in made.rows[1:]:
            row.height = Mm(11)
        self.word.add_paragraph()

    def space(self, one: Space) -> None:
        made = self.word.add_table(1, 1, style="Table Grid")
        made.rows[0].height = Mm(6.5 * (one.lines + 1))
        _fill(made.cell(0, 0).paragraphs[0], one.heading)
        self.word.add_paragraph()


def _fill(paragraph: WordParagraph, words: Text, bold: bool = False) -> WordParagraph:
    for run in words:
        made = paragraph.add_run(run.text)
        if bold or run.kind == "strong":
            made.bold = True
        if run.kind == "query":
            made.font.highlight_color = WD_COLOR_INDEX.YELLOW
    return paragraph


def _mark(section: Section) -> str:
    """Return the name of the bookmark at the heading of a section: at most 40 letters, as Word allows."""
    return f"_{section.id.replace('-', '_')}"[:40]


def _numbered(sections: Sequence[Section], before: str = "", level: int = 1) -> Iterator[tuple[str, int, str, Text]]:
    """Return the entries of the contents: bookmark, level, number and title."""
    for place, one in enumerate(sections, start=1):
        number = f"{before}{place}"
        yield _mark(one), level, number, one.title
        if level < _CONTENTS:
            yield from _numbered(one.sections, f"{number}.", level + 1)


def _bookmark(paragraph: WordParagraph, name: str, number: int) -> None:
    inside: Any = paragraph._p
    start = _element("w:bookmarkStart", id=str(number), name=name)
    place = 0 if inside.pPr is None else 1
    inside.insert(place, start)
    inside.append(_element("w:bookmarkEnd", id=str(number)))


def _field_part(kind: str, **more: str) -> Any:
    run = OxmlElement("w:r")
    run.append(_element("w:fldChar", fldCharType=kind, **more))
    return run


def _instruction(words: str) -> Any:
    run, made = OxmlElement("w:r"), OxmlElement("w:instrText")
    made.text = f" {words} "
    made.set(qn("xml:space"), "preserve")
    run.append(made)
    return run


def _twips(mm: float) -> int:
    return round(mm * 1440 / 25.4)


def _element(tag: str, **values: str) -> Any:
    made = OxmlElement(tag)
    for name, value in values.items():
        made.set(qn(f"w:{name}"), value)
    return made


def _cell(words: Text, width: float) -> Any:
    """Return a cell built without python-docx, whose own cells take most of the time of a table of a thousand cells."""
    cell, look, paragraph = _element("w:tc"), _element("w:tcPr"), OxmlElement("w:p")
    look.append(_element("w:tcW", w=str(_twips(width)), type="dxa"))
    cell.append(look)
    cell.append(paragraph)
    for run in words:
        paragraph.add_r().text = run.text
    return cell


def _field(paragraph: WordParagraph, instruction: str, shown: str) -> Any:
    """Return a field that Word updates, with the text shown until then."""
    field = _element("w:fldSimple", instr=f" {instruction} ")
    run = paragraph.add_run(shown)
    paragraph._p.append(field)
    field.append(run._r)
    return run


def _page(word: Word, document: Document) -> None:
    page = word.sections[0]
    page.page_width, page.page_height = Mm(210), Mm(297)
    page.left_margin = page.right_margin = Mm((210 - _WIDTH) / 2)
    page.top_margin = page.bottom_margin = Mm(18)
    page.footer_distance = Mm(9)
    paragraph: Any = page.footer.paragraphs[0]
    paragraph.style = word.styles["Small"]
    paragraph.paragraph_format.tab_stops.add_tab_stop(Mm(_WIDTH), WD_ALIGN_PARAGRAPH.RIGHT)
    paragraph.add_run(f"{as_string(document.title)} \u00b7 {as_string(document.subtitle)}\t")
    _field(paragraph, "PAGE", "1")
    paragraph.add_run(" / ")
    _field(paragraph, "NUMPAGES", "1")


def _columns(word: Word, number: int) -> None:
    """Give the page this number of columns from here on."""
    part: Any = word.add_section(WD_SECTION.CONTINUOUS)._sectPr
    columns = part.find(qn("w:cols"))
    columns.set(qn("w:num"), str(number))


# Styles: the base that each changes, size, and what else.
_OWN: dict[str, tuple[str, float, dict[str, Any]]] = {
    "Small": ("Normal", 8.5, {"colour": _FAINT}),
    "Definition": ("Normal", 10.0, {"hanging": 42.0}),
    "Fact": ("Definition", 8.0, {"hanging": 27.0, "after": 0.0}),
    "Contents Heading": ("Normal", 12.0, {"colour": _BLUE, "bold": True, "before": 12.0, "after": 3.0, "next": True}),
    "Question": ("Normal", 9.5, {"colour": _FAINT, "bold": True, "before": 4.0, "after": 1.0, "next": True}),
    "Answer": ("Normal", 12.0, {"bold": True, "after": 2.0, "next": True}),
    "Remark": ("Normal", 10.0, {"fill": "F4F6F8", "left": 3.0}),
    "Remark Title": ("Remark", 10.0, {"fill": "F4F6F8", "left": 3.0, "bold": True, "next": True}),
    "Warning": ("Normal", 10.0, {"fill": "FDF3EC", "left": 3.0}),
    "Warning Title": ("Warning", 10.0, {"fill": "FDF3EC", "left": 3.0, "bold": True, "colour": "A33A00", "next": True}),
    "Figure": ("Normal", 10.0, {"next": True, "before": 8.0}),
    "Table Text": ("Normal", 9.0, {"after": 1.0}),
    "Table Text Small": ("Table Text", 7.5, {"after": 1.0}),
}
_BUILT_IN: dict[str, tuple[float, dict[str, Any]]] = {
    "Normal": (10.5, {"after": 6.0}),
    "Title": (20.0, {"bold": True, "after": 2.0}),
    "Subtitle": (12.0, {"colour": _FAINT}),
    "Caption": (9.0, {"colour": "000000", "bold": False, "before": 8.0, "after": 4.0}),
    "List Bullet": (10.0, {"after": 2.0}),
    "Heading 1": (14.0, {"colour": _BLUE, "bold": True, "before": 14.0, "after": 4.0}),
    "Heading 2": (12.0, {"colour": _BLUE, "bold": True, "before": 12.0, "after": 4.0}),
    "Heading 3": (10.5, {"colour": _BLUE, "bold": True, "before": 10.0, "after": 4.0}),
    "Heading 4": (10.5, {"colour": _BLUE, "bold": True, "before": 8.0, "after": 4.0}),
}
_FONT = "Calibri"

_TABLE_STYLE = f"""<w:style {nsdecls("w")} w:type="table" w:customStyle="1" w:styleId="ReportTable"><w:name w:val="Report Table"/>
<w:basedOn w:val="TableNormal"/><w:tblPr><w:tblBorders><w:top w:val="single" w:sz="6" w:color="1A1A1A"/>
<w:bottom w:val="single" w:sz="6" w:color="1A1A1A"/><w:insideH w:val="single" w:sz="4" w:color="C9C9C9"/></w:tblBorders>
<w:tblCellMar><w:left w:w="60" w:type="dxa"/><w:right w:w="60" w:type="dxa"/></w:tblCellMar></w:tblPr>
<w:tblStylePr w:type="firstRow"><w:rPr><w:b/></w:rPr><w:tcPr><w:tcBorders><w:bottom w:val="single" w:sz="8" w:color="1A1A1A"/>
</w:tcBorders><w:vAlign w:val="bottom"/></w:tcPr></w:tblStylePr>
<w:tblStylePr w:type="firstCol"><w:rPr><w:b/></w:rPr></w:tblStylePr></w:style>"""


def _level(level: int) -> str:
    """Return how Word numbers the headings of a level, from 0: 2.1 and so on."""
    number = ".".join(f"%{k + 1}" for k in range(level + 1))
    return (
        f'<w:lvl w:ilvl="{level}"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:pStyle w:val="Heading{level + 1}"/>'
        f'<w:suff w:val="space"/><w:lvlText w:val="{number}"/><w:lvlJc w:val="left"/></w:lvl>'
    )


def _styles(word: Word, language: str) -> None:
    styles: Any = word.styles
    for name, (size, look) in _BUILT_IN.items():
        _look(styles[name], size, look)
    for name, (base, size, look) in _OWN.items():
        made = styles.add_style(name, 1)
        made.base_style = styles[base]
        made.quick_style = True
        _look(made, size, look)
    styles.element.append(parse_xml(_TABLE_STYLE))
    defaults = styles.element.find(f".//{qn('w:rPrDefault')}/{qn('w:rPr')}")
    for old in defaults.findall(qn("w:lang")):
        defaults.remove(old)
    defaults.append(_element("w:lang", val=language))
    for level in range(1, _CONTENTS + 1):
        # Word's own styles of contents, which a new document does not have.
        made = styles.add_style(f"toc {level}", 1)
        made.base_style = styles["Normal"]
        _look(made, 10.0 if level == 1 else 9.5, {"after": 1.0})
        made.paragraph_format.left_indent = Mm(6 * (level - 1))
        made.paragraph_format.tab_stops.add_tab_stop(Mm(_WIDTH), WD_TAB_ALIGNMENT.RIGHT, WD_TAB_LEADER.DOTS)
    _number_headings(word)
    _bullets(word)


def _look(style: Any, size: float, look: dict[str, Any]) -> None:
    style.font.name, style.font.size = _FONT, Pt(size)
    fonts = style.element.rPr.rFonts
    for name in [name for name in fonts.attrib if "Theme" in name]:
        del fonts.attrib[name]
    for name in ("eastAsia", "cs"):
        fonts.set(qn(f"w:{name}"), _FONT)
    style.font.italic = False
    if "bold" in look:
        style.font.bold = look["bold"]
    if "colour" in look:
        style.font.color.rgb = RGBColor.from_string(look["colour"])
    form = style.paragraph_format
    form.space_before, form.space_after = Pt(look.get("before", 0.0)), Pt(look.get("after", 4.0))
    if "next" in look:
        form.keep_with_next = True
    if "hanging" in look:
        form.left_indent, form.first_line_indent = Mm(look["hanging"]), Mm(-look["hanging"])
    if "fill" in look:
        form.left_indent = Mm(look["left"])
        about = style.element.get_or_add_pPr()
        about.insert_element_before(_element("w:shd", val="clear", color="auto", fill=look["fill"]), "w:spacing", "w:ind", "w:jc")


def _number_headings(word: Word) -> None:
    """Number headings by Word, so that they continue the numbers of the document into which they are pasted."""
    numbering: Any = word.part.numbering_part.element
    own = max(int(one.get(qn("w:abstractNumId"))) for one in numbering.findall(qn("w:abstractNum"))) + 1
    about = f'{nsdecls("w")} w:abstractNumId="{own}"'
    each = "".join(map(_level, range(4)))
    levels = parse_xml(f'<w:abstractNum {about}><w:multiLevelType w:val="multilevel"/>{each}</w:abstractNum>')
    numbering.insert(len(numbering.findall(qn("w:abstractNum"))), levels)
    number = numbering.add_num(own).numId
    for level in range(4):
        style: Any = word.styles[f"Heading {level + 1}"]
        place = style.element.get_or_add_pPr().get_or_add_numPr()
        place.get_or_add_ilvl().val = level
        place.get_or_add_numId().val = number


def _bullets(word: Word) -> None:
    """Give lists a bullet of the text's own font: the one of Word's symbol font is lost where that font is not installed."""
    numbering: Any = word.part.numbering_part.element
    own = max(int(one.get(qn("w:abstractNumId"))) for one in numbering.findall(qn("w:abstractNum"))) + 1
    fonts = f'<w:rFonts w:ascii="{_FONT}" w:hAnsi="{_FONT}" w:cs="{_FONT}" w:eastAsia="{_FONT}"/>'
    level = (
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="bullet"/><w:pStyle w:val="ListBullet"/><w:lvlText w:val="\u2022"/>'
        f'<w:lvlJc w:val="left"/><w:pPr><w:ind w:left="360" w:hanging="360"/></w:pPr><w:rPr>{fonts}</w:rPr></w:lvl>'
    )
    about = f'{nsdecls("w")} w:abstractNumId="{own}"'
    made = parse_xml(f'<w:abstractNum {about}><w:multiLevelType w:val="hybridMultilevel"/>{level}</w:abstractNum>')
    numbering.insert(len(numbering.findall(qn("w:abstractNum"))), made)
    style: Any = word.styles["List Bullet"]
    place = style.element.get_or_add_pPr().get_or_add_numPr()
    place.get_or_add_ilvl().val = 0
    place.get_or_add_numId().val = numbering.add_num(own).numId


def _same_bytes(word: Word, day: datetime) -> bytes:
    """Return the file with the document's date in its directory, in place of the clock's."""
    first, last = io.BytesIO(), io.BytesIO()
    word.save(first)
    # A ZIP file can have dates of 1980 to 2107.
    stamp = min(max(day, datetime(1980, 1, 1)), datetime(2107, 12, 31)).timetuple()[:6]
    with zipfile.ZipFile(first) as made, zipfile.ZipFile(last, "w") as out:
        for name in made.namelist():
            entry = zipfile.ZipInfo(name, stamp)
            entry.compress_type = zipfile.ZIP_DEFLATED
            out.writestr(entry, made.read(name))
    return last.getvalue()
