"""A fault of a plugin disables what it concerns, is named with its cause, and stops there."""

from __future__ import annotations

import pickle
import sys
import threading
import warnings
from textwrap import dedent

import pytest

from molexp.errors import PluginError, PluginLoadError, PluginMissingError
from molexp.plugins import PluginWarning

HEAD = """
import dataclasses
from recorder import events
from molexp.contracts import AssetKind, Executor, RunIdScheme, Store
from molexp.hookspecs import hookimpl

class Spectrum(AssetKind):
    name = "spectrum"
    def save(self, obj, sink): return {}
    def load(self, source): return None

def record(name, kind=int):
    return dataclasses.make_dataclass("Fields", [(name, kind)])

class Local(Executor):
    name = "local"
    async def submit(self, call): ...

"""


def hook(body: str, sort: str = "asset_kinds") -> str:
    return HEAD + f"@hookimpl\ndef molexp_register_{sort}():\n    {body}\n"


def kind(body: str) -> str:
    """A plugin whose one kind has this class body beside its two methods."""
    return (
        HEAD
        + f"class Other(Spectrum):\n    {body}\n\n@hookimpl\ndef molexp_register_asset_kinds():\n    return [Other]\n"
    )


def store(body: str) -> str:
    return (
        HEAD
        + f"class Other(Store):\n    {body}\nOther.__abstractmethods__ = frozenset()\n\n"
        + "@hookimpl\ndef molexp_register_storage_backends():\n    return [Other]\n"
    )


BROKEN = {
    "import error": (
        "import no_such_module_anywhere",
        "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
    ),
    "syntax error": ("def (", "SyntaxError"),
    "error at import": ("raise RuntimeError('no licence')", r"RuntimeError: no licence \(.*broken.py, line 1\)"),
    "exit at import": ("import sys; sys.exit(3)", "tried to end the program .SystemExit: 3"),
    "panic at import": (
        "class Panic(BaseException): ...\nraise Panic('in Rust')",
        "Panic: in Rust",
    ),
    "error that cannot be shown": (
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute",
        "importing 'broken' failed: .*Mute",
    ),
    "misspelt hook": (
        HEAD + "@hookimpl\ndef molexp_register_asset_kind(): return []",
        "there is no hook 'molexp_register_asset_kind'; did you mean 'molexp_register_asset_kinds'",
    ),
    "wrong signature": (
        HEAD + "@hookimpl\ndef molexp_register_asset_kinds(registry): return []",
        "wrong signature .hooks take no arguments.*registry",
    ),
    "wrapper": (
        HEAD + "@hookimpl(wrapper=True)\ndef molexp_register_asset_kinds(): return (yield)",
        "cannot be wrapped",
    ),
    "forgotten marker": (
        HEAD + "def molexp_register_asset_kinds(): return [Spectrum]",
        "molexp_register_asset_kinds is not marked: write @hookimpl",
    ),
    "marked class": (HEAD + "@hookimpl\nclass Mine(Spectrum): 0", r"class Mine of .* \[Mine\] \(.*broken.py, line"),
    "marked builtin": (HEAD + "hookimpl(len)", "@hookimpl marks functions, and was given the builtin len of"),
    "no hooks": ("x = 1", "'broken' has no hooks; those that exist are molexp_register_asset_kinds"),
    "raising hook": (hook("raise OSError('gone')"), "molexp_register_asset_kinds failed: OSError: gone"),
    "exiting hook": (hook("raise SystemExit"), "tried to end the program"),
    "hook returns None": (hook("[Spectrum]"), "returned None .is its return missing"),
    "hook returns a class": (hook("return Spectrum"), r"returned the class Spectrum; return a list, \[Spectrum\]"),
    "hook returns a text": (hook("return 'spectrum'"), "returned a str; return an iterable of classes"),
    "hook returns a number": (hook("return 7"), "returned a int; return an iterable of classes"),
    "hook is a coroutine": (
        hook("return [Spectrum]").replace("def molexp", "async def molexp"),
        "returned a coroutine; return an iterable",
    ),
    "hook fails half-way": (hook("yield Spectrum; raise OSError('half')"), "OSError: half"),
    "not a class": (hook("return [Spectrum()]"), "returned a Spectrum, which is neither a class nor a `Declared`"),
    "another class": (hook("return [dict]"), "builtins.dict, which is not a subclass of molexp.contracts.AssetKind"),
    "class of another hook": (hook("return [Local]"), "broken.Local, which is not a subclass of"),
    "abstract class": (
        HEAD
        + "class Half(AssetKind):\n    name = 'spectrum'\n@hookimpl\ndef molexp_register_asset_kinds(): return [Half]",
        "broken.Half lacks abstract methods of AssetKind: load, save",
    ),
    "no name": (
        HEAD
        + "class Anonymous(Spectrum):\n    name = None\n@hookimpl\ndef molexp_register_asset_kinds(): return [Anonymous]",
        "Anonymous has no name",
    ),
    "upper-case name": (kind("name = 'Spectrum'"), "'Spectrum'; it must be a lower-case identifier"),
    "name with a hyphen": (kind("name = 'my-kind'"), "'my-kind'; it must be a lower-case identifier"),
    "keyword": (kind("name = 'class'"), "'class'; it must be a lower-case identifier"),
    "private name": (kind("name = '_x'"), "'_x'; it must be a lower-case identifier"),
    "name of a context's attribute": (kind("name = 'params'"), "'params', which contexts use for something else"),
    **{
        f"name {name!r} of a context's attribute": (kind(f"name = {name!r}"), f"{name!r}, which contexts use for")
        for name in ("seed", "rank", "flush", "inputs", "label", "upstream")
    },
    "fields that are no record": (kind("fields = dict"), "<class 'dict'>, which is no attrs class or dataclass"),
    **{
        f"field {name!r} of every asset": (
            kind(f"fields = record({name!r})"),
            f"the field {name!r} of .* means something else",
        )
        for name in ("size", "name", "id", "tags", "load", "open", "fields", "attempt", "schema", "library", "_own")
    },
    "field that JSON does not give back": (
        kind("fields = record('z', complex)"),
        "'z' of type complex, which JSON does not",
    ),
    "types that are a text": (kind("types = 'ase.Atoms'"), "types is 'ase.Atoms'; it must be a tuple of full names"),
    "types that are classes": (kind("types = (dict,)"), "it must be a tuple of full names"),
    "types of artifacts": (kind("types = ('builtins.dict',)"), "'builtins.dict', whose objects are saved as artifacts"),
    "name that raises": (
        HEAD
        + "class Meta(type(AssetKind)):\n    @property\n    def name(cls): raise LookupError('nameless')\n"
        + "class K(AssetKind, metaclass=Meta):\n    save = load = None\n"
        + "@hookimpl\ndef molexp_register_asset_kinds(): return [K]",
        "LookupError: nameless",
    ),
    "no schemes": (store("..."), r"schemes is \(\); it must be a tuple"),
    "schemes that are a text": (store("schemes = 'file'"), "schemes is 'file'; it must be a tuple"),
    "upper-case scheme": (store("schemes = ('S3',)"), "'S3'; a scheme is lower case"),
    "scheme with a colon": (store("schemes = ('s3:',)"), "'s3:'; a scheme is lower case"),
    "executor without a name": (
        HEAD + "del Local.name\n@hookimpl\ndef molexp_register_executors(): return [Local]",
        "broken.Local has no name",
    ),
}


