"""Pages and answers for a workspace whose every text is markup, in which runs are damaged, and which is deleted meanwhile."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from hypothesis import strategies
from starlette.routing import Route
from starlette.testclient import TestClient

import molexp as me
from molexp_web import application
from tests import warm
from tests.web import labs

SECRET = b"moor" * 7
"""It lies in a file beside the workspace."""
BASE = "http://127.0.0.1:8000"
PARTS = {
    "workspace": ["lab"],
    "project": ["evil"],
    "experiment": ["x"],
    "run": ["e0", "e1"],
    "id": ["evil/x/e0#1:artifact:page.html@1", "evil/x/e0"],
    "path": ["evil/x/e0"],
}
QUERIES = (
    "columns", "cursor", "experiment", "from", "group", "kind", "limit", "log", "metric", "name", "names", "offset", "page", "points",
    "project", "q", "run", "runs", "scope", "since", "size", "sort", "start", "status", "step", "stop", "tail", "task", "to", "view", "x", "y",
)  # fmt: skip
NASTY = (
    "..", "../secret.txt", "..%2fsecret.txt", "%", "%00", "\0", "\udcff", "-1", "1e999", "nan", "9" * 400, "/", "//evil", "\\\\evil",
    labs.SCRIPT, "' or 1=1 --", "a" * 5000, "(" * 300, "not " * 300, "params.n >", "__proto__", "constructor", "e0\r\nset-cookie: a=b", "🧪", "\u202e", "file:///etc/passwd", "../../../../../../../../secret.txt",
)  # fmt: skip


def odd() -> strategies.SearchStrategy[str]:
    """Return texts that nobody means well with, and any others."""
    anything = strategies.text(strategies.characters(codec="utf-8"), max_size=20)
    return (
        strategies.sampled_from(NASTY)
        | anything
        | strategies.builds(lambda a, b: a + b, strategies.sampled_from(NASTY), anything)
    )


def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def templates(app: Any) -> list[str]:
    """Return the paths of all that can be asked for; streams that never end are left out."""
    return [
        one.path
        for one in app.routes
        if isinstance(one, Route)
        and "GET" in (one.methods or ())
        and "follow" not in one.path
        and "events" not in one.path
    ]


def landed(client: TestClient, *paths: str) -> list[str]:
    """Return those paths that a route of the application is for."""
    routes = [one for one in client.app.routes if isinstance(one, Route)]  # type: ignore[attr-defined]
    return [path for path in paths if any(one.path_regex.match(path.partition("?")[0]) for one in routes)]


def client_of(ws: me.Workspace) -> TestClient:
    return TestClient(application({"lab": ws}), base_url=BASE, raise_server_exceptions=True, follow_redirects=False)


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("evil")
    folder.joinpath("secret.txt").write_bytes(SECRET)
    with client_of(labs.hostile(folder / "lab")) as client:
        yield client


def is_harmless(answer: Any) -> None:
    """Check that an answer is no fault of the server, and that nothing in it is executed."""
    assert answer.status_code < 500, answer.text[:500]
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers
    if answer.is_redirect:
        assert headers["location"].startswith(("/", BASE)), headers["location"]
        assert not headers["location"].startswith("//"), headers["location"]
    policy = headers["content-security-policy"]
    kind = headers.get("content-type", "")
    if policy.startswith("sandbox"):
        assert "allow-scripts" not in policy
    elif kind.startswith(("text/html", "image/svg", "application/xhtml", "text/xml")):
        assert "<script>document" not in answer.text
        assert "<img src=x" not in answer.text
        assert "script-src" not in policy or "unsafe" not in policy
    assert SECRET not in answer.content


@hypothesis.settings(max_examples=80)
@hypothesis.given(data=strategies.data())
def test_whatever_stands_in_an_address_is_answered_or_refused(evil, data):
    path = data.draw(strategies.sampled_from(templates(evil.app)))
    for name, known in PARTS.items():
        for suffix in ("", ":path"):
            if (place := f"{{{name}{suffix}}}") in path:
                good = strategies.sampled_from(known)
                path = path.replace(
                    place, encoded(data.draw(good | odd() if data.draw(strategies.booleans()) else good))
                )
    while "{" in path:  # a part of another name
        before, _, rest = path.partition("{")
        path = before + encoded(data.draw(odd())) + rest.partition("}")[2]
    asked = data.draw(strategies.dictionaries(strategies.sampled_from(QUERIES), odd(), max_size=3))
    query = urlencode([(name, value.encode("utf-8", "surrogateescape")) for name, value in asked.items()])
    is_harmless(evil.get(f"{path}?{query}"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_no_address_is_changed_by_whoever_may_only_read(evil, method):
    for path in ["/", *templates(evil.app)]:
        filled = path
        for name, known in PARTS.items():
            filled = filled.replace(f"{{{name}}}", encoded(known[0])).replace(f"{{{name}:path}}", encoded(known[0]))
        assert evil.request(method, filled, headers={"origin": "http://evil.example"}).status_code in (403, 404, 405)


@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.long)])
def test_thousands_of_columns_of_each_run(tmp_path, runs):
    ws = me.Workspace(tmp_path / "lab")
    exp = ws.Project("p").Experiment("e")
    for number in range(runs):
        with exp.Run({f"c{number}_{column}": column for column in range(5000)}, id=f"r{number}").start():
            pass
    with client_of(ws) as client:
        for address in landed(
            client,
            "/w/lab/",
            "/w/lab/runs",
            "/w/lab/runs?sort=-params.c1_77",
            "/w/lab/runs/p/e/r1",
            "/w/lab/compare?run=p/e/r0&run=p/e/r1",
        ):
            answer = client.get(address)
            is_harmless(answer)
            assert answer.status_code == 200, (address, answer.text[:300])
            assert len(answer.content) < 1_500_000, (address, len(answer.content))


def test_damaged_runs_hide_no_others(tmp_path):
    ws = labs.ordinary(tmp_path / "lab", runs=6)
    runs = tmp_path / "lab/projects/solvation/experiments/relax/runs"
    runs.joinpath("r1/run.json").write_bytes(b'{"schema": 1, "type": "run", "id": ')
    runs.joinpath("r2/run.json").write_bytes(b"\xff\xfe\x00")
    for left in runs.joinpath("r3").rglob("*.json*"):
        left.write_text("[]")
    with client_of(me.Workspace.load(ws.url)) as client:
        table = client.get("/w/lab/runs")
        is_harmless(table)
        assert "r4" in table.text
        assert "r5" in table.text
        for address in landed(
            client,
            "/w/lab/",
            *(f"/w/lab/runs/solvation/relax/r{number}" for number in range(6)),
            "/w/lab/assets",
            "/w/lab/compare?q=status == 'succeeded'",
        ):
            answer = client.get(address)
            if address.endswith("/r3"):
                assert "molexp fsck --repair" in answer.text, "its own page says what to do"
            else:
                is_harmless(answer)


def test_a_workspace_that_is_deleted_is_said_to_be_gone(tmp_path):
    ws = labs.ordinary(tmp_path / "lab", runs=3)
    pages = ["/w/lab/", "/w/lab/runs", "/w/lab/runs/solvation/relax/r0", "/w/lab/assets", "/api/v1/workspaces/lab/runs"]
    client = TestClient(application({"lab": ws}), base_url=BASE, raise_server_exceptions=False)
    with client:
        pages = landed(client, *pages)
        for address in pages:
            assert client.get(address).status_code == 200, address
        shutil.rmtree(tmp_path / "lab/projects/solvation/experiments/relax/runs")
        for address in pages:
            assert client.get(address).status_code in (200, 404), address
        shutil.rmtree(tmp_path / "lab")
        for address in pages:
            answer = client.get(address)
            assert answer.status_code == 404 or address.startswith("/api/"), (address, answer.text[-600:])
            assert "There is no" in answer.text or address.startswith("/api/"), (address, answer.text[-600:])


WRITE = """
import sys
import molexp as me
exp = me.Workspace(sys.argv[1]).Project("busy").Experiment("e")
for number in range(int(sys.argv[3])):
    with exp.Run({"n": number, "writer": sys.argv[2]}).start() as ctx:
        for step in range(5):
            ctx.metrics.log(step=step, loss=1 / (step + 1))
        ctx.set_result("n", number)
