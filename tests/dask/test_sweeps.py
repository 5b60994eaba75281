"""A sweep has the same ids and the same record wherever it is executed; `molexp run` says where, by the profile."""

from __future__ import annotations

import re

import pytest

import molexp as me
from tests.cli.helpers import program
from tests.dask.clusters import cluster
from tests.executors.sweeps import compare, sweep, write_profiles


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("dask"), 2) as found:
        yield found


@pytest.fixture
def here(tmp_path, two):
    write_profiles(tmp_path, two.address)
    return tmp_path


def test_a_sweep_has_the_same_record_wherever_it_is_executed(here):
    """On S3, and on Slurm, too, in ``tests/slurm``."""
    compare(here, None, "files", 8, ["process", "dask"])


def test_progress_says_what_waits_and_where_it_began(here):
    done = sweep(here, 3, "dask", "-j", "2")
    assert done.code == 0, done.err
    said = re.findall(r"^molexp: p/e/\w+ \(x=(\d)\) (queued|started|succeeded)", done.err, re.MULTILINE)
    for one in "012":
        assert [step for x, step in said if x == one] == ["queued", "started", "succeeded"]


def test_resources_that_no_worker_declares_are_refused_before_the_first_run(here):
    done = sweep(here, 3, "demanding")
    assert done.code == 2
    assert "none of 2 Dask workers declares that" in done.err
    assert 'start workers with --resources "gpus=2"' in done.err
    assert not (here / "lab/projects/p/experiments/e/runs").exists()


def test_a_cluster_is_started_and_ended_with_the_sweep(here):
    done = sweep(here, 2, "own", "-j", "2")
    assert (done.code, done.out) == (0, "2 succeeded\n"), done.err
    assert "Traceback" not in done.err


def test_code_that_has_changed_is_executed_as_it_is_now(here):
    sweep(here, 1, "dask")
    script = here / "sweep.py"
    script.write_text(script.read_text().replace("sum(ctx.inputs)", "100 + sum(ctx.inputs)"))
    done = program(here, "run", "sweep.py", "-p", "dask", "--changed")
    assert done.code == 0, done.err
    (run,) = me.Workspace.load(here / "lab").project("p").experiment("e").runs
    assert run.results["total"] == 104