@pytest.mark.parametrize(("source", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_and_all_others_work(site, source, cause):
    site.install_kind("a-sound", "first")
    site.install("broken", source, version="0.3")
    site.install_kind("z-sound", "last")
    manager = site.manager()

    infos = manager.check()

    assert [(info.name, info.status) for info in infos] == [
        ("a-sound", "loaded"),
        ("broken", "broken"),
        ("z-sound", "loaded"),
    ]
    with pytest.warns(PluginWarning, match=rf"(?s)broken \(broken 0.3\): .*{cause}"):
        assert {"first", "last"} <= set(manager.asset_kinds())


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("absent_module", "No module named 'absent_module'"),
        ("broken:missing", "has no attribute 'missing'"),
        ("broken:nothing", "'broken:nothing' is None"),
        ("broken module", "not of the form 'module' or 'module:attribute'"),
        ("", "not of the form"),
    ],
)
def test_an_entry_point_that_leads_nowhere(site, value, cause):
    site.install("broken", "nothing = None", entry_points={"broken": value})
    site.install_kind("sound", "sound")
    manager = site.manager()

    with pytest.warns(PluginWarning, match=cause):
        assert list(manager.asset_kinds()) == ["sound"]


def test_asking_for_what_a_broken_plugin_may_provide_names_it_and_survives_pickling(site):
    site.install("broken", "import no_such_module_anywhere", version="0.3")
    manager = site.manager()

    with pytest.warns(PluginWarning), pytest.raises(PluginLoadError) as caught:
        manager.asset_kind("spectrum")

    assert caught.value.causes == {
        "broken (broken 0.3)": "importing 'broken' failed: "
        f"ModuleNotFoundError: No module named 'no_such_module_anywhere' ({site.folder}/broken.py, line 1)"
    }
    assert str(caught.value).startswith("The asset kind 'spectrum' is not available; these plugins could not be loaded")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_one_bad_hook_costs_a_plugin_that_hook_only_whatever_is_asked_first(site):
    site.install("mixed", hook("1/0") + "@hookimpl\ndef molexp_register_executors(): return [Local]\n")

    for order in (["asset_kinds", "executors"], ["executors", "asset_kinds"]):
        manager = site.manager()
        with pytest.warns(PluginWarning, match="ZeroDivisionError"):
            found = {name: list(getattr(manager, name)()) for name in order}
        assert found == {"asset_kinds": [], "executors": ["local"]}
        with pytest.raises(LookupError):
            manager.executor("other")  # its executors are all known: nothing to suspect
        with pytest.raises(PluginLoadError):
            manager.asset_kind("other")


