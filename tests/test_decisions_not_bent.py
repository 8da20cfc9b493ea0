"""Files of decisions and adjudications: wrong content is refused, a change by hand is said, and adding a row loses nothing."""

import csv
import io
import os
import re
import stat
from datetime import date

import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.adjudications import Adjudicated, adjudications_on_file, read_adjudications, record_adjudication
from dosefind.chain import Chain, row_hash
from dosefind.cli import main
from dosefind.decisions import Recorded, agrees, decisions_on_file, read_decisions, record_decision
from dosefind.provenance import HASH
from dosefind.show.pages.next_dose import next_dose, record_words
from dosefind.show.terminal import as_lines
from dosefind.tasks.next_dose import read_checked
from dosefind.tasks.standing import RecordCaution, cautions, record_cautions

from .planted import every_case, faults
from .test_next_dose import ROOT, single_dose, then

CONFIG = ROOT / "configs" / "nct05962762.toml"
MIDWAY = ROOT / "examples" / "nct05962762" / "midway"
PROTOCOL = dsf.load_protocol(CONFIG)
ID = PROTOCOL.record.id
FIRST = Recorded(
    *(date(2024, 1, 10), ID, "0" * 64, "1" * 64, "3+3"),
    *("escalate to level 2, 3 patients", "level 2", "no", "as recommended"),
    meeting=date(2024, 1, 12),
    protocol_version=date(2023, 8, 30),
    software_version="0.1.0",
    with_dlt='["A1"]',
    still_open="[]",
    recommended="level 2",
)
DECISIONS = [FIRST, *(FIRST._replace(as_of=date(2024, 1, day), reason=f"meeting {day}") for day in (11, 12, 12))]
DECISIONS[3] = DECISIONS[3]._replace(reason="second of that day")
LATER = FIRST._replace(as_of=date(2024, 2, 1), meeting=None)
JUDGED = Adjudicated(
    *(date(2024, 1, 30), date(2024, 2, 1), ID, "", "A1", date(2024, 1, 12), "fever", 3),
    *("not a DLT", "safety board", "infection"),
)
ADJUDICATIONS = [JUDGED._replace(as_of=date(2024, 1, day), reason=f"reason {day}") for day in (29, 30, 31)]


def decisions_chain(path):
    return decisions_on_file(path, ID)[1]


def adjudications_chain(path):
    return adjudications_on_file(path, ID)[1]


FILES = {
    "decisions": (DECISIONS, record_decision, lambda path: read_checked(path, PROTOCOL)[0], decisions_chain),
    "adjudications": (ADJUDICATIONS, record_adjudication, lambda path: read_adjudications(path, ID), adjudications_chain),
}


_MADE = {}


def filed(folder, kind="decisions"):
    rows, add, _, _ = FILES[kind]
    path = folder / f"{kind}.csv"
    if kind not in _MADE:
        for row in rows:
            add(path, row)
        _MADE[kind] = path.read_bytes()
    path.write_bytes(_MADE[kind])
    return path


def cells_of(path):
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def write_cells(path, cells):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    path.write_text(text.getvalue(), encoding="utf-8")


def changed(path, column, value, row=3):
    cells = cells_of(path)
    cells[row - 1][cells[0].index(column)] = value
    write_cells(path, cells)
    return path


def refused(kind, path):
    """The error of reading, which adding gives too, with the file left as it is."""
    rows, add, read, _ = FILES[kind]
    before = path.read_bytes()
    errors = []
    for call in (lambda: read(path), lambda: add(path, rows[-1]._replace(reason="one more"))):
        with pytest.raises(dsf.InputError) as error:
            call()
        errors.append(error.value)
    assert path.read_bytes() == before
    assert all(error.source == str(path) for error in errors)
    return errors


