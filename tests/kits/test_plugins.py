"""The kit of plugins passes MolExp's distributions, and catches each defect that is planted in one of a stranger."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest

from molexp import testing
from molexp.plugins import PluginManager
from molexp.testing import PluginTests, declared_override
from tests.internals import try_plugins_in_forks
from tests.kits import test_schemes
from tests.kits.planted_plugins import DEFECTS, build, build_large_library
from tests.kits.playing import checks_of, failures

KITS = "test_what_it_provides_is_tested_by_its_kit"


class OurTests(PluginTests, abstract=True):
    @declared_override("the suite is run in parts; each of our stores, executors and schemes has its kit")
    def test_what_it_provides_is_tested_by_its_kit(self, request: pytest.FixtureRequest) -> None:
        pass


class TestCore(OurTests):
    def distribution(self) -> str:
        return "molexp-core"


class TestFs(OurTests):
    def distribution(self) -> str:
        return "molexp-fs"


class TestS3Store(OurTests):
    def distribution(self) -> str:
        return "molexp-s3-store"


class TestScience(OurTests):
    def distribution(self) -> str:
        return "molexp-science"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a sound distribution, and with one for each defect, in which the checks of all are run."""
    folder = tmp_path_factory.mktemp("site")
    build_large_library(folder)
    build(folder, len(DEFECTS))
    for number, (change, _) in enumerate(DEFECTS.values()):
        build(folder, number, change)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("MOLEXP_PLUGIN_TIMEOUT", "3")
        try_plugins_in_forks(patch)
        importlib.invalidate_caches()
        yield folder
        for name in [name for name in sys.modules if name.startswith("kit_")]:
            del sys.modules[name]


def kit_for(number: int) -> type[PluginTests]:
    class Kit(PluginTests):
        seconds = 3.0

        def distribution(self) -> str:
            return f"kit-plugin-{number}"

    return Kit


@pytest.mark.filterwarnings("ignore::molexp.plugins.PluginWarning")
def test_a_sound_plugin_passes(site, tmp_path):
    kit = kit_for(len(DEFECTS))
    assert failures(kit, tmp_path, *{*checks_of(kit)} - {KITS}) == set()


@pytest.mark.filterwarnings("ignore::molexp.plugins.PluginWarning")
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_caught(site, tmp_path, defect):
    caught_by = DEFECTS[defect][1]
    assert failures(kit_for([*DEFECTS].index(defect)), tmp_path, caught_by) == {caught_by}


@pytest.mark.filterwarnings("ignore::molexp.plugins.PluginWarning")
def test_a_distribution_that_is_not_installed_fails_all_checks(tmp_path):
    kit = kit_for(10_000)
    assert failures(kit, tmp_path, *{*checks_of(kit)} - {KITS}) == {*checks_of(kit)} - {KITS}


def test_the_kits_beside_it_are_found_and_a_thing_without_one_is_named(site, tmp_path):
    sound = kit_for(len(DEFECTS))

    class Kit(sound):  # type: ignore[misc, valid-type]
        def kits(self):
            return [test_schemes.TestMolexp1]

    session = SimpleNamespace(session=SimpleNamespace(items=[]))
    assert test_schemes.TestMolexp1 in sound().kits()
    with pytest.raises(
        AssertionError, match=f"the asset kind 'kit_plugin_{len(DEFECTS)}', and no test is one of AssetKindTests"
    ):
        Kit().test_what_it_provides_is_tested_by_its_kit(session)


def test_there_is_the_kit_of_each_thing_that_has_one():
    manager = PluginManager(environ={"MOLEXP_PLUGINS": "molexp-core,molexp-fs"})
    kits = {kit for name in ("molexp-core", "molexp-fs") for kit in manager.examine(*manager.find(name)).kits.values()}
    assert kits == {"AssetKindTests", "ExecutorTests", "QueueTests", "RunIdSchemeTests", "StoreTests"}
    assert all(hasattr(testing, kit) for kit in kits)


def test_what_is_not_filled_in_is_an_error_of_collection():
    with pytest.raises(TypeError, match="TestNone does not define distribution"):

        class TestNone(PluginTests):
            pass
