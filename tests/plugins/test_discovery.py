"""Plugins are found in metadata, in one order, and nothing is imported to find them."""

from __future__ import annotations

import importlib
import sys

import pytest

from molexp.errors import PluginLoadError, PluginMissingError
from molexp.plugins import PluginInfo, PluginManager, PluginWarning, default_manager
from tests.plugins.conftest import KINDS


def test_plugins_are_reported_from_metadata_alone(site):
    site.install_kind("alpha-kinds", "alpha", version="2.1")

    assert site.manager().plugins() == (
        PluginInfo(
            name="alpha-kinds",
            distribution="alpha-kinds",
            version="2.1",
            status="available",
            cause="",
            value="alpha_kinds",
        ),
    )
    assert site.events == []
    assert "alpha_kinds" not in sys.modules


def test_order_is_by_distribution_and_then_by_name_whatever_the_folder_says(site):
    site.install("zeta", entry_points={"a": "zeta"})
    site.install("Beta", entry_points={"y": "Beta", "b": "Beta"})
    site.install("alpha", entry_points={"z": "alpha"})

    assert [(info.distribution, info.name) for info in site.manager().plugins()] == [
        ("alpha", "z"),
        ("Beta", "b"),
        ("Beta", "y"),
        ("zeta", "a"),
    ]


def test_entry_points_of_other_groups_are_nobodys_plugins(site):
    site.install("other", group="molexp.plugins.not")

    assert site.manager().plugins() == ()


def test_of_two_installations_of_one_distribution_the_first_on_the_path_counts(site, tmp_path):
    editable = tmp_path / "editable"
    site.install_kind("twice", "newer", version="2.0", folder=editable)
    site.install_kind("twice", "older", version="1.0")

    manager = PluginManager(path=[str(editable), str(site.folder)], environ={})

    assert [info.version for info in manager.plugins()] == ["2.0"]


def test_an_earlier_installation_without_plugins_hides_a_later_one_with_them(site, tmp_path):
    editable = tmp_path / "editable"
    site.install("twice", version="2.0", group="console_scripts", folder=editable)
    site.install_kind("twice", "older", version="1.0")

    manager = PluginManager(path=[str(editable), str(site.folder)], environ={})

    assert manager.plugins() == ()


def test_what_an_interrupted_pip_left_behind_hides_nothing(site, tmp_path):
    """An empty ``molexp_thing-0.0.9.dist-info`` may come before the one that is installed."""
    site.install_kind("molexp-thing", "thing", version="1.0")
    (tmp_path / "left" / "molexp_thing-0.0.9.dist-info").mkdir(parents=True)
    (tmp_path / "left" / "molexp_thing-0.0.8.dist-info").mkdir()
    (tmp_path / "left" / "molexp_thing-0.0.8.dist-info" / "METADATA").write_bytes(b"Name: \xff")

    manager = PluginManager(path=[str(tmp_path / "left"), str(site.folder)], environ={})

    assert [(info.version, info.status) for info in manager.check() if info.name == "molexp-thing"] == [
        ("1.0", "loaded")
    ]
    assert "thing" in manager.asset_kinds()


def test_a_leftover_of_the_core_does_not_hide_its_version(site):
    (site.folder / "molexp_core-0.0.9.dist-info").mkdir()
    site.install("old", requires=["molexp-core<0.1"])
    (info,) = site.manager().check()
    assert (info.status, "it requires molexp-core<0.1" in info.cause) == ("broken", True)


