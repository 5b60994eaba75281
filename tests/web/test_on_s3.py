"""Pages of a workspace in a bucket, and a copy of its pages in another."""

from __future__ import annotations

import json

import attrs
import pytest
from starlette.testclient import TestClient

import molexp as me
from molexp_web import application
from molexp_web._export.export import export
from tests.servers.ceph import STRANGER
from tests.web import labs
from tests.web.forms import visitor_of

pytestmark = pytest.mark.s3


@pytest.fixture
def buckets(any_server, monkeypatch):
    lab = any_server.fresh()
    for name, value in lab.as_environment()[1].items():
        monkeypatch.setenv(name, value)
    return lab, any_server.fresh("copy")


def test_a_copy_of_pages_lies_in_a_bucket_and_is_renewed(buckets):
    place, copy = buckets
    ws = labs.ordinary(place.url, runs=4)
    first = export(ws, copy.url)
    assert (first.runs, copy.raw_keys() >= {"index.html", "now.js", "export.css"}) == (5, True)
    head = copy.server.client.head_object
    types = {
        name: head(Bucket=copy.name, Key=f"{copy.prefix}/{name}")["ContentType"] for name in ("index.html", "now.js")
    }
    assert types == {"index.html": "text/html; charset=utf-8", "now.js": "text/javascript; charset=utf-8"}
    with ws.project("solvation").experiment("relax").Run(id="more").start():
        pass
    second = export(ws, copy.url)
    assert second.runs == 6
    assert second.written < first.written
    export(ws, copy.url)
    told = json.loads(copy.raw_read("molexp-export.json") or b"")
    assert copy.raw_keys() == {*told["files"], *told["before"], "now.js", "molexp-export.json"}


def test_a_copy_is_not_written_over_a_workspace(buckets):
    place, _ = buckets
    ws = labs.ordinary(place.url, runs=1)
    before = place.raw_keys()
    with pytest.raises(ValueError, match="something else"):
        export(ws, place.url)
    assert place.raw_keys() == before
    assert isinstance(ws, me.Workspace)


def test_every_page_of_a_workspace_in_a_bucket(buckets):
    place, _ = buckets
    labs.ordinary(place.url, runs=3)
    run = "solvation/relax/r0"
    with TestClient(application({"lab": me.Workspace.load(place.url)}), base_url="http://127.0.0.1:8000") as client:
        for address, text in {
            "/w/lab/": "Solvation",
            "/w/lab/runs?sort=-results.energy": "r2",
            f"/w/lab/runs/{run}": "water",
            f"/w/lab/compare?run={run}&run=solvation/relax/r1": "solvent",
            "/w/lab/assets": "density.png",
            f"/w/lab/lineage/{run}": "table.csv",
            f"/api/v1/workspaces/lab/metrics?run={run}": "force",
        }.items():
            answer = client.get(address)
            assert answer.status_code == 200, (address, answer.text[:300])
            assert text in answer.text, address


def test_buttons_change_runs_of_a_bucket_and_tell_whoever_may_only_read_it(ceph):
    place, run = attrs.evolve(ceph.fresh(), name="molexp-for-readers"), "metals/cu/one"
    ceph.client.create_bucket(Bucket=place.name)
    ws = me.Workspace(place.url, storage_options=place.storage_options)
    with ws.Project("metals").Experiment("cu").Run(id="one").start():
        pass
    visitor = visitor_of(ws)
    visitor.open(f"/w/lab/runs/{run}")
    assert visitor.press("Add tag", tag="good").told == f"Added the tag “good” to {run}."
    visitor.press("Delete…")
    visitor.press(f"Delete {run}")
    assert visitor.press("Restore").told == f"Restored {run}."
    everybody = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
    policy = {**everybody, "Resource": [f"arn:aws:s3:::{place.name}", f"arn:aws:s3:::{place.name}/*"]}
    ceph.client.put_bucket_policy(
        Bucket=place.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    )
    theirs = place.as_user(*STRANGER)
    visitor = visitor_of(me.Workspace.load(theirs.url, storage_options=theirs.storage_options))
    assert "good" in visitor.open(f"/w/lab/runs/{run}").text
    told = visitor.press("Archive").told
    assert told.startswith(f"Nothing was changed. Not changed: {run}.")
    assert "s3:PutObject" in told