BAD_DECISIONS = [
    *(
        ("decision", value)
        for value in (
            *("foo", "", "LEVEL 2", " level 2 ", "level  2", "level 2 ", "level 0", "level 02", "level 100", "level \uff12"),
            *("MTD", "mtd 2", "MTD 2.0", "add dose -1", "add dose 1e3", "stop\n", "resume now", "level 2;wait", "\x1b[31mstop"),
        )
    ),
    *(("override", value) for value in ("maybe", "", "YES", "No", " no", "true", "0", "yes")),
    *(
        ("as_of", value)
        for value in (
            *("", "2024-13-01", "2024-02-30", "20240111", "2024-1-11", "11.01.2024", "2024-01-11T00:00", " 2024-01-11"),
            *("2024-W02-4", "0000-01-01", "\uff12024-01-11"),
        )
    ),
    *(("meeting", value) for value in ("2024-02-30", "2024-01-10", "2031-01-01", "tomorrow")),
    *(("protocol_version", value) for value in ("2023-02-30", "v2", "2023-8-30")),
    *(("software_version", value) for value in ("latest", "0.1.0\n", "\x1b[31m0.1.0", " 0.1.0")),
    *(("recommendation", value) for value in ("", "a\x1bb", "wait\u202e")),
    *(("recommended", value) for value in ("escalate to level 2", "level 0", "RP2D 1", "resume", "level", "MTD")),
    *(("reason", value) for value in ("", " ", "\x1b[31mred", "a\x07b", "\u202eabc", "a\u200bb", "x" * 2001)),
    *(("released", value) for value in ("x", "[]", '{"death": []}', '{"boundary@2": ["A1"]}')),
    *(("with_dlt", value) for value in ("A1", "[1]", '{"A1": 1}')),
    *(("still_open", value) for value in ("A1", "[[]]")),
    *((name, value) for name, value in (("protocol", ""), ("binding", " "), ("data_sha256", "a\tb"), ("attendees", "a\x08"))),
    *((HASH, value) for value in ("abc", "A" * 64, "0" * 63, "0" * 65, "no")),
]


@pytest.mark.parametrize(("column", "value"), BAD_DECISIONS)
def test_wrong_cell_of_a_decision_is_refused_with_row_column_and_value(tmp_path, column, value):
    for error in refused("decisions", changed(filed(tmp_path), column, value)):
        assert f"row 3.{column}" in [problem.where for problem in error.problems]
        assert repr(value)[:60] in str(error)


@pytest.mark.parametrize("decision", ["level 4", "level 99", "MTD 9", "RP2D 4", "add dose 3", "add dose 0"])
def test_levels_and_doses_must_fit_the_protocol(tmp_path, decision):
    path = tmp_path / "decisions.csv"
    record_decision(path, FIRST._replace(decision=decision, override="yes"))
    with pytest.raises(dsf.InputError) as error:
        read_checked(path, PROTOCOL)
    assert [(problem.where, problem.value) for problem in error.value.problems] == [("row 2.decision", decision)]
    # A trial of another protocol in the same file may have more levels.
    record_decision(tmp_path / "other.csv", FIRST._replace(decision=decision, override="yes", protocol="OTHER"))
    assert read_checked(tmp_path / "other.csv", PROTOCOL)[0] == []


def test_version_must_be_one_of_the_protocol(tmp_path):
    path = tmp_path / "decisions.csv"
    record_decision(path, FIRST._replace(protocol_version=date(2023, 8, 31)))
    with pytest.raises(dsf.InputError) as error:
        read_checked(path, PROTOCOL)
    assert [(one.where, one.value) for one in error.value.problems] == [("row 2.protocol_version", "2023-08-31")]
    assert "2023-08-30" in str(error.value)


AGREEING = [
    ("wait", "wait", "", True),
    ("wait", "level 2", "", False),
    ("level 1", "level 1", "", True),
    ("level 1", "wait", "", False),
    ("level 12", "level 1", "", False),
    ("MTD 2", "stop", "", True),
    ("MTD 2", "MTD 2", "", True),
    ("MTD 2", "MTD none", "", False),
    ("MTD 2", "RP2D 1", "", True),
    ("MTD 2", "RP2D 2", "", True),
    ("MTD 2", "RP2D 3", "", False),
    ("MTD 2", "RP2D none", "", True),
    ("MTD 2", "level 2", "", False),
    ("MTD none", "MTD none", "", True),
    ("MTD none", "MTD 1", "", False),
    ("MTD none", "RP2D 1", "", False),
    ("stop", "stop", "", True),
    ("stop", "MTD none", "", False),
    ("wait", "resume", '{"related-serious": ["A1"]}', True),
    ("wait", "resume", "{}", False),
]