"""


def watched(tmp_path: Path, writers: int, each: int) -> None:
    """Let two clients look while processes write, and count what is there in the end."""
    ws = labs.ordinary(tmp_path / "lab", runs=2)
    newest = "/w/lab/runs?sort=-created_at"
    with client_of(ws) as first, client_of(me.Workspace.load(ws.url)) as second:
        before = [client.get(newest).headers["etag"] for client in (first, second)]
        children = [warm.Popen([sys.executable, "-c", WRITE, ws.url, str(one), str(each)]) for one in range(writers)]
        going = True
        while going:
            going = any(child.poll() is None for child in children)
            for client in (first, second):
                for address in ("/w/lab/", newest, "/w/lab/runs?q=project == 'busy'"):
                    answer = client.get(address)
                    assert answer.status_code == 200, (address, answer.text[:500])
        assert [child.wait(300) for child in children] == [0] * writers
        for client, etag in zip((first, second), before, strict=True):
            query = "project == 'busy' and status == 'succeeded'"
            found = client.get(f"/api/v1/workspaces/lab/runs?q={query}&limit=1000").json()
            assert len(found["runs"]) == writers * each
            assert client.get(newest, headers={"if-none-match": etag}).status_code == 200, "it is another page now"


def test_two_clients_look_while_others_write(tmp_path):
    watched(tmp_path, writers=3, each=4)


@pytest.mark.long
def test_two_clients_look_while_eight_processes_write(tmp_path):
    watched(tmp_path, writers=8, each=100)
