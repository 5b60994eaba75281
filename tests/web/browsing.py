"""Look at pages as people do, by Debian's Chromium, and say what is wrong with each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import attrs

CHROMIUM = shutil.which("chromium")
WHY = "Chromium is not installed; tests/servers/install.sh does it"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 840}
PATIENCE = 300_000  # ms
GRAVE = ("serious", "critical")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the browser."""
    import pytest

    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield made
        made.close()


def window(browser: Any, **settings: Any) -> Any:
    """Return a window with its own cookies, which waits as long as a busy machine needs."""
    context = browser.new_context(**settings)
    context.set_default_timeout(PATIENCE)
    return context


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """Start ``molexp ui`` as its users do, and yield the address that it prints."""
    command = [sys.executable, "-m", "molexp_cli", "ui", *arguments, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    told = process.stderr
    assert told is not None
    try:
        line = told.readline()
        assert line.startswith("Listening on http://127.0.0.1:"), line + told.read()
        yield line.removeprefix("Listening on ").strip()
    finally:
        process.terminate()
        told.read()
        told.close()
        process.wait(300)


@cache
def axe() -> str:
    """Return axe-core, which finds faults of accessibility. It is no part of what MolExp ships."""
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@attrs.define
class Visitor:
    """A browser's window on one site, and complaints about it.

    Attributes:
        page: Playwright's page.
        site: scheme, host and port of the site.
        told: what the console said, and other hosts that were asked.
        patience: milliseconds for which it waits until a page fits its window.
    """

    page: Any
    site: str
    told: list[str] = attrs.field(factory=list)
    patience: int = PATIENCE

    def __attrs_post_init__(self) -> None:
        # Functions, because Playwright writes on methods that it is given, and this class has slots.
        self.page.on("console", lambda message: self._console(message))  # noqa: PLW0108
        self.page.on("pageerror", lambda error: self.told.append(f"error: {error}"))
        self.page.on("request", lambda asked: self._request(asked))  # noqa: PLW0108

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.told.append(f"{message.type}: {message.text} ({self.page.url})")

    def _request(self, asked: Any) -> None:
        if not asked.url.startswith(("data:", "blob:", f"{self.site}/")):
            self.told.append(f"asked another host: {asked.url}")

    def go(self, address: str, statuses: tuple[int, ...] = (200, 304)) -> None:
        """Open a page of the site."""
        answer = self.page.goto(self.site + address, wait_until="load")
        assert answer is None or answer.status in statuses, (address, answer.status)

    def check(self, address: str, *, ready: str = "main h1", statuses: tuple[int, ...] = (200, 304)) -> None:
        """Open a page and look at it: wide and light, then narrow and dark. Nothing may be wrong with either."""
        page = self.page
        page.set_viewport_size(WIDE)
        page.emulate_media(color_scheme="light")
        self.go(address, statuses)
        page.wait_for_selector(ready)
        self._looked_at(address, "wide, light")
        page.set_viewport_size(NARROW)
        page.emulate_media(color_scheme="dark")
        self._looked_at(address, "narrow, dark", only="color-contrast")
        page.emulate_media(color_scheme="light")
        self._fits(address, "narrow, light")
        # The browser itself says so where a page is refused, which was asked for.
        assert [one for one in self.told if not any(f"status of {status}" in one for status in statuses)] == []

    def _looked_at(self, address: str, how: str, only: str = "") -> None:
        self._fits(address, how)
        findings = faults(self.page, only)
        assert not findings, f"{address} ({how}):\n" + "\n".join(findings)

    def _fits(self, address: str, how: str) -> None:
        deadline = time.monotonic() + self.patience / 1000
        wide, room = 1, 0
        while wide > room and time.monotonic() < deadline:  # charts follow the width a moment later
            self.page.wait_for_timeout(50)
            wide, room = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room, f"{address} ({how}): {wide - room} pixels stick out"

    def reads(self, selector: str, text: str) -> None:
        """Wait until an element is there that has this text; functions that poll would break the policy of pages."""
        self.page.locator(selector, has_text=text).first.wait_for()

    def hears(self, words: str) -> None:
        """Wait until a complaint is there that has these words; the browser may tell it after the page."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not any(words in one for one in self.told):
            assert time.monotonic() < deadline, f"{words!r} is not in {self.told}"
            self.page.wait_for_timeout(20)

    def tab_to(self, selector: str, most: int = 80) -> None:
        """Press Tab until an element that the selector matches has the focus."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("(wanted) => document.activeElement?.matches(wanted)", selector):
                return
        raise AssertionError(f"Tab does not lead to {selector}")


def faults(page: Any, only: str = "") -> list[str]:
    """Return what axe-core finds serious or critical, in the first rows of each table; `only` by this rule."""
    page.evaluate(axe())
    options = {"resultTypes": ["violations"], **({"runOnly": [only]} if only else {})}
    found = page.evaluate(
        "(options) => axe.run({include: [['html']], exclude: [['tbody tr:nth-child(n+5)']]}, options)", options
    )
    return [
        f"{one['impact']} {one['id']}: {one['help']} {[node['target'] for node in one['nodes'][:4]]}"
        f" {one['nodes'][0].get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in GRAVE
    ]


@contextmanager
def visiting(browser: Any, address: str) -> Iterator[Visitor]:
    """Open a window with its own cookies, and enter a site by the address that was printed."""
    parts = urlsplit(address)
    context = window(browser, viewport=WIDE)
    try:
        visitor = Visitor(context.new_page(), f"{parts.scheme}://{parts.netloc}")
        visitor.page.goto(address)
        yield visitor
    finally:
        context.close()
