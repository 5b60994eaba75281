"""Whoever saves no object of a library imports none of them, and no kind."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import molexp as me
run = me.Workspace("memory://lab").Project("p").Experiment("e").Run(id="r")
with run.start() as ctx:
    ctx.save("a.json", {"x": [1, 2.5]})
    ctx.save("b.txt", "text")
print(*(name for name in sys.modules if name.partition(".")[0] in {"numpy", "pandas", "pyarrow", "zarr", "xarray", "ase"}))
print(*(name for name in sys.modules if name.startswith("molexp_science.")))
"""


def test_json_and_text_are_saved_without_the_kinds_of_others():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    libraries, kinds = done.stdout.splitlines()
    assert libraries == ""
    assert kinds == "molexp_science._plugin"  # which says what there is
