"""The reference tells every public name, and tells it as the code does."""

from __future__ import annotations

import importlib
import inspect
import re

import pytest

from docs import build_reference
from tests.repository import ROOT

REFERENCE = ROOT / "docs" / "reference"
NAMES = [
    (module, name)
    for module in build_reference.MODULES
    for name in build_reference.public(importlib.import_module(module))
]


def test_the_pages_are_up_to_date():
    committed = {name: (REFERENCE / name).read_text(encoding="utf-8") for name in build_reference.written()}
    rendered = build_reference.pages()
    assert committed.keys() == rendered.keys()
    stale = [name for name, text in rendered.items() if committed[name] != text]
    assert not stale, f"run `uv run python docs/build_reference.py`: {stale} differ"


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_documented_and_in_the_reference(module, name):
    owner = importlib.import_module(module)
    value = getattr(owner, name)
    if inspect.ismodule(value):
        return
    if build_reference.documentable(value):
        own = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
        assert own, f"{module}.{name} has no docstring"
        assert not own.startswith(f"{name}("), f"{module}.{name} has only the docstring that attrs or dataclasses made"
    else:
        assert build_reference.constant_doc(owner, name), f"{module}.{name} has no docstring below its assignment"
    page = (REFERENCE / f"{module}.md").read_text(encoding="utf-8")
    assert f"`{name}`" in page


@pytest.mark.parametrize("module", build_reference.MODULES)
def test_a_public_module_names_what_is_public(module):
    owner = importlib.import_module(module)
    assert owner.__doc__
    names = getattr(owner, "__all__", None)
    if names is not None:
        assert len(names) == len(set(names)), f"{module}.__all__ names something twice"
        assert all(hasattr(owner, name) for name in names)


def test_every_hook_says_when_it_is_called():
    hookspecs = importlib.import_module("molexp.hookspecs")
    hooks = [name for name in vars(hookspecs) if name.startswith("molexp_")]
    assert {"molexp_register_storage_backends", "molexp_register_asset_kinds"} <= set(hooks)
    page = (REFERENCE / "molexp.hookspecs.md").read_text(encoding="utf-8")
    for hook in hooks:
        assert re.search(r"\bcalled\b", inspect.getdoc(getattr(hookspecs, hook)) or ""), hook
        assert f"## `{hook}`" in page


def test_every_error_is_in_the_tree_that_heads_its_module():
    errors = importlib.import_module("molexp.errors")
    tree = errors.__doc__ or ""
    for name in errors.__all__:
        if inspect.isclass(getattr(errors, name)) and issubclass(getattr(errors, name), Exception):
            assert re.search(rf"\b{name}\b", tree), name
            assert getattr(importlib.import_module("molexp"), name) is getattr(errors, name)
