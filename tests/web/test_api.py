"""The HTTP API answers with the documents of commands, a page at a time, and sends again only what changed."""

from __future__ import annotations

import json
import math
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import molexp as me
from tests.cli.helpers import eventually
from tests.metals import make_lab
from tests.web.conftest import BASE, client_of
from tests.web.forms import Visitor

TOKEN = "a long random text that nobody guesses"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A lab that tests only read, with files of a stranger."""
    lab = make_lab(tmp_path_factory.mktemp("shared") / "lab")
    with lab.Project("odd").Experiment("files").Run({"text": "<b>ü</b>"}, id="one").start() as ctx:
        page = "<script>fetch('/api/v1/workspaces')</script>"
        for name, text in (("page.html", page), ("code.js", "alert(1)"), ("picture.svg", f"<svg>{page}</svg>")):
            with ctx.artifact.writing(name) as path:
                path.write_text(text)
        for step in range(1000):
            value = 1000.0 if step == 617 else -1000.0 if step == 404 else math.nan if step == 800 else math.sin(step)
            ctx.metrics.log(step=step, wave=value)
        ctx.log("train").append("first\n" + "ü" * 50 + "\nlast")
    return lab


@pytest.fixture(scope="module")
def ask(shared):
    """Ask the API for a path of the lab, and return the response."""
    asking = client_of(shared)

    def ask(path, **params):
        headers = params.pop("headers", None)
        return asking.get(f"/api/v1/workspaces/lab{path}", params=params, headers=headers)

    return ask


def paths(page):
    return [run["path"] for run in page["runs"]]


# ------------------------------------------------------------------------------------------------------------ documents


@pytest.mark.parametrize(
    ("path", "params", "command", "pick"),
    [
        ("", {}, ["info"], None),
        ("/projects", {}, ["ls"], "entries"),
        ("/experiments", {"project": "metals"}, ["ls", "metals"], "entries"),
        ("/runs", {"q": "params.a > 3.6", "sort": "-params.a"}, ["runs", "list", "params.a > 3.6", "--sort", "-params.a"], "runs"),
        ("/runs/metals/cu/cu-2", {}, ["show", "metals/cu/cu-2"], None),
        ("/runs/metals/cu/cu-bad/graph", {}, ["show", "metals/cu/cu-bad", "--graph"], None),
        ("/compare", {"run": ["cu-1", "cu-2"]}, ["compare", "cu-1", "cu-2"], None),
        ("/lineage", {"of": "cu-2", "down": "1"}, ["lineage", "cu-2", "--down"], None),
        ("/assets", {"kind": "artifact", "sort": "-size"}, ["assets", "list", "--kind", "artifact", "--sort", "-size"], "assets"),
        ("/assets/metals%2Fcu%2Fcu-2%231%3Aartifact%3Avolumes.json%401", {}, ["assets", "show", "cu-2:volumes.json"], None),
    ],
)  # fmt: skip
def test_documents_are_those_of_commands(ask, shared, capfd, path, params, command, pick):
    from molexp_cli._main import run

    assert run(["-w", shared.url, *command, "--json"]) in (0, 3)  # 3: it has no workflow
    printed = json.loads(capfd.readouterr().out)
    found = ask(path, **params).json()
    if pick:
        found, printed = (one[pick] if isinstance(one, dict) else one for one in (found, printed))
    assert found == printed
    assert found is None or found


def test_pages_follow_each_other_by_cursor(ask, shared):
    seen, cursor = [], ""
    while cursor is not None:
        page = ask("/runs", sort="-params.a", limit=2, cursor=cursor, q="experiment == 'cu'").json()
        seen += paths(page)
        cursor = page["next"]
    assert seen == [row.path for row in shared.catalog.runs(experiment="cu", sort="-params.a")]
    assert ask("/runs", cursor="metals/cu/nobody").status_code == 404


def test_columns_are_chosen_and_runs_counted(ask):
    page = ask("/runs", columns="params.a,results.energy", experiment="cu", status="succeeded", limit=1, count=1).json()
    assert page["runs"] == [{"path": "metals/cu/cu-0", "params.a": 3.5, "results.energy": 0.5}]
    assert page["total"] == 5
    assert "results.energy" in ask("/fields", containing="ENERGY").json()


def test_only_what_changed_is_sent_again(lab):
    asking = client_of(lab)
    for path in ("/runs?limit=2", "/projects", "/runs/metals/cu/cu-1", "/metrics?run=metals/cu/cu-1"):
        first = asking.get(f"/api/v1/workspaces/lab{path}")
        again = asking.get(f"/api/v1/workspaces/lab{path}", headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    tag = asking.get("/api/v1/workspaces/lab/runs").headers["etag"]
    lab.run("metals/cu/cu-1").annotate(tags=["new"])
    assert asking.get("/api/v1/workspaces/lab/runs", headers={"If-None-Match": tag}).status_code == 200


def test_what_is_done_to_projects_and_experiments_without_runs_is_sent(lab):
    asking = client_of(lab)
    addresses = [f"/api/v1/workspaces/lab{path}" for path in ("", "/projects", "/experiments")]
    lab.Project("empty").Experiment("e")
    before = [asking.get(address) for address in addresses]
    lab.project("empty").delete()
    for address, known in zip(addresses, before, strict=True):
        after = asking.get(address, headers={"If-None-Match": known.headers["etag"]})
        assert after.status_code == 200, address


# -------------------------------------------------------------------------------------------------------------- metrics


def test_a_thin_curve_keeps_its_ends_extremes_and_gaps(ask):
    [curve] = ask("/metrics", run="odd/files/one", points=40).json()["series"]
    assert (curve["name"], curve["count"], curve["last_step"]) == ("wave", 1000, 999)
    assert len(curve["steps"]) == len(curve["values"]) == len(curve["times"]) <= 40
    points = dict(zip(curve["steps"], curve["values"], strict=True))
    assert (points[617], points[404], points[800]) == (1000.0, -1000.0, None)
    assert {0, 999} <= points.keys()


def test_curves_of_several_runs_and_only_what_is_new(ask):
    found = ask("/metrics", run=["metals/cu/cu-0", "metals/cu/cu-1"], q="params.a > 3.75", name="loss", since=97).json()
    assert found["runs"] == ["metals/cu/cu-0", "metals/cu/cu-1", "metals/cu/cu-3", "metals/cu/cu-4", "metals/cu/cu-bad"]
    assert [one["steps"] for one in found["series"]] == [[98, 99]] * 4


# ----------------------------------------------------------------------------------------------------------------- logs


def test_a_log_is_read_in_parts(ask):
    whole = ask("/logs", run="odd/files/one").json()
    assert whole["text"] == "first\n" + "ü" * 50 + "\nlast\n"
    assert (whole["name"], whole["names"], whole["goes_on"], whole["size"]) == ("train", ["train"], False, 112)
    assert ask("/logs", run="odd/files/one", tail=1).json()["text"] == "last\n"
    part = ask("/logs", run="odd/files/one", **{"from": 6, "bytes": 5}).json()
    assert (part["text"], part["from"], part["to"]) == ("üü", 6, 10)  # half a character is left to the next part
    assert ask("/logs", run="odd/files/one", name="trian").json()["error"]["code"] == "not_found"
    assert ask("/logs", run="odd/files/one", attempt=2).status_code == 404


def test_a_log_is_followed_to_its_end_and_on_from_where_a_client_was(ask):
    events = ask("/logs", run="odd/files/one", follow=1, tail=2)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert f'data: ["{"ü" * 50}","last"]' in events.text
    assert events.text.endswith("event: end\ndata: {}\n\n")
    rest = ask("/logs", run="odd/files/one", follow=1, headers={"Last-Event-ID": "1:107"})
    assert 'data: ["last"]' in rest.text


# ---------------------------------------------------------------------------------------------------------------- files


def address(name, run="odd/files/one"):
    return f"/assets/{quote(f'{run}#1:artifact:{name}@1', safe='')}/bytes"


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("page.html", "text/html; charset=utf-8"),
        ("picture.svg", "image/svg+xml"),
        ("code.js", "text/plain; charset=utf-8"),
    ],
)
def test_nothing_in_a_file_is_executed(ask, name, type):
    response = ask(address(name))
    assert (response.status_code, response.headers["content-type"]) == (200, type)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "script" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


def test_bytes_come_in_ranges(ask):
    where = address("code.js")
    whole = ask(where)
    assert (whole.text, whole.headers["accept-ranges"]) == ("alert(1)", "bytes")
    for wanted, status, text in [
        ("bytes=0-4", 206, "alert"),
        ("bytes=5-", 206, "(1)"),
        ("bytes=-3", 206, "(1)"),
        ("bytes=0-999", 206, "alert(1)"),
        ("bytes=8-", 416, ""),
        ("bytes=-0", 416, ""),
        ("bytes=3-1", 416, ""),
        ("bytes=0-1,3-4", 200, "alert(1)"),
        ("lines=1-2", 200, "alert(1)"),
    ]:
        part = ask(where, headers={"Range": wanted})
        assert (wanted, part.status_code, part.text) == (wanted, status, text)
    assert ask(where, headers={"Range": "bytes=5-"}).headers["content-range"] == "bytes 5-7/8"
    stale = ask(where, headers={"Range": "bytes=5-", "If-Range": '"older"'})
    assert (stale.status_code, stale.text) == (200, "alert(1)")
    assert ask(where, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert ask(where, download=1).headers["content-disposition"].startswith("attachment")


# ---------------------------------------------------------------------------------------------------------- description


def test_the_description_is_valid_and_names_every_route(shared):
    from openapi_spec_validator import validate

    for asking, methods in [
        (client_of(shared), {"get"}),
        (client_of(shared, token=TOKEN, changes=True), {"get", "post"}),
    ]:
        document = asking.get("/api/v1/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json()
        if "post" in methods:  # the other one is a part of it
            validate(document)
        described = set(document["paths"])
        routes = {
            r.path.replace(":path", "").removeprefix("/api/v1")
            for r in asking.app.routes
            if r.path.startswith("/api/v1")
        }
        assert described - routes == set()
        assert routes - described <= {"/openapi.json", "/workspaces/{workspace}/changes"}
        assert {method for path in document["paths"].values() for method in path} == methods


# --------------------------------------------------------------------------------------------------------------- errors

READING = ["/runs", "/projects", "/experiments", "/fields", "/metrics", "/logs", "/assets", "/compare", "/lineage"]
WORDS = ["q", "sort", "limit", "cursor", "columns", "run", "of", "name", "scope", "producer", "kind", "points", "since", "from", "tail", "experiment", "status"]  # fmt: skip
ODD = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(["..", "../../etc/passwd", "metals/cu/../cu", "\0", "-", "NaN", "-1", "1e999", "@latest", "a" * 3000, "((((", "metals/cu/cu-1:volumes.json"]),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(READING), st.dictionaries(st.sampled_from(WORDS), ODD, max_size=3), st.lists(ODD, max_size=3))
def test_odd_parameters_get_an_answer_or_an_error_that_says_what_is_wrong(ask, path, params, parts):
    for where, given_ in ((path, params), ("/".join(["/runs", *(quote(p.encode("utf-8", "replace"), safe="") for p in parts)]), {}), (f"/assets/{quote('/'.join(parts).encode('utf-8', 'replace'), safe='')}/bytes", {})):  # fmt: skip
        response = ask(where, **{name: value.encode("utf-8", "replace") for name, value in given_.items()})
        assert response.status_code in (200, 400, 404), response.text
        assert "root:" not in response.text
        if response.status_code >= 400:
            error = response.json()["error"]
            assert set(error) == {"code", "message", "hint"}
            assert error["message"]


def test_a_damaged_run_hinders_no_other(lab, tmp_path):
    (tmp_path / "lab/projects/metals/experiments/cu/runs/cu-1/run.json").write_bytes(b"{")
    asking = client_of(me.Workspace(lab.url))
    page = asking.get("/api/v1/workspaces/lab/runs").json()
    assert "metals/cu/cu-2" in paths(page)
    broken = asking.get("/api/v1/workspaces/lab/runs/metals/cu/cu-1")
    assert broken.json()["error"]["message"] if broken.status_code >= 400 else broken.json()["problems"]


# -------------------------------------------------------------------------------------------------------------- changes


class Changing:
    """A browser that came by the address with the token, and whatever it posts."""

    def __init__(self, lab, **settings):
        self.client = client_of(lab, token=TOKEN, changes=True, **settings)
        self.client.get("/", params={"token": TOKEN})

    def __call__(self, headers=None, **body):
        return self.post(headers=headers, json=body)

    def post(self, headers=None, **body):
        headers = {"Origin": BASE} if headers is None else headers
        return self.client.post("/api/v1/workspaces/lab/changes", headers=headers, **body)


@pytest.fixture
def change(lab):
    return Changing(lab)


def test_runs_are_tagged_archived_deleted_and_brought_back(change, lab):
    runs = ["metals/cu/cu-0", "metals/cu/none"]
    done = change(action="annotate", runs=runs, tags=["best"], note="keep")
    assert done.status_code == 207
    assert [one["error"] and one["error"]["code"] for one in done.json()] == [None, "not_found"]
    run = lab.run("metals/cu/cu-0")
    assert "best" in run.tags
    assert run.notes[-1]["text"] == "keep"
    for action, there in (("archive", False), ("unarchive", True), ("delete", False), ("restore", True)):
        assert change(action=action, runs=runs[:1]).status_code == 200
        assert bool(lab.catalog.runs("path == 'metals/cu/cu-0'")) is there


def test_a_waiting_run_is_cancelled(change, lab):
    waiting = lab.project("metals").experiment("cu").Run({"a": 9.0})
    assert change(action="cancel", runs=[waiting.path], reason="too large").status_code == 200
    assert str(waiting.status) == "cancelled"


SCRIPT = """
import molexp as me

