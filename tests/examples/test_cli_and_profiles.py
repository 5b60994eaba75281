"""The command line and profiles: what the example's page says of its commands, typed and checked."""

from __future__ import annotations

import json
import shutil

import pytest

import molexp as me
from tests.examples.running import EXAMPLES, lines_of, molexp, type_in

FOLDER = EXAMPLES / "getting_started" / "04_cli_and_profiles"
RUN = "molexp run oscillator.py"


@pytest.fixture
def here(tmp_path):
    return shutil.copytree(FOLDER, tmp_path / "here", ignore=shutil.ignore_patterns("lab", "__pycache__"))


def configurations(folder):
    rows = me.Workspace.load(folder / "lab").catalog.runs(status="succeeded")
    return [(row.params["omega"], row.config["integrator"]["steps_per_period"]) for row in rows]


def test_every_command_of_the_page_does_what_the_page_says(here):
    def typed(line):
        done = type_in(line, here)
        assert done.returncode == 0, done.stderr
        return done.stdout

    lines = iter(lines_of(here / "README.md"))

    def type_next(expected):
        assert next(lines) == expected
        return typed(expected)

    assert type_next(RUN) == "2 succeeded\n"
    assert type_next(RUN) == "2 skipped\n"  # the same invocation twice: one run
    assert configurations(here) == [(1.0, 100), (2.0, 100)]
    assert type_next(f"{RUN} --dry-run").count("skip ") == 2
    assert type_next(f"{RUN} --profile accurate") == "2 succeeded\n"
    assert type_next(f"{RUN} --profile cluster") == "2 skipped\n"  # the same numbers, elsewhere
    for steps in (50, 200):  # two overrides: two runs
        assert type_next(f"{RUN} --override integrator.steps_per_period={steps}") == "2 succeeded\n"
    assert configurations(here) == [(omega, steps) for steps in (100, 1000, 50, 200) for omega in (1.0, 2.0)]
    assert type_next("molexp -w lab runs list").count("succeeded") == 8
    assert "integrator     {" in type_next("molexp -w lab show @latest")
    assert list(lines) == []


def test_more_steps_drift_less_and_only_the_accurate_profile_saves_energies(here):
    for profile in ([], ["--profile", "accurate"]):
        assert molexp("run", "oscillator.py", *profile, cwd=here).returncode == 0
    ws = me.Workspace.load(here / "lab")
    coarse, fine = ws.catalog.runs(params={"omega": 1.0})
    assert 50 < coarse.results["energy_error"] / fine.results["energy_error"] < 200  # second order
    saved = [{asset.name for asset in ws.run(row.path).assets} for row in (coarse, fine)]
    assert ["energies.json" in names for names in saved] == [False, True]
    assert [row.profile for row in (coarse, fine)] == [None, "accurate"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(here):
    planned = json.loads(molexp("run", "oscillator.py", "--dry-run", "--json", cwd=here).stdout)
    assert [(run["action"], run["why"], run["parameters"]) for run in planned] == [
        ("start", "new", {"omega": 1.0}),
        ("start", "new", {"omega": 2.0}),
    ]
    assert not me.Workspace.load(here / "lab").catalog.runs()


def test_a_misspelt_override_names_the_nearest(here):
    done = molexp("run", "oscillator.py", "--override", "integrator.steps=200", cwd=here)
    assert done.returncode != 0
    assert "integrator.steps_per_period" in done.stderr
    done = molexp("run", "oscillator.py", "--profile", "acurate", cwd=here)
    assert done.returncode != 0
    assert "'accurate'" in done.stderr
