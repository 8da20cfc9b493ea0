"""The statistical section of a protocol: its numbers are the library's, and everything assumed is a query that is found."""

import io
import re
import zipfile
from datetime import date

import docx
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.show import content
from dosefind.show.content import Figure, Run, Table, as_string, text
from dosefind.show.markdown import as_markdown
from dosefind.show.pages.protocol_text import protocol_text as written
from dosefind.show.pages.selfcheck import record
from dosefind.words import in_language

from .test_report import CONFIG, small
from .test_words import Pseudo

SECTIONS = [
    *("design", "definitions", "escalation", "sample-size", "selection", "operating", "sensitivity", "stopping", "interim"),
    *("method", "references", "annex", "queries"),
]


@pytest.fixture(scope="module")
def trial():
    return dsf.Trial.of(small(assumed={"target.rate": "no record states it"}, pause={"boundary": BOUNDARY}))


BOUNDARY = {"kind": "pocock", "rate": 0.22, "alpha": 0.1}


@pytest.fixture(scope="module")
def section(trial):
    return dsf.protocol_text(trial)


def every_text(found):
    """All runs of a part of a document, in the order in which they are read."""
    if isinstance(found, Run):
        yield found
    elif isinstance(found, tuple):
        for one in found:
            yield from every_text(one)
    elif hasattr(found, "__dataclass_fields__"):
        for name in found.__dataclass_fields__:
            yield from every_text(getattr(found, name))


def said(found):
    return "".join(run.text for run in every_text(found))


def tables(found):
    return {as_string(one.caption): one for one in listed(found)}


def listed(found):
    return [one for part in content._all(found.sections) for one in part.blocks if isinstance(one, Table)]


def cells(one):
    return [[as_string(cell) for cell in row] for row in one.rows]


def test_sections_are_in_the_order_of_the_guidelines(section):
    assert [one.id for one in section.sections] == SECTIONS
    assert all(source in said(section.sections) for source in ("10.1136/bmj-2024-081477", "10.1136/bmj-2023-076386"))
    assert all(source in said(section.sections) for source in ("FDA-2013-D-0576", "No. 37 of 2023"))


def test_other_designs_stand_in_the_annex_alone(section):
    names = [one for one in section.sections if one.id not in ("annex", "references", "queries")]
    assert not [run.text for run in every_text(tuple(names)) if re.search(r"\bboin\b", run.text, re.IGNORECASE)]
    (annex,) = [one for one in section.sections if one.id == "annex"]
    assert "boin" in said(annex)


def test_operating_characteristics_are_those_of_the_comparison(section, trial):
    oc = dsf.compare(trial).sel(design="3+3")
    chosen = cells(tables(section)["Operating characteristics of 3+3: selection of the MTD, %."])
    assert [row[1:] for row in chosen[1:5]] == [[f"{100 * p:.1f}" for p in row] for row in oc.selected.values.T]
    cost = {row[0]: row[1:] for row in cells(tables(section)["Operating characteristics of 3+3: patients, DLTs and duration."])}
    assert cost["total patients"] == [f"{n:.1f}" for n in oc.mean_n.values]
    assert [cost[f"DLTs at level {k}"] for k in (1, 2, 3)] == [[f"{y:.2f}" for y in row] for row in oc.dlts.values.T]
    ends = cells(tables(section)["Probability that a trial by 3+3 ends for each reason, by scenario."])
    shares = sorted(sorted(f"{100 * p:.1f}" for p in column if p >= 0.005) for column in oc.stopped.values.T)
    assert sorted(sorted(cell for cell in row[1:] if cell) for row in ends) == [one for one in shares if one]
    words = said(section.sections[0])
    assert f"{100 * float(oc.correct.mean()):.1f}% of trials on average" in words
    assert f"in {100 * float(oc.overdose_selected.mean()):.1f}%, with a mean of {float(oc.mean_n.mean()):.1f} patients" in words


def test_sample_size_is_justified_by_what_it_can_show(section, trial):
    """By hand: 1 - 0.9^18 = 0.850, 1 - 0.05^(1/18) = 0.153, and for six patients at a dose 0.469 and 0.393."""
    size = said(section.sections[SECTIONS.index("sample-size")])
    assert "18 patients" in size
    assert all(number in size for number in ("85.0%", "15.3%", "46.9%", "39.3%"))
    caption = "Probability of observing at least one event, and upper limit of the DLT rate if none is observed."
    assert cells(tables(section)[caption])[0] == ["a cohort", "3", "14.3", "27.1", "48.8", "63.2"]


