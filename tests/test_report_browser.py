"""The reports opened by what their readers open them with: Chromium, assistive technology's rules (axe), a validator, LibreOffice.

Chromium, LibreOffice and Java are the system's (`.ci/system`); axe-core and vnu-jar come from ``browser/package-lock.json``, by
``npm ci`` in ``tests/browser``, or wherever DOSEFIND_NODE_MODULES says.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

import dosefind as dsf
from dosefind.show import content
from dosefind.show.content import Figure, Run

from .peers import ROOT

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
MODULES = Path(os.environ.get("DOSEFIND_NODE_MODULES", ROOT / "tests" / "browser" / "node_modules"))
WIDTHS = (1280, 390)


def needed(path, what):
    if path is None or not Path(path).exists():
        pytest.skip(f"{what} is not here: {path}")
    return path


@pytest.fixture(scope="module")
def reports():
    """The report of each kind on a shipped protocol and, where it has patients, on a shipped example."""
    protocol = dsf.load_protocol(ROOT / "configs" / "nct05962762.toml")
    example = ROOT / "examples" / "nct05962762" / "midway"
    patients = dsf.read_patients(example / "patients.csv", protocol, events=example / "events.csv")
    return {"design": dsf.report(protocol), "conduct": dsf.report(protocol, patients)}


@pytest.fixture(scope="module")
def files(reports, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, one in reports.items():
        one.save(folder / name, ["html"])
    return {name: folder / name / "report.html" for name in reports}


@pytest.fixture(scope="module")
def browser():
    needed(CHROMIUM, "Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # There is no sandbox for root, as whom checks run in a container.
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser, file, width, address="", **context):
    """A page, with all that the browser says of it and asks for."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    heard: list[str] = []
    page.on("console", lambda one: heard.append(one.text))
    page.on("pageerror", lambda one: heard.append(str(one)))
    page.on(
        "request", lambda one: heard.append(one.url) if one.url.partition("#")[0] != file.as_uri() and one.url != "data:," else None
    )
    page.goto(f"{file.as_uri()}#{address}" if address else file.as_uri())
    return page, heard


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["design", "conduct"])
def test_quiet_and_no_wider_than_the_window(browser, files, name, width):
    """What is too wide scrolls within its own region, which the keyboard reaches."""
    page, heard = opened(browser, files[name], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    regions = page.locator("[role=region]")
    assert regions.count() > 5
    assert page.evaluate("[...document.querySelectorAll('[role=region]')].every(one => one.tabIndex === 0)")
    assert heard == []
    page.context.close()


@pytest.mark.parametrize("name", ["design", "conduct"])
def test_works_without_scripts(browser, files, name):
    page, heard = opened(browser, files[name], 1280, java_script_enabled=False)
    page.locator("nav a").last.click()
    assert page.url.endswith("#" + page.locator("main > section").last.get_attribute("id"))
    assert page.locator("main > section").last.is_visible()
    assert heard == []
    page.context.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["design", "conduct"])
def test_axe_finds_no_violation(browser, files, name, width):
    axe = needed(MODULES / "axe-core" / "axe.min.js", "axe-core").read_text(encoding="utf-8")
    # The page's own policy lets no script in, and so has to be passed by.
    page, _ = opened(browser, files[name], width, bypass_csp=True)
    page.evaluate(axe)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    assert len(found["passes"]) > 10
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
    page.context.close()


def test_first_page_in_print(browser, files, tmp_path):
    """What next, how safe, how sure: on one page, with nothing else on it."""
    from pypdf import PdfReader

    for name, second in (("conduct", "2 Events"), ("design", "2 Protocol")):
        page, _ = opened(browser, files[name], 1280)
        page.pdf(path=tmp_path / f"{name}.pdf", prefer_css_page_size=True)
        page.context.close()
        first, after, *_ = (one.extract_text() for one in PdfReader(tmp_path / f"{name}.pdf").pages)
        assert "1 Summary" in first
        assert second not in first
        # What the report is of stands above the next section.
        assert second in after


def test_nu_finds_no_error(files):
    jar = needed(MODULES / "vnu-jar" / "build" / "dist" / "vnu.jar", "vnu-jar")
    java = needed(shutil.which("java"), "Java")
    done = subprocess.run(
        [java, "-jar", jar, "--format", "json", "--exit-zero-always", *files.values()], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stderr)["messages"] == []


# LibreOffice.


def lines(value, counted) -> Iterator[str]:
    """All text of a tree, in the order in which it is read, with the numbers that Word counts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Run):
        yield value.text
    elif isinstance(value, Figure):
        yield f"Figure {next(counted['figure'])}. "
        yield from lines(value.caption, counted)
    elif isinstance(value, content.Table):
        yield f"Table {next(counted['table'])}. "
        yield from lines((value.caption, tuple(one.heading for one in value.columns), value.rows, value.notes), counted)
    elif isinstance(value, tuple):
        for one in value:
            yield from lines(one, counted)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from lines(getattr(value, field.name), counted)


def contents(sections, before="", level=1) -> Iterator[str]:
    """The list of contents of a Word file, two levels deep."""
    for place, one in enumerate(sections, start=1):
        yield from (f"{before}{place} ", *lines(one.title, {}))
        if level < 2:
            yield from contents(one.sections, f"{before}{place}.", level + 1)


def numbered(sections, counted, before="", first=1) -> Iterator[str]:
    for place, one in enumerate(sections, start=first):
        yield f"{before}{place} "
        yield from lines((one.title, one.blocks), counted)
        yield from numbered(one.sections, counted, f"{before}{place}.")


def everything(document) -> Iterator[str]:
    counted = {"table": count(1), "figure": count(1)}
    yield from lines((document.title, document.subtitle, document.facts), counted)
    # The answer comes before the contents.
    answer = 1 if document.sections[0].own_page else 0
    yield from numbered(document.sections[:answer], counted)
    yield document.labels["contents"]
    yield from contents(document.sections)
    yield from numbered(document.sections[answer:], counted, first=answer + 1)
    yield document.labels["footer"]


def squeezed(words):
    return re.sub(r"[\s\ufeff]", "", words)


def test_word_file_says_in_libreoffice_what_the_content_says(reports, tmp_path):
    office = needed(shutil.which("soffice"), "LibreOffice")
    for name, one in reports.items():
        (tmp_path / f"{name}.docx").write_bytes(one.docx())
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [office, "--headless", profile, "--convert-to", "txt:Text (encoded):UTF8", "--outdir", tmp_path]
    subprocess.run([*command, *tmp_path.glob("*.docx")], capture_output=True, check=True, timeout=120)
    for name, one in reports.items():
        text = (tmp_path / f"{name}.txt").read_text(encoding="utf-8")
        # LibreOffice marks the items of lists.
        said = re.sub(r"^ *\u2022 ", "", text, flags=re.MULTILINE)
        assert squeezed(said) == squeezed("".join(everything(one)))
