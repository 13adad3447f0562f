"""Headless Chromium for tests of the board: pages that fail a test on any message of the console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

WAIT = 120  # seconds until a page has done what a test waits for, on a machine that is busy
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's; skips the test where Playwright or Chromium is not installed."""
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: the extra [browser]")
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: the Debian package `chromium`")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Any, width: int = 1280, theme: str = "light", height: int = 900) -> Iterator[Any]:
    """A page of its own that may use the clipboard; at its end no error may have been logged."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )  # fmt: skip
    logged: list[str] = []
    page = context.new_page()
    page.set_default_timeout(1_000 * WAIT)
    page.on("console", lambda message: logged.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: logged.append(f"error: {error}"))
    page.on("requestfailed", lambda request: logged.append(f"failed: {request.url}"))
    page.expected = logged  # messages that a test expects, it takes out
    try:
        yield page
        assert logged == []
    finally:
        context.close()


def show(page: Any, url: str, view: str) -> None:
    """Open a view and wait until it is drawn."""
    page.goto(f"{url}#/{view}")
    page.wait_for_selector(f'html[data-ready="{view.split("/")[0]}"]')
    page.wait_for_selector("main .panel")


def center(page: Any, selector: str) -> tuple[float, float]:
    """The middle of an element on the screen; waits while it is being drawn again."""
    for _ in range(100):
        box = page.locator(selector).bounding_box()
        if box is not None:
            return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.wait_for_timeout(50)
    raise AssertionError(f"not on the screen: {selector}")


def until(page: Any, expression: str) -> None:
    """Wait until an expression is true; Playwright's own wait needs `eval`, which the page's policy forbids."""
    for _ in range(20 * WAIT):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"not within {WAIT} seconds: {expression}")