def test_decisions_and_crossing_probabilities_are_those_of_the_library(section, trial):
    shown = cells(tables(section)["Decision table of 3+3."])
    table = dsf.decision_table(trial, "3+3")
    assert {(int(row[0]), int(row[1])) for row in shown} == set(zip(table["level"], table["n"], strict=True))
    stopping = said(section.sections[SECTIONS.index("stopping")])
    assert all(sentence in stopping for sentence in trial.protocol.pause_rules())
    assert [caption for caption in tables(section) if caption.startswith("Boundary: probability of a pause")]


def queries_of(part):
    return [run.text for run in every_text(part) if run.kind == "query"]


def queries(section):
    return queries_of(section.sections)


def test_every_assumption_is_a_query_and_every_query_is_listed(section, trial):
    asked = queries(section)
    numbers = [int(re.match(r"\[QUERY (\d+): ", words)[1]) for words in asked]
    assert numbers == list(range(1, len(asked) + 1))
    assert all(words.endswith("]") for words in asked)
    shown = cells(tables(section)["Open queries."])
    assert [words.partition(": ")[2][:-1] for words in asked] == [f"{subject}. {what}" for _n, subject, what, _where in shown]
    by_section = {str(n): queries_of(one) for n, one in enumerate(section.sections, start=1)}
    for number, _subject, _what, where in shown:
        assert any(words.startswith(f"[QUERY {number}: ") for words in by_section[where])
    assert any("Target DLT rate" in words and "no record states it" in words and "25%" in words for words in asked)
    keys = {key for key, _value, _why in dsf.tasks.stamp(trial, conducts=True)["assumptions"]}
    # Three curves are asked of together, and eleven questions are about what no config holds.
    assert len(asked) == len(keys) - 2 + 11
    assert not [words for words in asked if re.search(r"\b(?:target|limits|doses|treatment|rp2d|pause|dlt)[._]\w", words)]


def test_each_assumption_of_the_shipped_protocols_has_a_label():
    from dosefind.show.pages.settings import setting_words

    for name in ("nct05962762", "nct05948982"):
        loaded = dsf.load_trial(f"configs/{name}.toml")
        for key, _value, _why in dsf.tasks.stamp(loaded, conducts=True, timed=True, borrows=True, assesses=True)["assumptions"]:
            assert as_string(setting_words(key)) != key


@pytest.mark.slow
def test_designs_with_the_same_question_are_asked_once():
    section = dsf.protocol_text(dsf.load_trial(CONFIG))
    asked = [words for words in queries(section) if "Settings of the designs" in words]
    assert [re.search(r"designs (.*?)\. ", words)[1] for words in asked] == ["crm, boin, blrm", "crm-6, boin-6, blrm-6"]
    keys = {key for key, _value, _why in dsf.tasks.stamp(dsf.load_trial(CONFIG), conducts=True)["assumptions"]}
    assert len(queries(section)) == len(keys) - 4 + 12


def test_another_primary_design_can_be_chosen(trial):
    found = dsf.protocol_text(trial, design="boin")
    assert "Decision table of boin." in tables(found)
    oc = dsf.compare(trial).sel(design="boin")
    chosen = cells(tables(found)["Operating characteristics of boin: selection of the MTD, %."])
    assert [row[1:] for row in chosen[1:5]] == [[f"{100 * p:.1f}" for p in row] for row in oc.selected.values.T]
    with pytest.raises(dsf.InputError, match="design"):
        dsf.protocol_text(trial, design="crm")


