"""The page about the query language names the fields that there are."""

from __future__ import annotations

import re

import pytest

import molexp as me
from tests.repository import ROOT

PAGE = (ROOT / "docs" / "reference" / "query-language.md").read_text(encoding="utf-8")


def named(*of):
    rows = (re.search(rf"^\| {name} \| (.*) \|$", PAGE, re.MULTILINE) for name in of)
    return {field for row in rows if row is not None for field in re.findall(r"`(\w+)`", row[1])}


def test_it_names_every_field():
    catalog = me.Workspace("memory://").catalog
    with pytest.raises(ValueError, match="There are: ") as error:
        catalog.runs(sort="nonsense")
    of_runs = set(str(error.value).partition("There are: ")[2].rstrip(".").split(", "))
    assert named("runs", "the newest attempt of a run") == of_runs

    in_records = {name for name in dir(me.ArtifactAsset) if not name.startswith("_")}
    candidates = named("assets") | of_runs | in_records | {"fields", "origin", "source", "summary", "title"}
    assert named("assets") == {name for name in candidates if is_field(catalog, name)}


def is_field(catalog, name):
    try:
        catalog.assets(f"{name} is null")
    except me.QueryError:
        return False
    return True
