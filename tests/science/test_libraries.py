"""A library is imported when an object of it is saved or loaded, and not before."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from textwrap import dedent

import pytest

from tests import warm

SAVED = """
    import sys
    import molexp as me

    {imports}
    before = set(sys.modules)
    with me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run().start() as ctx:
        ctx.save("a", {value})
    me.Workspace(sys.argv[1]).catalog.assets()
    heavy = {{"ase", "matplotlib", "numpy", "pandas", "PIL", "plotly", "pyarrow", "pymatgen", "rdkit", "scipy", "xarray", "zarr"}}
    print(*sorted(heavy & (set(sys.modules) - before)))
"""


def imported(tmp_path, imports, value):
    """Return the libraries that are imported to save a value and to list what is saved."""
    done = warm.run(
        [sys.executable, "-c", dedent(SAVED).format(imports=imports, value=value), str(tmp_path / "lab")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_saving_json_imports_none(tmp_path):
    assert imported(tmp_path, "", "{'a': [1, 2]}") == []


@pytest.mark.skipif(find_spec("ase") is None, reason="ASE is in the group dev")
def test_saving_atoms_imports_none_of_the_others(tmp_path):
    found = imported(tmp_path, "from ase import Atoms", "Atoms('H')")
    assert set(found) <= {"ase", "numpy", "scipy"}
