"""The page about the query language names the fields that there are."""

from __future__ import annotations

import re

from molexp._catalog.query.answers import ASSET_ROOTS, RUN_ROOTS
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "reference" / "query-language.md").read_text(encoding="utf-8")


def named(*of):
    rows = (re.search(rf"^\| {name} \| (.*) \|$", PAGE, re.MULTILINE) for name in of)
    return {field for row in rows if row is not None for field in re.findall(r"`(\w+)`", row[1])}


def test_it_names_every_field():
    assert named("runs", "the newest attempt of a run") == set(RUN_ROOTS)
    assert named("assets") == set(ASSET_ROOTS)