@pytest.mark.parametrize(("recommended", "decision", "released", "agreed"), AGREEING)
def test_flipped_override_is_refused(tmp_path, recommended, decision, released, agreed):
    assert agrees(decision, recommended, released) is agreed
    right, flipped = ("no", "yes") if agreed else ("yes", "no")
    one = FIRST._replace(recommended=recommended, decision=decision, released=released, override=right)
    record_decision(tmp_path / "decisions.csv", one)
    assert read_decisions(tmp_path / "decisions.csv", ID) == [one]
    with pytest.raises(dsf.InputError) as error:
        record_decision(tmp_path / "other.csv", one._replace(override=flipped))
    assert [(problem.where, problem.value) for problem in error.value.problems] == [("override", flipped)]
    assert not (tmp_path / "other.csv").exists()
    changed(tmp_path / "decisions.csv", "override", flipped, row=2)
    with pytest.raises(dsf.InputError) as error:
        read_decisions(tmp_path / "decisions.csv", ID)
    assert [problem.where for problem in error.value.problems] == ["row 2.override"]


def test_override_is_by_the_recommendation_and_not_by_its_words(tmp_path):
    agreeing = {33: {"level 1"}, 44: {"wait"}, 83: {"level 2"}}
    for when, expected in agreeing.items():
        found = then(single_dose(), when)
        recorded = [
            found.record(decision, "agreed")
            for decision in ("level 1", "level 2", "wait", "stop", "MTD 1", "MTD none", "RP2D 1", "RP2D none", "resume")
        ]
        assert {one.decision for one in recorded if one.override == "no"} == expected
        for one in recorded:
            # Whatever the words are, in whatever language.
            record_decision(tmp_path / f"{when}.csv", one._replace(recommendation="Eskalation auf Stufe 2"))


EARLIER = [
    ("wait", "wait", True),
    ("wait until 2024-02-01", "level 2", False),
    ("wait: escalation and enrolment on hold", "wait", True),
    ("complete the current cohort at level 1, 1 patient", "level 1", True),
    ("fill the cohort at level 1, 1 patient", "level 1", True),
    ("complete the current cohort at level 1, 1 patient", "wait", False),
    ("escalate to level 2, 3 patients, not before 2024-02-01", "level 2", True),
    ("de-escalate to level 1, 3 patients; enrolment on hold", "wait", True),
    ("de-escalate to level 1, 3 patients; enrolment on hold", "level 1", False),
    ("stay at level 2, 3 patients, start date open", "level 3", False),
    ("stop, MTD level 2", "MTD 2", True),
    ("stop, MTD level 2", "RP2D 3", False),
    ("stop, MTD level 3, not reached (that level or above)", "MTD 3", True),
    ("stop, no MTD", "MTD none", True),
    ("stop, no MTD", "MTD 1", False),
    ("stop", "stop", True),
    ("stop", "MTD none", False),
]


@pytest.mark.parametrize(("recommendation", "decision", "agreed"), EARLIER)
def test_flipped_override_of_an_earlier_version_is_refused(tmp_path, recommendation, decision, agreed):
    right, flipped = ("no", "yes") if agreed else ("yes", "no")
    one = FIRST._replace(recommended="", recommendation=recommendation, decision=decision, override=right)
    record_decision(tmp_path / "right.csv", one)
    with pytest.raises(dsf.InputError) as error:
        record_decision(tmp_path / "flipped.csv", one._replace(override=flipped))
    assert [problem.where for problem in error.value.problems] == ["override"]


def test_text_of_an_unknown_form_shows_no_agreement(tmp_path):
    for override in ("yes", "no"):
        one = FIRST._replace(recommended="", recommendation="as the committee liked", override=override)
        record_decision(tmp_path / f"{override}.csv", one)


