"""How long the page of a quarter of a million cells takes: to render, to open, to search until painted.

python -m bench.report [RUN]: tiles of that run, such as reports/latest, or of one like a real run.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from conformance import matrix as judging
from conformance import store
from conformance.report.html import render

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from matrices import Exchanges, realistic, tiles  # the same matrix as the tests'

CELLS = 250_000
ROUNDS = 5
QUERIES = (
    *("is:allowed", "is:disagree", "is:named", "is:not-evaluated,error", "-is:pass", "verb:delete", "v1/pods"),
    *("group:apps*", "resource:secrets", "status:403", "reason:notfound", "cause:second-check", "tile17"),
    *("identity:edit is:allowed", "identity:c* verb:list", "request:allowed rules:denied", "sub:status is:denied"),
    *("group:*tile3* is:allowed", "resource:pods -verb:get,list,watch", "kind:certificate scope:cluster"),
)
UNTIL_PAINTED = """async (query) => {
  const field = document.getElementById('query');
  const start = performance.now();
  field.value = query;
  field.dispatchEvent(new Event('input'));
  await new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }));
  return performance.now() - start;
}"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
OPENED = """async (cell) => {
  const start = performance.now();
  location.hash = `cell=${encodeURIComponent(cell)}`;
  const id = cell.slice(0, cell.indexOf('|'));
  while (document.querySelector('#evidence h2')?.textContent !== id) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def main() -> None:
    """Print each figure beside its aim."""
    if len(sys.argv) > 1:
        saved = store.SavedRun(Path(sys.argv[1]))
        many = tiles(CELLS, judging.judged(saved))
        evidence = many.evidence(judging.StoredEvidence(saved))
    else:
        many = tiles(CELLS)
        evidence = many.evidence(Exchanges(realistic()))
    matrix = many.matrix
    before, start, cpu = peak(), time.monotonic(), time.process_time()
    content = render(matrix, evidence)
    print(f"{len(matrix.cells):,} cells of {len(matrix.endpoints):,} rows")
    print(f"rendered in {time.monotonic() - start:.1f} s, {time.process_time() - cpu:.1f} s of CPU (aim 10 s)")
    print(f"peak {peak():.0f} MB, {before:.0f} MB of it the matrix (aim 500 MB)")
    print(f"file {len(content) / 1e6:.1f} MB (aim 15 MB)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "matrix.html")
        file.write_bytes(content)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        paints, ready = [], []
        for _ in range(5):
            start = time.monotonic()
            page.goto(file.as_uri())
            page.wait_for_selector("html.ready")
            ready.append(1000 * (time.monotonic() - start))
            paints.append(page.evaluate(FIRST_PAINT))
        print(f"first paint {statistics.median(paints):.0f} ms (aim 1000 ms), usable {statistics.median(ready):.0f} ms")
        searches(page)
        some = matrix.cells[:: len(matrix.cells) // 100]
        opened = [page.evaluate(OPENED, f"{cell.endpoint}|{cell.identity}") for cell in some]
        print(f"evidence of a cell, its chunk unopened: median {statistics.median(opened):.0f} ms")
        browser.close()


def searches(page: Page) -> None:
    """Print how long a search takes until it is painted; the first round warms the browser's compiler.

    The page's own CPU is told beside the time: on a machine that does other things it is what the page can help.
    """
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    taken: dict[str, list[tuple[float, float]]] = {query: [] for query in QUERIES}
    for number in range(ROUNDS + 1):
        for query in QUERIES:
            page.wait_for_timeout(100)  # nobody types faster; what was put off is done by then
            before = spent()
            milliseconds = page.evaluate(UNTIL_PAINTED, query)
            if number:
                taken[query].append((milliseconds, spent() - before))
    for what, which in (("until painted", 0), ("CPU of the page", 1)):
        each = [statistics.median(one[which] for one in rounds) for rounds in taken.values()]
        slow = statistics.quantiles(each, n=20)[-1]
        print(f"search, {what}: median {statistics.median(each):.0f} ms, p95 {slow:.0f} ms (aim 50 ms)")


def peak() -> float:
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
