"""How long the page of examples/browser takes in headless Chromium, and what it downloads.

python benchmarks/browser.py [--chromium /usr/bin/chromium], after browser_example.py and npm run build.
"""

from __future__ import annotations

import argparse
import gzip
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from playwright.sync_api import sync_playwright

DIST = Path(__file__).parents[1] / "examples" / "browser" / "dist"


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--screenshot", type=Path)
    asked = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(DIST)))
    Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=flags)
        page = browser.new_page(viewport={"width": 1100, "height": 800})
        got: set[str] = set()
        page.on("response", lambda response: got.add(response.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.wait_for_selector("body[data-state]", timeout=300_000)
        print(page.inner_text("#status"))
        if asked.screenshot is not None:
            page.screenshot(path=asked.screenshot, full_page=True)
        browser.close()
    paths = [DIST / url.split("/", 3)[3] for url in got if not url.startswith("data:")]
    contents = [path.read_bytes() for path in paths]
    sizes = sum(map(len, contents)) / 1e6, sum(len(gzip.compress(content)) for content in contents) / 1e6
    print(f"{len(contents)} files, {sizes[0]:.1f} MB, {sizes[1]:.1f} MB compressed")


if __name__ == "__main__":
    main()
