"""The reference cases on the user's installation: they pass here, each fault is seen, and the record states all of it."""

import dataclasses
import hashlib
import io
from datetime import date
from pathlib import Path

import numpy as np
import pypdf
import pytest
from click.testing import CliRunner

import dosefind as dsf
from dosefind.cli import main
from dosefind.validation import cases, running
from dosefind.validation.cases import CASES, FOLDER

from .peers import FOLDER as TESTED


@pytest.fixture(scope="module")
def found():
    return dsf.selfcheck()


def test_every_case_passes_here(found):
    assert found.passed
    assert len(found.table) == len(CASES) >= 15
    assert found.table["passed"].all()
    assert (found.table["values"] >= 6).all()
    assert len({case.name for case in CASES}) == len(CASES)


def test_references_are_those_of_the_tests():
    """Copied with their source: whole files, or rows of them."""
    installed = sorted(path.name for path in FOLDER.iterdir())
    assert installed == sorted({file for case in CASES for file in case.files})
    for name in installed:
        lines, tested = ((folder / name).read_text().splitlines() for folder in (FOLDER, TESTED))
        assert set(lines) <= set(tested)
        assert len(lines) > 3
    assert all(source for case in CASES for source in case.sources())


def test_every_file_is_hashed(found):
    root = Path(dsf.__file__).parent
    assert "validation/references/exact_3p3.csv" in found.files
    assert "designs/boin.py" in found.files
    for path in ("__init__.py", "designs/boin.py"):
        assert found.files[path] == hashlib.sha256((root / path).read_bytes()).hexdigest()
    assert not [path for path in found.files if path.endswith(".pyc")]
    assert len(found.package_sha256) == 64


FAULTS = {
    "boundary": lambda old: lambda *given: old(*given) + 1,
    "crossing": lambda old: lambda *given: old(*given)._replace(probability=old(*given).probability + 1e-3),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_fails(name, monkeypatch):
    """The boundary of a pause is another; the probabilities of a pause are off by more than the tolerance."""
    monkeypatch.setattr(cases, name, FAULTS[name](getattr(cases, name)))
    assert not dsf.selfcheck(["beta-binomial boundary"]).passed


def test_an_error_is_a_failure_that_the_record_states(monkeypatch):
    def broken(*_given, **_named):
        raise RuntimeError("no such instruction")

    monkeypatch.setattr("dosefind.validation.cases.boundary", broken)
    made = dsf.selfcheck(["Pocock boundary", "BOIN rates"])
    assert [one.passed for one in made.checked] == [False, True]
    assert "failed: Pocock boundary" in repr(made)
    record = dsf.validation_record(made, date(2024, 3, 14)).markdown()["report.md"]
    assert "RuntimeError: no such instruction" in record
    assert "1 of 2 reference cases FAILED" in record
    monkeypatch.setattr("dosefind.validation.running.CASES", CASES[-1:])
    done = CliRunner().invoke(main, ["selfcheck"])
    assert done.exit_code == 1
    assert "FAILED" in done.output


def test_nothing_compared_is_no_pass():
    """Also a value that is no number, and another number of values than the reference has."""
    for pairs in ([], [(np.nan, 1.0)], [((1.0, 2.0), (1.0,))]):
        case = dataclasses.replace(CASES[0], compute=lambda pairs=pairs: iter(pairs))
        assert not running._check(case).passed


def test_the_record_states_versions_hashes_tolerances_and_differences(found, tmp_path):
    report = dsf.validation_record(found, date(2024, 3, 14))
    words = report.markdown()["report.md"].replace("\\", "")
    assert report.date == "2024-03-14"
    assert found.package_sha256 in words
    assert all(digits in words for digits in found.files.values())
    assert all(f"{name} {version}" in words for name, version in found.versions.items())
    for one in found.checked:
        row = next(line for line in words.split("\n") if line.startswith(f"| {one.case.name} | "))
        assert row.split(" | ")[1] == str(one.n)
        assert float(row.split(" | ")[2]) == pytest.approx(one.difference, rel=0.05)
        assert row.endswith("| passed |")
    assert report.save_as(tmp_path / "record.pdf") == ["record.pdf"]
    read = pypdf.PdfReader(io.BytesIO((tmp_path / "record.pdf").read_bytes()))
    assert "2024-03-14" in read.pages[0].extract_text()
    assert dsf.validation_record(found, date(2024, 3, 14)).pdf() == (tmp_path / "record.pdf").read_bytes()


def test_the_command_needs_a_date_for_a_record(tmp_path, monkeypatch):
    monkeypatch.setattr("dosefind.validation.running.CASES", CASES[2:4])
    out = tmp_path / "record.html"
    done = CliRunner().invoke(main, ["selfcheck", "--out", str(out)])
    assert (done.exit_code, out.exists()) == (2, False)
    done = CliRunner().invoke(main, ["selfcheck", "--on", "2024-03-14", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "All 2 reference cases passed" in done.output
    assert "2024-03-14" in out.read_text()
    with pytest.raises(dsf.InputError, match="must be one of"):
        dsf.selfcheck(["nothing"])