ws = me.Workspace({url!r})
exp = ws.Project("metals").Experiment("squares")
exp.bind(lambda ctx: ctx.set_result("square", ctx.params["a"] ** 2))
me.entry(ws)
"""


def test_a_run_is_executed_by_a_script_that_the_command_names(lab, tmp_path):
    script = tmp_path / "squares.py"
    script.write_text(SCRIPT.format(url=lab.url))
    run = lab.Project("metals").Experiment("squares").Run({"a": 3})
    other = tmp_path / "other.py"
    other.write_text("1 / 0")
    changing = Changing(lab, scripts=[script, other])
    wanted = {"action": "execute", "runs": [run.path], "script": "squares.py"}
    assert changing(**{**wanted, "script": str(script)}).status_code == 403
    assert changing(**{**wanted, "runs": ["--script=other.py"]}).status_code == 404
    assert Changing(lab)(**wanted).status_code == 403
    visitor = Visitor(changing.client)
    visitor.open(f"/w/lab/runs/{run.path}")
    assert visitor.press("Execute", script="squares.py").told.startswith(f"squares.py executes {run.path} now")
    eventually(lambda: lab.run(run.path).status.finished)
    assert lab.run(run.path).results == {"square": 9}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {},
        {"Origin": BASE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example", "Authorization": f"Bearer {TOKEN}"},
    ],
)
def test_another_site_changes_nothing(change, lab, headers):
    assert change(headers=headers, action="archive", runs=["metals/cu/cu-0"]).json()["error"]["code"] == "wrong_origin"
    assert not lab.run("metals/cu/cu-0").archived


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("lab.example.org:8000", "http://lab.example.org:8000", 200),
        ("127.0.0.1:8000", "https://lab.example.org", 200),
        ("lab.example.org", "https://lab.example.org:8443", 200),
        ("lab.example.org:8000", "http://lab.example.org", 403),
        ("lab.example.org:8000", "http://lab.example.org:9999", 403),
        ("lab.example.org", "https://lab.example.org:9999", 403),
        ("127.0.0.1:8000", "http://lab.example.org:9999", 403),
        ("127.0.0.1:8000", "", 403),
    ],
)
def test_another_port_of_the_same_name_changes_nothing(lab, host, origin, status):
    hosts = ["127.0.0.1", "lab.example.org", "lab.example.org:8443"]
    browser = client_of(lab, base=f"http://{host}", token=TOKEN, changes=True, hosts=hosts)
    browser.get("/", params={"token": TOKEN})
    body = {"action": "archive", "runs": ["metals/cu/cu-0"]}
    assert browser.post("/api/v1/workspaces/lab/changes", headers={"Origin": origin}, json=body).status_code == status


def test_nothing_is_changed_without_permission_or_token(lab):
    body = {"action": "archive", "runs": ["metals/cu/cu-0"]}
    where = "/api/v1/workspaces/lab/changes"
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    assert (
        client_of(lab, token=TOKEN).post(where, headers=allowed, json=body).json()["error"]["code"]
        == "changes_not_allowed"
    )
    asking = client_of(lab, token=TOKEN, changes=True)
    assert asking.post(where, headers={"Origin": BASE}, json=body).status_code == 401
    assert not lab.run("metals/cu/cu-0").archived
    assert asking.post(where, headers=allowed, json=body).status_code == 200
    assert lab.run("metals/cu/cu-0").archived


BAD: tuple[dict[str, object], ...] = (
    {},
    {"action": "explode", "runs": ["metals/cu/cu-0"]},
    {"action": "archive"},
    {"action": "archive", "runs": "metals/cu/cu-0"},
    {"action": "archive", "runs": [1]},
    {"action": "annotate", "runs": ["metals/cu/cu-0"]},
    {"action": "annotate", "runs": ["metals/cu/cu-0"], "note": 3},
    {"action": "delete", "runs": ["a"] * 1001},
)


def test_a_body_that_cannot_be_understood_changes_nothing(change):
    assert [change(**body).status_code for body in BAD] == [400] * len(BAD)
    for data in (b"[", b"[]", b"\xff", b"[" * 100_000):
        assert change.post(content=data).status_code == 400
    assert change.post(content=b" " * (2 << 20)).status_code == 413
