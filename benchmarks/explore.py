"""Time of a drag on the page to explore, from the event of the slider to the next picture, in Chromium.

Run: ``OMP_NUM_THREADS=1 python -m benchmarks.explore``. Five doses, thirty patients, four designs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median, quantiles

import dosefind as dsf

CHROMIUM = "/usr/bin/chromium"
DRAGS = 200
CONFIG = """
[record]
id = "FIVE"
title = "five doses, thirty patients"
population = "adults"
product = "synthetic"
version_date = 2024-01-01
source = "synthetic"
[doses]
amounts = [1, 2, 3, 4, 5]
unit = "mg"
[treatment]
infusion_days = [1]
dlt_window_days = 28
no_overlap = true
[limits]
cohort_size = 3
max_n = 30
[target]
rate = 0.25
interval = [0.16, 0.33]
[scenarios]
"rising" = [0.05, 0.10, 0.25, 0.40, 0.55]
[designs."3+3"]
kind = "3+3"
[designs.crm]
kind = "crm"
skeleton = { halfwidth = 0.05, mtd_level = 3 }
[designs.boin]
kind = "boin"
[designs.keyboard]
kind = "keyboard"
"""
# The event of the slider, and two frames: in the first the page is drawn, and the second comes after that.
DRAG = """async ([level, percent]) => {
    const slider = document.getElementById(`rate-${level}`), start = performance.now()
    slider.value = percent
    slider.dispatchEvent(new Event("input", {bubbles: true}))
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))
    return performance.now() - start
}"""


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        config, file = Path(folder) / "five.toml", Path(folder) / "explore.html"
        config.write_text(CONFIG)
        page = dsf.explore(dsf.load_trial(config), file)
        print(f"{len(page.html) / 1000:.0f} kB, {', '.join(page.designs)}")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page()
        shown.goto(file.as_uri())
        shown.wait_for_selector("#rates-title")
        times = [shown.evaluate(DRAG, [i % 5, (37 * i) % 100 + 0.5]) for i in range(DRAGS)]
        browser.close()
    longest = max(times)
    print(f"{DRAGS} drags: median {median(times):.1f} ms, 95% below {quantiles(times, n=20)[-1]:.1f} ms, longest {longest:.1f} ms")


if __name__ == "__main__":
    main()