def test_one_bad_class_costs_a_plugin_that_class_only(site):
    site.install("mixed", hook("return [dict, Spectrum]"))

    with pytest.warns(PluginWarning, match="builtins.dict"):
        assert list(site.manager().asset_kinds()) == ["spectrum"]


# --------------------------------------------------------------------------------------------------------- duplicates


def test_a_name_that_two_plugins_register_belongs_to_neither_and_the_rest_works(site):
    site.install("one", hook("return [Spectrum]"))
    site.install("two", hook("return [Spectrum, type('More', (Spectrum,), {'name': 'more'})]"), version="2.0")
    manager = site.manager()

    with pytest.warns(PluginWarning, match="neither is used") as told:
        assert list(manager.asset_kinds()) == ["more"]
    with pytest.raises(PluginLoadError) as caught:
        manager.asset_kind("spectrum")

    assert list(caught.value.causes) == ["one (one 1.0)", "two (two 2.0)"]
    for name in ("one (one 1.0) as one.Spectrum", "two (two 2.0) as two.Spectrum"):
        assert name in str(caught.value)
    assert len(told) == 2
    assert [info.status for info in manager.plugins()] == ["broken", "broken"]


def test_disabling_one_of_two_rivals_gives_the_name_to_the_other(site):
    site.install("one", hook("return [Spectrum]"))
    site.install("two", hook("return [Spectrum]"))

    manager = site.manager(MOLEXP_DISABLE_PLUGINS="two")

    assert manager.asset_kind("spectrum").__module__ == "one"


def test_a_plugin_that_registers_two_classes_under_one_name_has_neither(site):
    site.install("own-rival", hook("return [Spectrum, type('Twin', (Spectrum,), {})]"))
    manager = site.manager()

    with pytest.warns(PluginWarning, match="own_rival.Spectrum and .*Twin"):
        assert dict(manager.asset_kinds()) == {}


def test_the_same_class_twice_from_one_plugin_is_one_registration(site):
    site.install("eager", hook("return [Spectrum, Spectrum]"))

    assert list(site.manager().asset_kinds()) == ["spectrum"]


def test_a_store_keeps_those_of_its_schemes_that_nobody_else_claims(site):
    site.install("one", store("schemes = ('mine', 'shared')"))
    site.install("two", store("schemes = ('shared', 'yours')"))
    manager = site.manager()

    with pytest.warns(PluginWarning, match="storage backend 'shared'"):
        assert sorted(manager.storage_backends()) == ["mine", "yours"]


REST = """schemes = ('*',)
    @classmethod
    def takes(cls, scheme):
        return scheme in ('rest', 'mine', 'file')
"""


def test_a_store_may_take_what_nobody_claims(site):
    site.install("one", store("schemes = ('mine',)"))
    site.install("two", store(REST))
    manager = site.manager()

    assert manager.storage_backend("rest").__module__ == "two"
    assert manager.storage_backend("mine").__module__ == "one"
    with pytest.raises(PluginMissingError, match=r"'other'.*Available: mine\.$"):
        manager.storage_backend("other")
    with pytest.raises(PluginMissingError, match="pip install molexp-fs"):  # ours, which is not installed
        manager.storage_backend("file")


def test_what_two_plugins_claim_is_not_left_to_a_third(site):
    site.install("one", store("schemes = ('mine', 'one')"))
    site.install("three", store("schemes = ('mine', 'three')"))
    site.install("two", store(REST))

    with pytest.warns(PluginWarning, match="neither is used"), pytest.raises(PluginLoadError, match="'mine'"):
        site.manager().storage_backend("mine")


def test_of_two_that_take_what_is_left_neither_does(site):
    site.install("one", store(REST))
    site.install("two", store(REST))

    with pytest.warns(PluginWarning, match="neither is used"), pytest.raises(PluginMissingError):
        site.manager().storage_backend("rest")