@pytest.mark.parametrize("last", ["reason", "conditions", "released", "still_open"])
@pytest.mark.parametrize("hashed", [True, False])
def test_file_of_an_earlier_version_is_read_and_continued(tmp_path, last, hashed):
    """Its rows have fewer columns, and the hashes are of those."""
    path, columns = tmp_path / "decisions.csv", Recorded._fields[: Recorded._fields.index(last) + 1]
    rows, above = [], ""
    for recorded in DECISIONS[:3]:
        cells = ["" if cell is None else str(cell) for cell in recorded[: len(columns)]]
        above = row_hash(above, cells)
        rows.append([*cells, above] if hashed else cells)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([[*columns, HASH] if hashed else columns, *rows])
    on_file, chain = decisions_on_file(path, ID)
    assert [tuple(one[: len(columns)]) for one in on_file] == [tuple(one[: len(columns)]) for one in DECISIONS[:3]]
    assert (chain.altered, chain.without_hash) == ((), () if hashed else (2, 3, 4))
    record_decision(path, DECISIONS[3])
    on_file, chain = decisions_on_file(path, ID)
    assert (len(on_file), on_file[-1], chain.altered) == (4, DECISIONS[3], ())
    changed(path, "override", "yes", row=2)
    changed(path, "decision", "wait", row=2)
    assert decisions_on_file(path, ID)[1].altered == ((2,) if hashed else (5,))


BAD_ADJUDICATIONS = [
    *(("conclusion", value) for value in ("dlt", "", " DLT", "not a dlt", "maybe", "RETRACTED")),
    *(("as_of", value) for value in ("", "20240130", "2024-02-30", "2024-1-30")),
    *(("adjudicated_on", value) for value in ("2023-12-31", "2026-01-01", "2024-W05-1", "soon")),
    *(("event_date", value) for value in ("2024-02-30", "2024-02-10", "x")),
    *(("grade", value) for value in ("0", "6", "3.0", " 3", "three")),
    *(("relationship", value) for value in ("Related", "yes")),
    *(("serious", value) for value in ("Y", "maybe")),
    *(("alike", value) for value in ("0", "-1", "1.5", "01", "9" * 5000)),
    *(
        (name, value)
        for name, value in (("subject", ""), ("reason", "\x1b]8;;x\x07"), ("adjudicated_by", "\u2066"), ("term", "\x9b"))
    ),
    (HASH, "0" * 63),
]


@pytest.mark.parametrize(("column", "value"), BAD_ADJUDICATIONS)
def test_wrong_cell_of_an_adjudication_is_refused_with_row_column_and_value(tmp_path, column, value):
    for error in refused("adjudications", changed(filed(tmp_path, "adjudications"), column, value)):
        assert f"row 3.{column}" in [problem.where for problem in error.problems]
        assert repr(value)[:60] in str(error)


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


DAMAGE = {
    "empty": lambda path: b"",
    "mark alone": lambda path: b"\xef\xbb\xbf",
    "mark and line end": lambda path: b"\xef\xbb\xbf\n",
    "blank line first": lambda path: b"\n" + path.read_bytes(),
    "no header": lambda path: "".join(_lines(path)[1:]).encode(),
    "column renamed": lambda path: path.read_bytes().replace(b"reason", b"why", 1),
    "column in capitals": lambda path: path.read_bytes().replace(b"as_of", b"AS_OF", 1),
    "two columns swapped": lambda path: path.read_bytes().replace(b"as_of,", b"protocol,", 1),
    "a column more": lambda path: path.read_bytes().replace(b"\n", b",note\n"),
    "row cut off": lambda path: path.read_bytes()[:-70],
    "hash cut off": lambda path: path.read_bytes()[:-3],
    "a cell more": lambda path: path.read_bytes()[:-1] + b",x\n",
    "blank row": lambda path: path.read_bytes() + b"\n",
    "semicolons": lambda path: path.read_bytes().replace(b",", b";"),
    "quote not closed": lambda path: path.read_bytes() + b'2024-03-01,"',
    "text after a quote": lambda path: path.read_bytes() + b'"2024-03-01"x,\n',
    "not UTF-8": lambda path: path.read_bytes() + b"\xff",
    "UTF-16": lambda path: path.read_text(encoding="utf-8").encode("utf-16"),
    "zero byte": lambda path: path.read_bytes().replace(b"2024-01-", b"2024-01\0-", 1),
    "repeated row": lambda path: path.read_bytes() + _lines(path)[-1].encode(),
    "earlier row repeated": lambda path: path.read_bytes() + _lines(path)[1].encode(),
    "header again": lambda path: path.read_bytes() + _lines(path)[0].encode(),
    "rows out of order": lambda path: "".join([*_lines(path)[:1], *reversed(_lines(path)[1:])]).encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", FILES)
def test_damaged_file_is_refused_and_left_alone(tmp_path, kind, damage):
    path = filed(tmp_path, kind)
    path.write_bytes(DAMAGE[damage](path))
    refused(kind, path)


def test_repeated_row_of_a_file_without_hashes_names_both_rows(tmp_path):
    path = filed(tmp_path)
    cells = [row[:-1] for row in cells_of(path)]
    write_cells(path, [*cells, cells[-1]])
    for error in refused("decisions", path):
        assert "row 6 repeats row 5" in str(error)


def test_same_decision_is_recorded_once(tmp_path):
    path = filed(tmp_path)
    before = path.read_bytes()
    with pytest.raises(dsf.InputError, match=r"decisions\.csv: has this decision already, in row 5"):
        record_decision(path, DECISIONS[-1])
    assert path.read_bytes() == before


# The hash of each row.


@pytest.mark.parametrize("kind", FILES)
def test_whole_file_has_no_caution(tmp_path, kind):
    path, chain = filed(tmp_path, kind), FILES[kind][3]
    assert chain(path) == Chain(f"{kind}.csv")
    assert record_cautions([chain(path)]) == ()
    # Line ends, quotes and a mark are not content.
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n").replace(b"3+3", b'"3+3"'))
    assert chain(path).altered == ()
    assert chain(tmp_path / "none.csv") == Chain("none.csv")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("reason", "as recommended."), ("reason", "As recommended"), ("attendees", "Dr. X"), ("conditions", "none")),
        *(("data_sha256", "0" * 63), ("config_sha256", ""), ("binding", "boin"), ("protocol", "OTHER"), ("meeting", "")),
        *(("protocol_version", ""), ("software_version", "0.1.1"), ("with_dlt", "[]"), ("still_open", ""), ("as_of", "2024-01-10")),
        *((HASH, "0" * 64), (HASH, "")),
    ],
)
def test_change_by_hand_is_named_by_its_row(tmp_path, column, value):
    path = changed(filed(tmp_path), column, value)
    chain = decisions_chain(path)
    assert chain.altered == ((3, 4) if value == "0" * 64 else (3,))
    assert record_cautions([chain]) == (RecordCaution("altered", "decisions.csv", chain.altered),)
    # The rows that are added go on from there, and the change stays named.
    record_decision(path, LATER)
    assert decisions_chain(path) == chain


