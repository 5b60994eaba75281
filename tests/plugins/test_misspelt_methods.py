"""A method of a kind that nobody asks for, because its name is misspelt, is told when the kind is used."""

from __future__ import annotations

import warnings

import pytest

from molexp.plugins import PluginWarning
from tests.plugins.test_isolation import kind


@pytest.mark.parametrize(("method", "meant"), [("accept", "accepts"), ("upgrades", "upgrade"), ("previews", "preview")])
def test_a_misspelt_optional_method_of_a_kind_is_told_once_and_refuses_nothing(site, method, meant):
    site.install("theirs", kind(f"name = 'other'\n    def {method}(self, obj): return obj"))
    manager = site.manager()

    with pytest.warns(PluginWarning) as told:
        assert manager.asset_kind("other").name == "other"

    (only,) = (str(one.message) for one in told)
    assert (
        only
        == f"theirs (theirs 1.0): the asset kind 'other': it has {method!r}, for which nobody asks: is it meant to be {meant!r}?"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*manager.asset_kinds()] == ["other"]
    assert [info.status for info in manager.check()] == ["loaded"]


@pytest.mark.parametrize(
    "more",
    ["accept = 3", "def accepts(self, obj): ...\n    def accept(self): ...", "def _accept(self): ...", "sufix = '.x'"],
)
def test_what_is_no_method_or_has_its_namesake_is_told_by_nobody_who_uses_the_kind(site, more):
    site.install("theirs", kind(f"name = 'other'\n    {more}"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert site.manager().asset_kind("other").name == "other"
