"""PluginManager.find and .provides: one plugin by name, and what it registers."""

from __future__ import annotations

import sys

import pytest

from molexp.errors import NotFoundError
from molexp.plugins import PluginManager


def test_a_plugin_is_found_by_its_name_or_its_distributions_and_not_imported():
    manager = PluginManager(environ={})
    (fs,) = manager.find("fs")
    assert (fs.distribution, fs.status) == ("molexp-fs", "available")
    assert manager.find("Molexp_FS") == (fs,)
    assert "no_such_thing" not in sys.modules
    with pytest.raises(NotFoundError, match="Did you mean 'molexp-fs'") as caught:
        manager.find("molexp-f")
    assert caught.value.what == "plugin"


def test_what_it_provides_is_told_by_sort():
    manager = PluginManager(environ={})
    (fs,) = manager.find("fs")
    assert manager.provides(fs) == {"storage backend": ("file",)}
    (core,) = manager.find("core")
    assert "artifact" in manager.provides(core)["asset kind"]
    assert manager.provides(manager.find("fs")[0]) == {"storage backend": ("file",)}  # now that it is loaded


def test_a_disabled_one_provides_nothing():
    manager = PluginManager(environ={"MOLEXP_DISABLE_PLUGINS": "fs"})
    assert manager.provides(manager.find("fs")[0]) == {}