def without_row(cells):
    return [*cells[:2], *cells[3:]]


def with_row(cells):
    # Of the same day as the row below, so that the order of dates does not show it.
    row = list(cells[3])
    row[cells[0].index("reason")] = "put in"
    return [*cells[:3], row, *cells[3:]]


def with_bare_row(cells):
    row = list(with_row(cells)[3])
    row[-1] = ""
    return [*cells[:3], row, *cells[3:]]


def swapped(cells):
    return [*cells[:3], cells[4], cells[3]]


@pytest.mark.parametrize(
    ("alter", "rows"),
    [
        (without_row, (3,)),
        (lambda cells: [cells[0], *cells[2:]], (2,)),
        (lambda cells: [cells[0], *cells[3:]], (2,)),
        (with_row, (4, 5)),
        (with_bare_row, (4, 5)),
        (swapped, (4, 5)),
    ],
)
def test_rows_removed_put_in_or_swapped_are_named(tmp_path, alter, rows):
    path = filed(tmp_path)
    write_cells(path, alter(cells_of(path)))
    assert decisions_chain(path).altered == tuple(row for row in rows if row <= len(cells_of(path)))


def test_rows_removed_at_the_end_are_not_shown(tmp_path):
    """As docs/how-to/record-a-decision.md says."""
    path = filed(tmp_path)
    write_cells(path, cells_of(path)[:-1])
    assert decisions_chain(path) == Chain("decisions.csv")


def test_rows_of_earlier_versions_are_told_once_and_protected_by_the_next_row(tmp_path):
    path = filed(tmp_path)
    write_cells(path, [row[:9] for row in cells_of(path)])
    assert len(read_checked(path, PROTOCOL)[0]) == 4
    assert decisions_chain(path) == Chain("decisions.csv", (), (2, 3, 4, 5))
    assert record_cautions([decisions_chain(path)]) == (RecordCaution("unprotected", "decisions.csv", (2, 3, 4, 5)),)
    record_decision(path, LATER)
    assert decisions_chain(path) == Chain("decisions.csv", (), (2, 3, 4, 5))
    changed(path, "reason", "another")
    assert decisions_chain(path) == Chain("decisions.csv", (6,), (2, 3, 4, 5))


