"""Settings of the whole suite: what a plain run leaves out, and that in CI a skipped test counts as failed."""

import collections
import os
import signal

import pytest

# A shell starts what runs in its background with interruptions ignored, nohup with hang-ups ignored; tests of signals need both.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Marks of the tests that take most of the time; a file or test named on the command line is run whatever its marks.
LONG = ("browser", "faults", "notebooks", "slow")
# Of a test with many cases a plain run takes this many: the first, the last and what lies evenly between.
CASES = 3


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help=f"run everything, with the tests marked {', '.join(LONG)}")


def _quick(config):
    """Whether this run leaves out what takes long: nothing was asked for by name, mark or option."""
    return not config.option.all and not config.option.markexpr and config.args == config.getini("testpaths")


def pytest_configure(config):
    # Read by tests/quick.py when the test modules are imported.
    if _quick(config):
        os.environ["DOSEFIND_TESTS"] = "quick"
    else:
        os.environ.pop("DOSEFIND_TESTS", None)


def pytest_xdist_auto_num_workers(config):
    """Two processes for the whole suite, none for what was asked for by name."""
    return 2 if config.args == config.getini("testpaths") else 0


def _has_snapshot(item):
    """Whether a test has a snapshot, which would be reported as unused if the test were left out."""
    return "snapshot" in getattr(item, "fixturenames", ())


def _of_each(items):
    """At most CASES of each test, in the order of the file."""
    tests = collections.defaultdict(list)
    kept = {item for item in items if _has_snapshot(item)}
    for item in items:
        tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        last, parts = len(cases) - 1, min(CASES, len(cases)) - 1
        kept.update(cases[round(part * last / parts)] if parts else cases[0] for part in range(parts + 1))
    return [item for item in items if item in kept]


def pytest_collection_modifyitems(config, items):
    if _quick(config):
        shorter = [item for item in items if _has_snapshot(item) or not any(mark.name in LONG for mark in item.iter_markers())]
        kept = _of_each(shorter)
        left_out = set(items).difference(kept)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = kept


def pytest_terminal_summary(terminalreporter, config):
    if _quick(config):
        terminalreporter.write_line(
            f"Left out: tests marked {', '.join(LONG)}; of tests with many cases all but {CASES} cases; "
            "four of five examples of the slower properties. To run them too: python -m pytest --all"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("DOSEFIND_NO_SKIPS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which counts as failed here: {report.longrepr}"
    return report
