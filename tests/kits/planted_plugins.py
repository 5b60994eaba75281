"""Distributions that are wrong in one way each, and the check of the kit of plugins that is about it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

METADATA = """Metadata-Version: 2.1
Name: NAME
Version: 1.0
Summary: A kind and a scheme.
Requires-Python: >=3.11
Requires-Dist: molexp-core>=0.1,<1
"""

PLUGIN = """
from molexp import hookimpl
from molexp.contracts import Declared
from PACKAGE.things import Scheme

@hookimpl
def molexp_register_asset_kinds():
    return [Declared("PACKAGE", "PACKAGE.kinds:Kind")]

@hookimpl
def molexp_register_run_id_schemes():
    return [Scheme]
"""

KINDS = """
import LARGE
from molexp.contracts import AssetKind, NoFields

class Kind(AssetKind[str, NoFields]):
    name = "PACKAGE"
    def save(self, obj, sink):
        sink.write(obj.encode())
        return NoFields()
    def load(self, source):
        return source.path().read_text()
"""

THINGS = """
from molexp.contracts import RunIdScheme

class Scheme(RunIdScheme):
    name = "PACKAGE-1"
    def derive(self, identity):
        return "same"
"""

ENTRY = "[molexp.plugins]\nPACKAGE = PACKAGE.plugin\n"

FILES = {
    "METADATA": METADATA,
    "entry_points.txt": ENTRY,
    "plugin.py": PLUGIN,
    "kinds.py": KINDS,
    "things.py": THINGS,
    "py.typed": "",
}

Change = tuple[str, str, str]
"""A file, a text in it, and what takes its place; ``-`` removes the file."""

DEFECTS: Mapping[str, tuple[Change, str]] = {
    "no summary": (("METADATA", "Summary: A kind and a scheme.\n", ""), "test_its_metadata_says_what_it_is"),
    "no version of Python": (("METADATA", "Requires-Python: >=3.11\n", ""), "test_its_metadata_says_what_it_is"),
    "no requirement": (
        ("METADATA", "Requires-Dist: molexp-core>=0.1,<1\n", ""),
        "test_it_says_with_which_core_it_works",
    ),
    "a requirement without an end": (("METADATA", ",<1", ""), "test_it_says_with_which_core_it_works"),
    "a requirement of an extra alone": (
        ("METADATA", "<1", "<1; extra == 'molexp'"),
        "test_it_says_with_which_core_it_works",
    ),
    "a requirement that is not met": (("METADATA", "<1", "<0.1.0.dev0"), "test_it_says_with_which_core_it_works"),
    "no `py.typed`": (("py.typed", "", "-"), "test_type_checkers_see_its_types"),
    "an entry point to nothing": (("plugin.py", "", "-"), "test_it_is_loaded_and_makes_what_it_provides"),
    "raises when it is imported": (
        ("plugin.py", "\nfrom molexp import", "\nraise OSError('no licence')\nfrom molexp import"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "takes too long": (
        ("plugin.py", "\nfrom molexp import", "\nimport time; time.sleep(600)\nfrom molexp import"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "ends the process": (
        ("plugin.py", "\nfrom molexp import", "\nimport os; os._exit(0)\nfrom molexp import"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "changes a global": (
        ("plugin.py", "\nfrom molexp import", "\nimport random; random.seed(0)\nfrom molexp import"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a hook returns a class": (("plugin.py", "[Scheme]", "Scheme"), "test_it_is_loaded_and_makes_what_it_provides"),
    "a hook returns nothing": (
        ("plugin.py", "return [Scheme]", "[Scheme]"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a hook without a mark": (
        ("plugin.py", "@hookimpl\ndef molexp_register_run", "def molexp_register_run"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "hooks that register nothing": (
        ("plugin.py", "return [", "return [][:0] and ["),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a declaration of what is not there": (
        ("plugin.py", "kinds:Kind", "kinds:Kin"),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a kind that cannot be made": (
        ("kinds.py", "    def save(", "    def __init__(self, place): ...\n    def save("),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a scheme that cannot be made": (
        ("things.py", "    def derive(", "    def __init__(self, place): ...\n    def derive("),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "an abstract scheme": (
        ("things.py", "def derive(", "def derived("),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "prints": (("plugin.py", "\nfrom molexp import", "\nprint('hello')\nfrom molexp import"), "test_it_prints_nothing"),
    "prints when a kind is imported": (("kinds.py", "import LARGE", "print('hello')"), "test_it_prints_nothing"),
    "a large library in the module of the plugin": (
        ("plugin.py", "\nfrom molexp import", "\nimport LARGE\nfrom molexp import"),
        "test_registering_imports_no_large_library",
    ),
    "a large library behind a class that is not declared": (
        ("things.py", "\nfrom molexp.", "\nimport LARGE\nfrom molexp."),
        "test_registering_imports_no_large_library",
    ),
    "a name of MolExp": (
        ("things.py", '"PACKAGE-1"', '"molexp-1"'),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "one name twice": (
        ("plugin.py", "[Scheme]", "[Scheme, type('Other', (Scheme,), {})]"),
        "test_its_names_are_its_own",
    ),
    "a plugin named as MolExp's": (("entry_points.txt", "PACKAGE =", "fs ="), "test_its_names_are_its_own"),
    "a kind named as MolExp's": (
        ("kinds.py", 'name = "PACKAGE"', 'name = "artifact"'),
        "test_it_is_loaded_and_makes_what_it_provides",
    ),
    "a method that nobody calls": (
        ("kinds.py", "    def save(", "    def descrive(self, asset): ...\n    def save("),
        "test_optional_methods_are_spelled_as_the_contract_spells_them",
    ),
}
"""Defects: what is changed in a file of a sound distribution, and the check that catches it."""


def package_of(number: int) -> str:
    return f"kit_plugin_{number}"


def build(site: Path, number: int, change: Change | None = None) -> str:
    """Put a distribution into a folder as if it was installed, and return its name."""
    package = package_of(number)
    name = package.replace("_", "-")
    info = site / f"{package}-1.0.dist-info"
    for folder in (info, site / package):
        folder.mkdir(parents=True)
    (site / package / "__init__.py").touch()
    for file, text in FILES.items():
        before, after = change[1:] if change is not None and change[0] == file else ("", "")
        assert before in text
        if after != "-":
            place = info if file in ("METADATA", "entry_points.txt") else site / package
            written = text.replace(before, after) if before else text
            written = written.replace("NAME", name).replace("PACKAGE", package).replace("LARGE", "kit_large")
            (place / file).write_text(written, encoding="utf-8")
    return name


def build_large_library(site: Path) -> None:
    """Put a library of many modules there, which kinds import."""
    (site / "kit_large").mkdir()
    names = [f"part_{number}" for number in range(30)]
    for name in names:
        (site / "kit_large" / f"{name}.py").touch()
    imports = "".join(f"from kit_large import {name}\n" for name in names)
    (site / "kit_large" / "__init__.py").write_text(imports, encoding="utf-8")