def test_unreadable_metadata_is_that_plugins_trouble_alone(site):
    site.install_kind("sound", "sound")
    site.install("torn", entry_points={"torn": "torn"})
    (site.folder / "torn-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    site.install("nameless", entry_points={"nameless": "nameless"})
    (site.folder / "nameless-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    (site.folder / "foreign-1.0.dist-info").mkdir()
    (site.folder / "foreign-1.0.dist-info" / "entry_points.txt").write_bytes(b"[molexp.plugins]\n\xff\n")

    manager = site.manager()
    status = {info.name: (info.status, info.cause) for info in manager.check()}

    assert status["sound"] == ("loaded", "")
    assert status["torn"][0] == "broken"
    assert "cannot be read" in status["torn"][1]
    assert status["nameless"][0] == "broken"
    assert "lacks a name" in status["nameless"][1]


def test_a_plugin_name_that_two_distributions_use_loads_neither_and_names_both(site):
    site.install("one", "from recorder import events; events.append('one')", entry_points={"same": "one"})
    site.install("two", "from recorder import events; events.append('two')", entry_points={"same": "two"})
    site.install_kind("third", "third")
    manager = site.manager()

    with pytest.warns(PluginWarning, match="'same' is used by one 1.0 and two 1.0"):
        assert list(manager.asset_kinds()) == ["third"]

    assert site.events == ["import third", "ask third"]
    assert [info.status for info in manager.plugins()] == ["broken", "loaded", "broken"]


def test_disabling_one_of_two_namesakes_frees_the_other(site):
    site.install_kind("one", "first", entry_points={"same": "one"})
    site.install_kind("two", "second", entry_points={"same": "two"})

    assert list(site.manager(MOLEXP_DISABLE_PLUGINS="two").asset_kinds()) == ["first"]


# ------------------------------------------------------------------------------------------------------ core versions


@pytest.fixture
def core(site):
    """The running core, as far as this folder's metadata goes."""
    site.install("molexp-core", version="1.5.0rc1", entry_points={})


@pytest.mark.parametrize(
    "requirement",
    [
        "molexp-core>=2",
        "molexp_core (<1.5)",
        "Molexp.Core==1.4.*",
        "molexp>=2,<3",
        "molexp-core[pandas]>=2; python_version >= '3'",
    ],
)
@pytest.mark.usefixtures("core")
def test_a_plugin_for_another_core_is_never_imported(site, requirement):
    site.install_kind("demanding", "demanding", version="3.2", requires=["numpy", requirement])
    manager = site.manager()

    with pytest.warns(PluginWarning, match=r"demanding \(demanding 3.2\): it requires .* molexp-core 1.5.0rc1 is"):
        assert dict(manager.asset_kinds()) == {}

    assert site.events == []
    with pytest.raises(PluginLoadError, match="it requires") as caught:
        manager.asset_kind("demanding")
    assert list(caught.value.causes) == ["demanding (demanding 3.2)"]


@pytest.mark.parametrize(
    "requirement",
    [
        "molexp-core",
        "molexp-core>=1.4",
        "molexp-core<2",
        "molexp-core==1.5.0rc1",
        "molexp-core>=2; python_version < '3'",
        "molexp-core>=2; extra == 'future'",
        "molexp-core-extras>=7",
        "molexpress>=9",
        "molexp-core @ https://example.org/molexp_core.whl",
    ],
)
@pytest.mark.usefixtures("core")
def test_a_plugin_that_this_core_satisfies_loads(site, requirement):
    site.install_kind("modest", "modest", requires=[requirement])

    assert list(site.manager().asset_kinds()) == ["modest"]


@pytest.mark.parametrize(
    ("bounds", "version", "fits"),
    [
        (">=0.1,<0.2", "0.1.0", True),
        (">= 0.1 , < 0.2", "0.1.9", True),
        (">=0.1,<0.2", "0.2.0", False),
        (">=0.1,<0.2", "0.0.9", False),
        (">=1.0", "1", True),
        ("<1", "1.0.0", False),
        (">=0.9", "0.10", True),
        ("<0.10", "0.9", True),
        (">=1!0.1", "0.1", False),
        ("<2.0", "2.0rc1", False),
        (">=2.0", "2.0.dev1", False),
        (">=2.0,!=2.1", "2.1", False),
    ],
)
def test_version_bounds(site, bounds, version, fits):
    site.install("molexp-core", version=version, entry_points={})
    site.install_kind("bounded", "bounded", requires=[f"molexp-core{bounds}"])

    (info,) = site.manager().check()

    assert info.status == ("loaded" if fits else "broken"), info.cause


@pytest.mark.usefixtures("core")
def test_a_requirement_that_nobody_can_read_disables_its_plugin(site):
    site.install_kind("garbled", "garbled", requires=["molexp-core >>> 1"])
    site.install_kind("sound", "sound")
    manager = site.manager()

    with pytest.warns(PluginWarning, match="garbled"):
        assert list(manager.asset_kinds()) == ["sound"]


# -------------------------------------------------------------------------------------------------------- environment


def test_the_allow_list_names_plugins_or_distributions_and_excludes_all_others(site):
    site.install_kind("by-name", "a", entry_points={"first": "by_name"})
    site.install_kind("by-distribution", "b", entry_points={"second": "by_distribution"})
    site.install_kind("left-out", "c", entry_points={"third": "left_out"})

    manager = site.manager(MOLEXP_PLUGINS=" first, By_Distribution ,")

    assert sorted(manager.asset_kinds()) == ["a", "b"]
    excluded = manager.plugins()[2]
    assert (excluded.status, excluded.cause) == ("disabled", "not listed in MOLEXP_PLUGINS=first,By_Distribution")
    assert "left_out" not in sys.modules


def test_an_empty_allow_list_is_none(site):
    site.install_kind("alpha", "a")

    assert list(site.manager(MOLEXP_PLUGINS="").asset_kinds()) == ["a"]


def test_what_is_disabled_is_not_imported_even_if_it_is_listed(site):
    site.install_kind("alpha", "a")
    manager = site.manager(MOLEXP_PLUGINS="alpha", MOLEXP_DISABLE_PLUGINS="alpha")

    assert dict(manager.asset_kinds()) == {}
    assert site.events == []
    with pytest.raises(PluginLoadError, match="disabled by MOLEXP_DISABLE_PLUGINS=alpha"):
        manager.asset_kind("a")


@pytest.mark.parametrize(
    ("environment", "advice"),
    [
        ({"MOLEXP_PLUGINS": "beta"}, "Add them to MOLEXP_PLUGINS, or unset it."),
        ({"MOLEXP_DISABLE_PLUGINS": "alpha"}, "Take them out of MOLEXP_DISABLE_PLUGINS."),
    ],
)
def test_of_what_is_switched_off_the_error_says_how_to_switch_it_on(site, environment, advice):
    site.install_kind("alpha", "a")
    site.install_kind("beta", "b")

    with pytest.raises(PluginLoadError) as caught:
        site.manager(**environment).asset_kind("a")
    assert caught.value.hint == advice
    assert str(caught.value).endswith(f"\n{advice}")


def test_a_built_in_has_no_privilege_and_its_absence_is_explained(site):
    site.install_kind("molexp-core", "artifact", entry_points={"core": "molexp_core"})
    site.install_kind("alpha", "a")
    manager = site.manager(MOLEXP_DISABLE_PLUGINS="molexp-core,alpha")

    with pytest.raises(PluginLoadError, match="asset kind 'artifact' is not available") as caught:
        manager.asset_kind("artifact")
    assert dict(caught.value.causes) == {
        "core (molexp-core 1.0)": "disabled by MOLEXP_DISABLE_PLUGINS=molexp-core,alpha"
    }


@pytest.mark.parametrize("variable", ["MOLEXP_PLUGINS", "MOLEXP_DISABLE_PLUGINS"])
def test_a_name_that_is_not_installed_is_told_and_not_ignored(site, variable):
    site.install_kind("trajectories", "a")
    manager = site.manager(**{variable: "trajectoris"})

    with pytest.warns(PluginWarning, match=f"{variable}=trajectoris: .* did you mean 'trajectories'"):
        manager.asset_kinds()
    manager.asset_kinds()  # once is enough
    assert list(manager.unknown_names()) == [f"{variable}=trajectoris"]


def test_the_environment_is_read_when_the_manager_is_made(site, monkeypatch):
    site.install_kind("alpha", "a")
    monkeypatch.setenv("MOLEXP_DISABLE_PLUGINS", "alpha")
    manager = PluginManager(path=[str(site.folder)])
    monkeypatch.delenv("MOLEXP_DISABLE_PLUGINS")

    assert [info.status for info in manager.plugins()] == ["disabled"]


# ------------------------------------------------------------------------------------------------------------- strict


def test_strict_mode_names_everything_that_is_wrong_at_first_use(site):
    site.install("broken-kinds", "raise OSError('no library')")
    site.install(
        "broken-executor", "from molexp.hookspecs import hookimpl\n@hookimpl\ndef molexp_register_executors(): 1/0"
    )
    site.install_kind("sound", "sound")
    manager = site.manager(MOLEXP_STRICT_PLUGINS="1", MOLEXP_DISABLE_PLUGINS="sond")

    for _ in range(3):  # not only the first time
        with pytest.raises(PluginLoadError) as caught:
            manager.storage_backends()
        assert sorted(caught.value.causes) == [
            "MOLEXP_DISABLE_PLUGINS=sond",
            "broken-executor (broken-executor 1.0)",
            "broken-kinds (broken-kinds 1.0)",
        ]
    for told in ("no library", "ZeroDivisionError", "'sound'"):
        assert told in str(caught.value)
    assert len(manager.plugins()) == len(manager.check()) == 3  # reports still report


def test_strict_mode_is_content_with_sound_plugins(site):
    site.install_kind("sound", "sound")

    assert list(site.manager(MOLEXP_STRICT_PLUGINS="1").asset_kinds()) == ["sound"]


@pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
def test_strict_mode_can_be_said_to_be_off(site, value):
    site.install("broken", "1/0")

    with pytest.warns(PluginWarning, match="broken"):
        site.manager(MOLEXP_STRICT_PLUGINS=value).asset_kinds()


# ------------------------------------------------------------------------------------------------------------ missing


@pytest.mark.parametrize(("scheme", "package"), [("s3", "molexp-s3-store"), ("file", "molexp-fs")])
def test_what_nothing_provides_names_the_package_to_install(site, scheme, package):
    with pytest.raises(PluginMissingError, match=f"pip install {package}") as caught:
        site.manager().storage_backend(scheme)
    assert caught.value.package == package


def test_a_misspelt_name_gets_the_nearest(site):
    site.install_kind("kinds", "walk")

    with pytest.raises(PluginMissingError, match="'walk'") as caught:
        site.manager().asset_kind("wolk")
    assert caught.value.nearest == ("walk",)


def test_an_unrelated_broken_plugin_hides_no_package_to_install(site):
    site.install("broken", "1/0")
    manager = site.manager()

    with pytest.warns(PluginWarning), pytest.raises(PluginMissingError) as caught:
        manager.storage_backend("s3")
    assert "pip install molexp-s3-store" in str(caught.value)
    assert "broken (broken 1.0): importing 'broken' failed: ZeroDivisionError" in str(caught.value)


# ----------------------------------------------------------------------------------------------------------- defaults


def test_the_default_manager_is_one_per_process():
    assert default_manager() is default_manager()


def test_plain_version_bounds_cost_no_import_of_the_parser(site):
    site.install("molexp-core", version="0.1.0", entry_points={})
    site.install_kind("bounded", "bounded", requires=["molexp-core>=0.1,<0.2"])
    done = site.python(f"""
        import sys
        from molexp.plugins import PluginManager
        print([info.status for info in PluginManager(path=[{str(site.folder)!r}], environ={{}}).plugins()])
        print("packaging" in sys.modules)
    """)

    assert done.splitlines() == ["['available']", "False"]


def test_importing_the_manager_imports_no_discovery(site):
    done = site.python("""
        import sys, molexp.plugins
        print(sorted({"importlib.metadata", "packaging", "packaging.requirements"} & set(sys.modules)))
    """)

    assert done.strip() == "[]"


# ---------------------------------------------------------------------------------------------------------- handed over


def test_a_module_is_a_plugin_without_being_installed(site, monkeypatch):
    site.install_kind("alpha", "installed")
    monkeypatch.syspath_prepend(str(site.folder))
    (site.folder / "beside.py").write_text(KINDS.format(module="beside", kind="handed", cls="Kind"))
    module = importlib.import_module("beside")

    manager = site.manager(extra=[module])
    assert sorted(manager.asset_kinds()) == ["handed", "installed"]
    assert manager.asset_kind("handed") is module.Kind
    assert manager.distribution_of(module.Kind) == "beside"
    assert [info.name for info in manager.plugins()] == ["alpha", "beside"]


def test_what_is_wrong_with_a_module_that_is_handed_over_is_told_as_always(site):
    manager = site.manager(extra=[object()])
    with pytest.warns(PluginWarning, match=r"object \(object\): 'object' has no hooks"):
        assert dict(manager.asset_kinds()) == {}


@pytest.mark.parametrize("name", ["molexp-core", "molexp-fs", "molexp-s3-store"])
def test_what_our_own_plugins_provide_is_known_before_they_are_imported(name):
    manager = PluginManager(environ={})
    (plugin,) = manager.find(name)

    declared = manager.declares(plugin)

    assert [one.status for one in manager.find(name)] == ["available"]
    provided = {what: tuple(one for one in names if one != "*") for what, names in manager.provides(plugin).items()}
    assert declared == provided


def test_what_a_stranger_provides_is_known_once_it_was_tried(site, monkeypatch):
    site.install_kind("theirs", "spectrum")
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    (plugin,) = PluginManager(environ={}).find("theirs")
    assert PluginManager(environ={}).declares(plugin) is None

    source = (site.folder / "theirs.py").read_text().replace("from recorder import events", "events = []")
    (site.folder / "theirs.py").write_text(source)
    assert PluginManager(environ={}).try_out(plugin).complete

    assert PluginManager(environ={}).declares(plugin) == {"asset kind": ("spectrum",)}
    assert site.events == []
