"""Distributions are found in folders by their files, and elsewhere as the standard library finds them."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import Distribution, entry_points
from zipfile import ZipFile

import pytest

from molexp.plugins import PluginManager


def test_finding_plugins_opens_one_file_of_each_distribution_and_the_metadata_of_plugins(site):
    for number in range(40):
        site.install(f"other-{number}", group="console_scripts")
    site.install("bare")
    (site.folder / "bare-1.0.dist-info" / "entry_points.txt").unlink()
    site.install_kind("alpha", "a")
    done = site.python(f"""
        import os, sys
        from molexp.plugins import PluginManager
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        manager = PluginManager(path=[{str(site.folder)!r}], environ={{}})
        assert "alpha" in [plugin.name for plugin in manager.plugins()]
        names = [os.path.basename(path) for path in opened if "-info" in path and {str(site.folder)!r} in path]
        print(names.count("entry_points.txt") - len([one for one in os.listdir({str(site.folder)!r}) if "-info" in one]))
        print(sorted({{os.path.basename(os.path.dirname(path))[:4] for path in opened if path.endswith("METADATA")}} - {{"mole"}}))
        print(sorted({{"importlib.metadata", "email", "zipfile"}} & set(sys.modules)))
    """)

    assert done.splitlines() == ["0", "['alph']", "[]"]


def test_what_is_found_is_what_the_standard_library_finds():
    known = {
        (entry.dist and entry.dist.name, entry.name, entry.value) for entry in entry_points(group="molexp.plugins")
    }

    assert {(info.distribution, info.name, info.value) for info in PluginManager().plugins()} == known


@pytest.mark.parametrize("suffix", [".zip", ".egg"])
def test_an_archive_on_the_path_is_searched_too(site, tmp_path, suffix):
    site.install_kind("packed", "packed")
    where = tmp_path / f"packed-1.0{suffix}"
    with ZipFile(where, "w") as archive:
        for file in site.folder.rglob("*"):
            if file.is_file():
                name = file.relative_to(site.folder).as_posix()
                archive.write(file, name if suffix == ".zip" else name.replace("packed-1.0.dist-info/", "EGG-INFO/"))
        if suffix == ".egg":
            archive.writestr("EGG-INFO/PKG-INFO", "Name: packed\nVersion: 1.0\n")
    shutil.rmtree(site.folder)
    sys.path.insert(0, str(where))  # the fixture puts the old path back
    site.install_kind("beside", "beside")

    manager = PluginManager(path=[str(where), str(site.folder)], environ={})

    assert sorted(manager.asset_kinds()) == ["beside", "packed"]


def test_an_egg_folder_is_searched_too(site, tmp_path):
    folder = tmp_path / "old-1.0-py3.11.egg"
    site.install_kind("old", "old", folder=folder)
    (folder / "old-1.0.dist-info").rename(folder / "EGG-INFO")
    (folder / "EGG-INFO" / "METADATA").rename(folder / "EGG-INFO" / "PKG-INFO")

    (info,) = PluginManager(path=[str(folder)], environ={}).plugins()

    assert (info.distribution, info.version, info.status) == ("old", "1.0", "available")


def test_a_development_install_is_found_by_its_egg_info(site):
    site.install_kind("developed", "developed")
    (site.folder / "developed-1.0.dist-info" / "METADATA").rename(site.folder / "developed-1.0.dist-info" / "PKG-INFO")
    (site.folder / "developed-1.0.dist-info").rename(site.folder / "developed.egg-info")

    assert list(site.manager().asset_kinds()) == ["developed"]


def test_distributions_of_another_importer_are_found(site, monkeypatch, tmp_path):
    site.install_kind("elsewhere", "elsewhere", folder=tmp_path / "hidden")

    class Importer:
        @staticmethod
        def find_spec(*_):
            return None

        @staticmethod
        def find_distributions(_):
            yield Distribution.at(tmp_path / "hidden" / "elsewhere-1.0.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Importer])

    assert [info.name for info in site.manager().plugins()] == ["elsewhere"]


def test_folders_that_cannot_be_searched_are_passed_over_and_none_is_searched_twice(site, tmp_path):
    site.install_kind("alpha", "a")
    (tmp_path / "file").write_text("no folder")
    twice = [str(site.folder), str(tmp_path / "absent"), "", str(site.folder)]

    for path in (twice, [str(tmp_path / "file"), *twice]):
        assert [info.name for info in PluginManager(path=path, environ={}).plugins()] == ["alpha"]


def test_an_upgrade_in_place_is_seen_at_once(site):
    site.install_kind("alpha", "a", version="1.0")
    stamp = (site.folder.stat().st_atime_ns, site.folder.stat().st_mtime_ns)
    assert [info.version for info in site.manager().plugins()] == ["1.0"]
    metadata = site.folder / "alpha-1.0.dist-info" / "METADATA"

    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    os.utime(site.folder, ns=stamp)

    assert [info.version for info in site.manager().plugins()] == ["1.1"]


def test_comments_extras_and_attributes_of_entry_points_are_understood(site):
    site.install_kind("alpha", "a", cls="Inner")
    (site.folder / "alpha.py").write_text("class Holder:\n    import molexp_alpha_hooks as hooks\n", encoding="utf-8")
    site.install_kind("molexp-alpha-hooks", "a", entry_points={})
    (site.folder / "alpha-1.0.dist-info" / "entry_points.txt").write_text(
        "[console_scripts]\nmolexp.plugins = no:one\n\n[molexp.plugins]\n# dead = gone\n"
        "one = alpha : Holder.hooks [extra]\n[other]\ntwo = alpha\n"
    )

    manager = site.manager()

    assert list(manager.asset_kinds()) == ["a"]
    assert [(info.name, info.value) for info in manager.plugins()] == [("one", "alpha : Holder.hooks [extra]")]
