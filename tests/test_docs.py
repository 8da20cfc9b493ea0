"""The documentation: every block of every page and of the README runs, made pages say what the code says, links are well formed."""

import re
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

import dosefind
from docs import api, config_keys, validation
from docs.blocks import ELSEWHERE, Block, BlockFailed, blocks_of, rendered, run_page
from dosefind.cli import main

from .peers import ROOT

DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]


def test_a_command_that_shows_nothing_is_a_fault_of_its_page(tmp_path):
    page = "```sh\ndosefind schema --out made\n```\n"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert len(run_page(page, tmp_path / "one")) == 1
    with pytest.raises(BlockFailed, match="line 1"):
        run_page(page, tmp_path / "two", shows=True)


@pytest.mark.slow
def test_blocks_of_the_readme_run(tmp_path):
    """Its first two commands make an environment, which the checks of the project do themselves."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = [block for block in blocks_of(text) if block.language in ("python", "sh")]
    rest = [block for block in shown if "-m venv" not in block.code]
    assert len(shown) - len(rest) == 2
    run_page("\n".join(f"```{block.language}\n{block.code}```" for block in rest), tmp_path, "README.md")


def test_a_page_shows_what_its_blocks_gave(tmp_path):
    text = (
        "One\n\n```python\nx = 2\nprint(x)\nx + 1\n```\n\n```python hide\nx * 10\n```\n\n```python lines=1\nprint('a\\nb')\n```\n"
    )
    page = rendered(text, run_page(text, tmp_path), None)
    assert page.count(":class: output") == 3
    assert "\n2\n3\n```" in page
    assert "x * 10" not in page
    assert "\n20\n```" in page
    assert "\na\n...\n```" in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\n1 / 0\n```\n", "page, line 1: ZeroDivisionError"),
        ("a\n\n```sh\ndosefind compare missing.toml\n```\n", "page, line 3: .*exit status 2"),
        ("```sh fails\ndosefind --version\n```\n", "exit status 0"),
        ("```sh\nrm -rf somewhere\n```\n", "'rm' is not a command of this project"),
        ("```sh norun\nrm -rf somewhere\n```\n", "not among the commands that are not run"),
        ("```r\nlibrary(BOIN)\n```\n", "a block of 'r' cannot be run"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning: old"),
    ],
)
def test_a_block_that_does_not_run_is_named(text, said, tmp_path):
    with pytest.raises(BlockFailed, match=said):
        run_page(text, tmp_path)


def test_commands_that_are_not_run_are_few():
    commands = [block.code.strip() for path in PAGES for block in blocks_of(path.read_text("utf-8")) if "norun" in block.options]
    assert all(line.startswith(ELSEWHERE) for command in commands for line in command.splitlines())
    assert len(commands) <= 4


def test_every_public_name_and_setting_has_its_place(tmp_path):
    (tmp_path / "reference").mkdir()
    api.write(tmp_path)
    text = "".join(path.read_text("utf-8") for path in (tmp_path / "reference" / "api").glob("*.rst"))
    for name in set(dosefind.__all__) - {"__version__", "plots"}:
        assert re.search(rf"auto(class|function):: dosefind\.{name}\n", text), name
    config_keys.write(tmp_path)
    keys = (tmp_path / "reference" / "config.md").read_text("utf-8")
    for key in (
        "doses.amounts",
        "amounts",
        "stagger.days",
        "rule",
        "exchangeable.mu.mean",
        "trials.NAME.doses",
        "skeleton.halfwidth",
    ):
        assert f"`{key}`" in keys or f"`{key.partition('.')[2]}`" in keys, key
    for kind in ("3+3", "crm", "boin", "blrm", "power", "logistic", "cloglog", "logistic-2"):
        assert f'`kind = "{kind}"`' in keys or f'with `kind = "{kind}"`' in keys, kind


def test_the_guides_mention_every_command():
    pages = "".join(path.read_text("utf-8") for path in (DOCS / "how-to").glob("*.md"))
    missing = [name for name in main.commands if f"dosefind {name}" not in pages]
    # A decision table and paths are shown from Python; their commands stand in the README and the reference.
    assert set(missing) <= {"table", "paths"}
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_every_reference_of_the_tests_is_on_the_validation_page():
    assert {name for name, _ in validation._with_references()} == set(validation.TITLES)


def test_what_the_validation_page_notes():
    seen = validation.Seen()
    seen.note([1.0, 2.0, float("nan")], [1.5, 2.0, float("nan")], 0.0, 1.0)
    seen.note([11.0], [10.0], 0.2, 0.0)
    seen.note([3], [3], 0.0, 0.0)
    assert seen.largest == {"1": 0.5, "0.2 of the value": 0.1, "none": 0.0}
    assert seen.count == 4


def test_links_outside_are_well_formed():
    for path in [*PAGES, ROOT / "README.md"]:
        for link in re.findall(r"\]\((\w+:[^)\s]*(?:\([^)\s]*\)[^)\s]*)*)\)", path.read_text("utf-8")):
            parts = urlsplit(link)
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[\w.-]+\.\w+", parts.netloc), link


def test_blocks_know_their_options():
    (block,) = blocks_of("```sh lines=3 fails\nx\n```\n")
    assert isinstance(block, Block)
    assert (block.language, block.options, block.option("lines"), block.option("save")) == ("sh", ("lines=3", "fails"), "3", None)
