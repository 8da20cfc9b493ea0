"""Build the documentation site: `python -m docs.build`, into `docs/_build/html`. A warning is an error.

Some pages are made here from the code: the reference of every public name, the keys of a config, and the validation of each
result. The other pages are copied to the same folder, and Sphinx is called on all of them. Notebooks are pages too: notebooks that
were run before are taken from the folder in DOSEFIND_NOTEBOOKS, and otherwise they are run here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

__all__ = ["build", "main"]

HERE = Path(__file__).parent
ROOT = HERE.parent
NOT_PAGES = shutil.ignore_patterns("_build", "__pycache__", "*.py", "*.pyc")


def build(out: Path) -> int:
    """Make all pages and the site in the folders `source` and `html` of a folder; return the exit status of Sphinx."""
    from sphinx.cmd.build import build_main

    from . import api, config_keys, notebooks, validation

    source = out / "source"
    for old in (source, out / "html"):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(HERE, source, ignore=NOT_PAGES)
    shutil.copy(HERE / "conf.py", source)
    for write in (api.write, config_keys.write, validation.write, notebooks.write):
        _timed(f"pages of docs/{write.__module__.rpartition('.')[2]}.py", lambda write=write: write(source))
    os.environ["DOSEFIND_ROOT"] = str(ROOT)
    return _timed("site", lambda: build_main(["-b", "html", "-W", "--keep-going", "-q", str(source), str(out / "html")]))


def _timed[T](task: str, do: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = do()
    print(f"{task}: {time.perf_counter() - began:.0f} s", flush=True)
    return result


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.build", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "_build", help="folder for the site [docs/_build]")
    out = parser.parse_args().out.resolve()
    if missing := [name for name in ("sphinx", "myst_nb", "nbclient") if find_spec(name) is None]:
        print(f"the site needs {', '.join(missing)}, not installed here: pip install -e '.[docs]'", file=sys.stderr)
        return 2
    status = build(out)
    if status == 0:
        print(f"open {out / 'html' / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
