"""The same sweep in this process, in others, by jobs of Slurm and on Dask: the same ids, and the same record but for attempts and times."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from tests.dask.clusters import cluster
from tests.executors.sweeps import compare, sweep, write_profiles

pytestmark = pytest.mark.slurm

JOBS = """
  jobs:
    executor: dask
    scheduler:
      cluster: dask_jobqueue.SLURMCluster
      options:
        {cores: 1, processes: 1, memory: 400MB, walltime: "0:10:00", interface: lo, log_directory: logs, python: "%s",
         scheduler_options: {dashboard_address: "127.0.0.1:0"}, worker_extra_args: ["--no-dashboard"]}
"""


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("files", 8),
        ("moto", 4),
        pytest.param("files", 100, marks=pytest.mark.long),
        pytest.param("moto", 100, marks=pytest.mark.long),
    ],
)
def test_a_sweep_has_the_same_record_wherever_it_is_executed(slurm, moto, tmp_path, monkeypatch, kind, number):
    for name, value in moto.fresh().as_environment()[1].items():  # Dask's workers have it, too
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with cluster(tmp_path / "dask-cluster", 2) as two:
        write_profiles(tmp_path, two.address)
        compare(tmp_path, moto, kind, number, ["process", "slurm", "dask"])


@pytest.mark.long
@pytest.mark.skipif(
    find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed"
)  # signals: not imported here
def test_workers_of_dask_are_jobs_of_slurm_by_the_profile(slurm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_profiles(tmp_path, "")
    with (tmp_path / "molcfg.yaml").open("a") as file:
        file.write(JOBS % sys.executable)
    done = sweep(tmp_path, 3, "jobs", "-j", "2")
    assert (done.code, done.out) == (0, "3 succeeded\n"), done.err
    assert "CANCELLED" in slurm.states().values(), "the workers were no jobs"
    assert not slurm.alive()
