"""Headless Chromium, driven through its DevTools: what a page logs, fetches and shows."""

import base64
import json
import shutil
import time
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


class Browser:
    """A page at a time; see the methods.

    Args:
        profile: an empty directory for the browser's own files.
    """

    def __init__(self, profile: Path) -> None:
        programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
        if None in programs:
            pytest.fail("Chromium is not installed: apt-get install chromium chromium-driver (Debian's names)")
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        for switch in (*SWITCHES, f"--user-data-dir={profile}"):
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(programs[1]))
        self.driver.get("about:blank")

    def open(self, path: Path, width: int, height: int = 900, limit: float = 60) -> None:
        """Show a report in a window of this width, and wait until its figures are drawn."""
        self.driver.get("about:blank")
        self._drain()
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(path.as_uri())
        self.wait("return document.documentElement.dataset.drawn !== undefined", limit)

    def run(self, script: str):
        return self.driver.execute_script(script)

    def wait(self, script: str, limit: float = 20) -> None:
        """Until a script returns something true."""
        deadline = time.monotonic() + limit
        while not self.run(script):
            assert time.monotonic() < deadline, f"not after {limit} s: {script}"
            time.sleep(0.05)

    def console(self) -> list[str]:
        """What the page logged since it was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the page asked for since it was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def dark(self, dark: bool) -> None:
        """What a page is told that its reader prefers."""
        value = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [value]})

    def clipped(self) -> list[str]:
        """The labels of figures that stick out of their figure, and figures that are shown but were not drawn."""
        return self.run("""
            const found = [];
            for (const plot of document.querySelectorAll(".plot")) {
              if (plot.closest("details:not([open])")) continue;
              const box = plot.getBoundingClientRect();
              if (!plot.querySelector(".main-svg")) found.push(plot.id + " is empty");
              for (const label of plot.querySelectorAll("svg text")) {
                const own = label.getBoundingClientRect();
                const out = own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1
                  || own.bottom > box.bottom + 1;
                if (own.width && out) found.push(`${plot.id}: ${label.textContent}`);
              }
            }
            return found;
        """)

    def screenshot(self, path: Path) -> None:
        """The whole page as an image."""
        width, height = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        path.write_bytes(base64.b64decode(taken["data"]))

    def close(self) -> None:
        self.driver.quit()

    def _drain(self) -> None:
        for log in ("browser", "performance"):
            self.driver.get_log(log)
