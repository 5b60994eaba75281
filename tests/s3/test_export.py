"""Runs of a workspace in a bucket are exported: streamed from it, into an archive that is a workspace on a disk."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

import molexp as me
from molexp_cli._main import run
from tests.cli.report_pages import read_page

pytestmark = pytest.mark.s3


def test_an_archive_and_a_report_of_runs_in_a_bucket(bucket, tmp_path, monkeypatch, capfd):
    url, environment = bucket.as_environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    lab = me.Workspace(url)
    exp = lab.Project("metals").Experiment("cu")
    for number in range(3):
        with exp.Run({"n": number}, id=f"r{number}").start() as ctx:
            ctx.metrics.log(step=0, loss=number / 2)
            ctx.artifact.save("a.json", [number])
            ctx.log("out").append(f"line {number}")
    assert run(["-w", url, "export", "--where", "params.n > 0", "-o", "some.zip"]) == 0
    assert run(["-w", url, "report", "-o", "some.html"]) == 0
    assert capfd.readouterr().out == "some.zip\nsome.html\n"
    with zipfile.ZipFile("some.zip") as archive:
        archive.extractall("unpacked")
    there = me.Workspace.load("unpacked")
    assert [row.results for row in there.catalog.runs()] == [{}, {}]
    assert [there.run(name).asset("a.json").load() for name in ("r1", "r2")] == [[1], [2]]
    assert there.run("r2").asset("out").load() == "line 2\n"
    assert there.run("r2").metrics.last["loss"] == 1.0
    assert there.fsck(read_data=True).ok
    assert me.sync_workspace("unpacked", Path("merged"), merge=True).ok
    assert len(read_page("some.html").curves("loss")) == 3
