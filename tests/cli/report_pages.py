"""Read a report as a browser's parser does: its elements, its document, and what its policy lets it do."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs


@attrs.define
class Page(HTMLParser):
    """The elements of a page, and its texts."""

    tags: list[tuple[str, dict[str, str | None]]] = attrs.field(factory=list)
    texts: list[tuple[str, str]] = attrs.field(factory=list)
    _open: str = ""

    def __attrs_post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._open = tag

    def handle_data(self, text: str) -> None:
        if self._open in ("script", "style") and text.strip():
            self.texts.append((self._open, text))
            self._open = ""

    @property
    def policy(self) -> str:
        return next(
            str(found["content"])
            for tag, found in self.tags
            if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
        )

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.texts[1][1])
        return found

    def column(self, key: str) -> list[Any]:
        found = next(one for one in self.document["columns"] if one["name"] == key)
        return list(found["values"]) if "values" in found else [found["same"]] * self.document["count"]

    def curves(self, metric: str) -> list[tuple[list[int], list[float | None]]]:
        """Return the steps and values of each run's curve."""
        found = self.document
        some = found["curves"][found["metrics"].index(metric)] if metric in found["metrics"] else []
        return [([sum(steps[: at + 1]) for at in range(len(steps))], values) for _, steps, values in some]


def read_page(path: str | Path) -> Page:
    page = Page()
    page.feed(Path(path).read_text(encoding="utf-8"))
    return page


def hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def addresses(page: Page) -> list[str]:
    """Return what a page might load or lead to: addresses that are no part of it."""
    named = [str(found[name]) for _, found in page.tags for name in ("src", "href", "action") if found.get(name)]
    styles = [text for kind, text in page.texts if kind == "style"]
    return [one for one in named if not one.startswith("#")] + re.findall(r"url\(.*?\)|@import.*", "".join(styles))