def test_cautions_are_in_the_answer_its_words_and_its_files(tmp_path):
    path = tmp_path / "decisions.csv"
    for reason in ("one", "two"):
        record_decision(path, then(single_dose(), 33).record("wait", reason))
    changed(path, "reason", "2", row=3)
    found = dsf.next_dose(PROTOCOL, single_dose(), decisions=path)
    assert [one for one in cautions(found) if isinstance(one, RecordCaution)] == [RecordCaution("altered", "decisions.csv", (3,))]
    assert found.attrs["chains"] == [Chain("decisions.csv", (3,))]
    (words,) = record_words(found.chains)
    assert "Row 3 of decisions.csv" in words
    assert words in next_words(found)
    alone = PROTOCOL.model_dump(exclude_unset=True) | {"designs": {"3+3": {"kind": "3+3"}}, "curves": {}, "assumed": {}}
    report = dsf.report(dsf.Protocol.read(alone), single_dose(), decisions=path).html()
    assert "Row 3 of decisions.csv" in " ".join(re.sub("<[^>]*>", "", report).split())


def next_words(found):
    return as_lines(next_dose(found), width=1000)


# Adding a row.


@pytest.fixture(params=FILES)
def adding(request, tmp_path):
    """A file with rows, and a function that adds a row to it."""
    rows, add, read, _ = FILES[request.param]
    path = filed(tmp_path, request.param)
    return path, lambda at=path: add(at, rows[-1]._replace(reason="one more")), read


def test_symbolic_link_is_followed(adding, tmp_path):
    path, add, read = adding
    target = tmp_path / "shared" / "record.csv"
    target.parent.mkdir()
    path.rename(target)
    (tmp_path / "second.csv").symlink_to("shared/record.csv")
    path.symlink_to(tmp_path / "second.csv")
    n = len(read(path))
    add()
    assert path.is_symlink()
    assert (tmp_path / "second.csv").is_symlink()
    assert len(read(target)) == len(read(path)) == n + 1


def test_link_to_no_file_makes_the_file(adding, tmp_path):
    path, add, read = adding
    target = tmp_path / "target.csv"
    path.unlink()
    path.symlink_to(target)
    add()
    assert path.is_symlink()
    assert len(read(target)) == 1


def test_link_to_itself_or_to_no_folder_is_one_error(adding, tmp_path):
    path, add, _ = adding
    for target in (path, tmp_path / "none" / "x.csv"):
        path.unlink()
        path.symlink_to(target)
        with pytest.raises(dsf.InputError):
            add()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444 | 0o200])
def test_permissions_are_kept(adding, mode):
    path, add, _ = adding
    path.chmod(mode)
    add()
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_owner_is_kept(adding):
    path, add, _ = adding
    os.chown(path, 12345, 23456)
    add()
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_hard_link_gets_the_row_too(adding, tmp_path):
    path, add, read = adding
    os.link(path, tmp_path / "other.csv")
    n = len(read(path))
    add()
    assert path.samefile(tmp_path / "other.csv")
    assert len(read(tmp_path / "other.csv")) == n + 1


def test_owner_that_cannot_be_kept_by_a_new_file_is_kept_in_place(adding, monkeypatch):
    path, add, read = adding
    monkeypatch.setattr("dosefind.provenance._may_own", lambda file: False)
    n, inode = len(read(path)), path.stat().st_ino
    add()
    assert (len(read(path)), path.stat().st_ino) == (n + 1, inode)


def test_what_may_not_be_written_is_one_error_and_stays(adding, monkeypatch):
    path, add, _ = adding
    before, access = path.read_bytes(), os.access
    for closed in (path, path.parent):
        monkeypatch.setattr(os, "access", lambda place, mode, closed=closed: str(place) != str(closed) and access(place, mode))
        with pytest.raises(dsf.InputError) as error:
            add()
        assert error.value.source == str(closed)
    assert path.read_bytes() == before


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: os.mkfifo(path)])
def test_folder_or_pipe_in_place_of_the_file_is_one_error(adding, make):
    path, add, read = adding
    path.unlink()
    make(path)
    for call in (add, lambda: read(path)):
        with pytest.raises(dsf.InputError, match=r"must be a regular file|Is a directory"):
            call()