# ---------------------------------------------------------------------------------------------------- shapes of plugin


@pytest.mark.parametrize("entry", ["shapes:plugin", "shapes:holder.plugin", "shapes:Static"])
def test_an_object_or_a_class_is_a_plugin_too(site, entry):
    source = HEAD + dedent(
        """
        class Plugin:
            @hookimpl
            def molexp_register_asset_kinds(self): return [Spectrum]

        class Static:
            @staticmethod
            @hookimpl
            def molexp_register_asset_kinds(): return (cls for cls in [Spectrum])

        plugin = Plugin()
        holder = type("Holder", (), {"plugin": plugin})
        """
    )
    site.install("shapes", source, entry_points={"shapes": entry})

    assert list(site.manager().asset_kinds()) == ["spectrum"]


def test_one_function_under_another_name_and_an_optional_unknown_hook(site):
    site.install(
        "modern",
        HEAD
        + "@hookimpl(specname='molexp_register_asset_kinds')\ndef kinds(): return [Spectrum]\n"
        + "@hookimpl(optionalhook=True)\ndef molexp_register_dashboards(): 1/0\n",
    )

    assert list(site.manager().asset_kinds()) == ["spectrum"]


def test_a_plugin_that_prints_and_warns_at_import_works(site, recwarn):
    warnings.simplefilter("always")
    site.install("chatty", "import warnings\nwarnings.warn('old')\nprint('hello')\n" + hook("return [Spectrum]"))

    assert list(site.manager().asset_kinds()) == ["spectrum"], [str(one.message) for one in recwarn]
    assert [str(one.message) for one in recwarn] == ["old"]


def test_a_filter_that_turns_our_warning_into_an_error_leaves_the_manager_usable(site):
    site.install("broken", "1/0")
    site.install_kind("sound", "sound")
    manager = site.manager()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PluginWarning):
            manager.asset_kinds()
    assert list(manager.asset_kinds()) == ["sound"]


# ------------------------------------------------------------------------------------------------------------ laziness


def test_plugins_are_imported_in_order_and_each_hook_is_called_once(site):
    site.install_kind("beta", "b")
    site.install_kind("alpha", "a")
    manager = site.manager()

    manager.storage_backends()
    assert site.events == ["import alpha", "import beta"]
    for _ in range(3):
        assert list(manager.asset_kinds()) == ["a", "b"]
        manager.asset_kind("a")
        manager.check()
    assert site.events == ["import alpha", "import beta", "ask alpha", "ask beta"]


def test_the_mappings_cannot_be_changed(site):
    site.install_kind("alpha", "a")

    with pytest.raises(TypeError):
        site.manager().asset_kinds()["b"] = object


def test_threads_that_race_the_first_look_up_call_each_hook_once(site):
    site.install_kind("alpha", "a")
    site.install_kind("beta", "b")
    manager = site.manager()
    start = threading.Barrier(8)
    found = []

    def look_up():
        start.wait()
        found.append(manager.asset_kind("b"))

    threads = [threading.Thread(target=look_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert site.events == ["import alpha", "ask alpha", "import beta", "ask beta"]
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("where", ["import", "hook"])
def test_ctrl_c_propagates_and_the_next_attempt_continues(site, where):
    interrupt = "\nif events.count('interrupt') < 1:\n    events.append('interrupt')\n    raise KeyboardInterrupt\n"
    source = {
        "import": HEAD + interrupt + "@hookimpl\ndef molexp_register_asset_kinds(): return [Spectrum]\n",
        "hook": hook(interrupt.replace("\n", "\n    ").strip() + "\n    return [Spectrum]"),
    }[where]
    site.install_kind("alpha", "a")
    site.install("interrupted", source)
    manager = site.manager()

    with pytest.raises(KeyboardInterrupt):
        manager.asset_kinds()
    assert list(manager.asset_kinds()) == ["a", "spectrum"]
    assert site.events.count("ask alpha") == 1


def test_a_plugin_that_asks_for_plugins_while_it_is_loaded_is_told_so(site):
    site.install("impatient", HEAD + "import recorder; recorder.manager.asset_kinds()\n")
    site.install_kind("sound", "sound")
    manager = vars(sys.modules["recorder"])["manager"] = site.manager()

    with pytest.warns(PluginWarning, match="PluginError: The plugin impatient .* while it was being loaded"):
        assert list(manager.asset_kinds()) == ["sound"]


def test_every_error_is_a_plugin_error(site):
    with pytest.raises(PluginError):
        site.manager().run_id_scheme("molexp-1")