def test_word_and_markdown_say_what_the_section_says(section):
    asked = queries(section)
    word = docx.Document(io.BytesIO(section.docx()))
    marked = [run for one in word.paragraphs for run in one.runs if run.text.startswith("[QUERY ") and run.font.highlight_color]
    assert [run.text for run in marked] == asked
    shown = [[[cell.text for cell in row.cells] for row in one.rows] for one in word.tables]
    expected = [[[as_string(c.heading) for c in one.columns], *cells(one)] for one in listed(section)]
    assert shown == expected
    markdown = section.markdown("section")
    plain = re.sub(r"\\(.)", r"\1", markdown["section.md"]).replace("&lt;", "<")
    assert all(words in plain for words in asked)
    for one in expected:
        for row in one[1:]:
            assert f"| {' | '.join(row)} |" in plain
    figures = [one for part in content._all(section.sections) for one in part.blocks if isinstance(one, Figure)]
    assert [name for name in markdown if name.endswith(".svg")] == [f"section-figure-{n + 1}.svg" for n in range(len(figures))]


@pytest.mark.slow
def test_the_same_bytes_again(section, trial):
    again = dsf.protocol_text(trial)
    assert again.docx() == section.docx()
    assert again.markdown() == section.markdown()


def test_word_has_contents_that_link_to_its_sections(section):
    with zipfile.ZipFile(io.BytesIO(section.docx())) as made:
        body = made.read("word/document.xml").decode()
        numbering = made.read("word/numbering.xml").decode()
    assert 'TOC \\o "1-2"' in body
    anchors = re.findall(r'<w:hyperlink [^>]*w:anchor="([^"]+)"', body)
    assert len(anchors) >= len(section.sections)
    assert set(anchors) <= set(re.findall(r'<w:bookmarkStart [^>]*w:name="([^"]+)"', body))
    # A bullet of the text's own font, on which the list style rests.
    assert re.search('w:pStyle w:val="ListBullet"/><w:lvlText w:val="\u2022"/>', numbering)


def test_markdown_shows_hostile_texts_only():
    hostile = "<script>x</script> [a](javascript:b) | `c` *d* # e\n- f"
    blocks = (content.Paragraph(text(hostile)), content.table("t", ("a", "b"), [(hostile, "1")]))
    one = content.Section("one", text(hostile), blocks)
    base = dsf.show.Report(text("t"), text("s"), "en", "2024-01-01", content.Definitions(()), (one,), LABELS)
    made = as_markdown(base, "x")["x.md"]
    assert "<script" not in made
    assert not re.search(r"(?<!\\)\]\(", made)
    (row,) = (line for line in made.split("\n") if line.endswith(" 1 |"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\n- f" not in made


LABELS = {"contents": "Contents", "skip": "", "table": "Table", "figure": "Figure", "footer": "end"}


@pytest.mark.slow
def test_the_command_writes_one_file(tmp_path):
    out = tmp_path / "section.md"
    done = CliRunner().invoke(main, ["protocol-text", str(CONFIG), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "[QUERY 1: " in out.read_text()
    assert (tmp_path / "section-figure-1.svg").exists()
    before = out.read_text()
    assert CliRunner().invoke(main, ["protocol-text", str(CONFIG), "--out", str(out)]).exit_code == 2
    assert out.read_text() == before


@pytest.mark.parametrize(("name", "words"), [("section.odt", "ends in .docx, .md, .html or .pdf"), ("section", "ends in .docx")])
def test_another_end_of_the_name_is_refused(name, words, tmp_path):
    done = CliRunner().invoke(main, ["protocol-text", str(CONFIG), "--out", str(tmp_path / name)])
    assert done.exit_code == 2
    assert words in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("doses", "designs"), [(6, 1), (12, 8)])
def test_any_number_of_doses_and_designs(doses, designs):
    from .test_charts_legible import planned

    kinds = {f"boin-{k}": {"kind": "boin", "max_n_per_dose": 4 + k} for k in range(designs)}
    protocol = planned(doses, scenarios=9).model_copy(update={"designs": kinds})
    made = dsf.protocol_text(dsf.Protocol.read(protocol.model_dump(exclude_unset=True)))
    assert ("annex" in [one.id for one in made.sections]) == (designs > 1)
    # Nine scenarios are columns of two tables.
    captions = [as_string(one.caption) for one in listed(made)]
    assert captions.count("Operating characteristics of boin-0: selection of the MTD, %.") == 2
    assert len(made.docx()) > 50_000
    assert made.markdown()["report.md"]


@pytest.mark.slow
def test_all_sentences_are_in_the_catalogue(trial):
    with in_language("x", Pseudo()):
        written(trial)
        record(dsf.selfcheck(["BOIN rates"]), date(2024, 3, 14))