# The commands.


@pytest.fixture
def folder(tmp_path):
    for file in (CONFIG, MIDWAY / "patients.csv", MIDWAY / "events.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


COMMANDS = {
    "next": [],
    "report": ["--out", "out"],
    "record": ["--decision", "wait", "--reason", "so"],
    "adjudicate": ["--subject", "SYN-0002", "--conclusion", "DLT", "--by", "board", "--on", "2023-11-21", "--reason", "so"],
}


def run(folder, command, *more):
    data = ["--data", folder / "patients.csv", "--events", folder / "events.csv", "--as-of", "2023-11-20"]
    options = [str(folder / "out") if one == "out" else one for one in COMMANDS[command]]
    return CliRunner().invoke(main, [command, *map(str, (folder / CONFIG.name, *data)), *options, *more])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_alike(folder, command):
    row = [date(2023, 11, 20), ID, "", "", "3+3", "complete the current cohort at level 1, 1 patient", "level 99", "yes", "so"]
    write_cells(folder / "decisions.csv", [Recorded._fields[:9], row])
    found = run(folder, command)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "decisions.csv: row 2.decision = 'level 99'" in found.stderr
    (folder / "decisions.csv").unlink()
    (folder / "adjudications.csv").write_bytes(b"\xef\xbb\xbf")
    found = run(folder, command)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "adjudications.csv: is empty" in found.stderr


def test_commands_say_what_was_changed_by_hand(folder):
    for reason in ("one", "two"):
        assert run(folder, "record", "--reason", reason).exit_code == 0
    changed(folder / "decisions.csv", "reason", "won", row=2)
    assert "Row 2 of decisions.csv" in run(folder, "next").stdout
    for command in ("record", "adjudicate"):
        assert "Row 2 of decisions.csv" in run(folder, command).stderr


# The number of a row is that of its line in the file, also below cells with line breaks.

LINES = "decided\nafter a long\ntalk"


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_rows_are_numbered_by_their_first_line(tmp_path, kind, ending):
    rows, _, read, chain_of = FILES[kind]
    path = tmp_path / f"{kind}.csv"
    for row in rows[:3]:
        FILES[kind][1](path, row._replace(reason=f"{LINES} {row.reason}"))
    cells = cells_of(path)
    # The header, and three rows of three lines each.
    numbers = [2, 5, 8]
    column = cells[0].index("reason")
    text = io.StringIO()
    csv.writer(text, lineterminator=ending).writerows([*cells[:3], [*cells[3][:column], "another", *cells[3][column + 1 :]]])
    path.write_bytes(text.getvalue().encode())
    assert chain_of(path).altered == (numbers[2],)
    assert record_cautions([chain_of(path)])[0].rows == (numbers[2],)
    write_cells(path, [row[:-1] for row in cells])
    assert chain_of(path).without_hash == tuple(numbers)
    write_cells(path, [*cells, cells[-1]])
    with pytest.raises(dsf.InputError, match=f"row 11 repeats row {numbers[2]}"):
        read(path)
    write_cells(path, [*cells[:3], cells[3][:-1]])
    with pytest.raises(dsf.InputError, match=f"row {numbers[2]} has"):
        read(path)
    for name, value in (("as_of", "yesterday"), ("as_of", "2023-01-01"), ("reason", "")):
        write_cells(path, cells)
        changed(path, name, value, row=4)
        with pytest.raises(dsf.InputError, match=f"row {numbers[2]}"):
            read(path)


def test_level_that_does_not_exist_is_refused_by_its_line(tmp_path):
    path = tmp_path / "decisions.csv"
    for row in DECISIONS[:2]:
        record_decision(path, row._replace(reason=f"{LINES} {row.reason}"))
    cells = cells_of(path)
    cells[2][cells[0].index("decision")], cells[2][cells[0].index("recommendation")] = "level 9", "escalate to level 9, 3 patients"
    write_cells(path, cells)
    with pytest.raises(dsf.InputError, match="row 5"):
        read_checked(path, PROTOCOL)


FAULTS = {
    "a row's hash does not depend on the row above": (
        "dosefind.chain:row_hash",
        lambda old: lambda above, cells: old("", cells),
        every_case(test_rows_removed_put_in_or_swapped_are_named),
    ),
}

test_fault_is_caught = faults(FAULTS)
