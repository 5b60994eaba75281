"""Each value of a profile has the file and line, or the override, that it comes from."""

from __future__ import annotations

import pytest

import molexp as me
from molexp.scripts import Profiles

YAML = """\
# settings
defaults:
  tol: 1e-6
  solver:
    name: cg
    steps: 100
profiles:
  base:
    solver: {name: bfgs}
  gpu:
    extends: base
    solver:
      steps: 500
    sizes: [1, 2]
    note: |
      tol: no key
"""
TOML = '''\
[defaults]
tol = 1e-6
solver.name = "cg"
[defaults.solver]  # more
steps = 100

[profiles.base.solver]
name = "bfgs"
[profiles.gpu]
extends = "base"
sizes = [1, 2]
note = """
sizes = 1
"""
solver = { steps = 500 }
'''
TOML = TOML.replace('solver.name = "cg"\n[defaults.solver]  # more\n', '[defaults.solver]  # more\nname = "cg"\n')
JSON = """\
{
  "defaults": {
    "tol": 1e-6,
    "solver": {"name": "cg",
               "steps": 100}
  },
  "profiles": {
    "base": {"solver": {"name": "bfgs"}},
    "gpu": {
      "extends": "base",
      "solver": {"steps": 500},
      "sizes": [1, 2],
      "note": "x"
    }
  }
}
"""


def explained(path, profile=None, overrides=None):
    found = Profiles.read(path).explain(profile, overrides)
    return {one.name: (one.value, one.origin, one.line) for one in found}


@pytest.mark.parametrize(
    ("suffix", "text", "lines"),
    [("yaml", YAML, (3, 9, 13, 14, 15)), ("toml", TOML, (2, 8, 15, 11, 12)), ("json", JSON, (3, 8, 11, 12, 13))],
)
def test_each_value_has_the_line_that_it_stands_in(tmp_path, suffix, text, lines):
    file = tmp_path / f"molcfg.{suffix}"
    file.write_text(text)
    found = explained(file, "gpu")
    where = {name: (origin, line) for name, (_, origin, line) in found.items()}
    assert where == {
        "tol": ("defaults", lines[0]),
        "solver.name": ("base", lines[1]),
        "solver.steps": ("gpu", lines[2]),
        "sizes": ("gpu", lines[3]),
        "note": ("gpu", lines[4]),
    }
    assert explained(file)["tol"][2] == lines[0]
    resolved = Profiles.read(file).resolve("gpu")
    assert {name: value for name, (value, _, _) in found.items()} == {
        "tol": 1e-6,
        "solver.name": "bfgs",
        "solver.steps": 500,
        "sizes": [1, 2],
        "note": resolved["note"],
    }


def test_an_override_is_named_and_replaces_all_that_lies_below(tmp_path):
    file = tmp_path / "molcfg.yaml"
    file.write_text(YAML)
    found = explained(file, "gpu", {"solver.steps": 7, "+new.a": 1, "tol": 1e-6})
    assert found["solver.steps"] == (7, "override", 0)
    assert found["new.a"] == (1, "override", 0)
    assert found["tol"] == (1e-6, "override", 0), "although the value is the same"
    assert found["solver.name"][1] == "base"
    found = explained(file, "gpu", {"solver": {"x": {}}})
    assert found["solver.x"] == ({}, "override", 0)
    assert "solver.name" not in found
    (one,) = [one for one in Profiles.read(file).explain("gpu", {"tol": 1}) if one.name == "tol"]
    assert (one.where, one.file) == ("--override", "")
    assert Profiles.read(file).explain("gpu")[0].where == f"{file}:3"


def test_keys_with_dots_and_quotes_have_lines(tmp_path):
    file = tmp_path / "molcfg.toml"
    file.write_text('[defaults]\n"model.lr" = 1\nmodel.depth = 2\n[profiles."a b"]\n\'x\' = 3\n')
    assert explained(file, "a b", {"model.lr": 5}) == {
        "model.lr": (5, "override", 0),
        "model.depth": (2, "defaults", 3),
        "x": (3, "a b", 5),
    }


def test_what_cannot_be_resolved_cannot_be_explained(tmp_path):
    file = tmp_path / "molcfg.yaml"
    file.write_text(YAML)
    for profile, overrides in (("gpy", {}), ("gpu", {"nothing": 1})):
        with pytest.raises(me.ProfileError):
            Profiles.read(file).explain(profile, overrides)
