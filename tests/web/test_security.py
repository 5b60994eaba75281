"""Nobody gets an answer without the token, and an answer lets a browser do no harm."""

from __future__ import annotations

import pytest

from tests.metals import make_lab

TOKEN = "a long random text that nobody guesses"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return a workspace in which nothing is changed here."""
    return make_lab(tmp_path_factory.mktemp("shared") / "lab")


@pytest.fixture
def guarded(client):
    return client(token=TOKEN)


def test_without_the_token_there_is_no_answer(guarded):
    page = guarded.get("/w/lab/")
    assert page.status_code == 401
    assert "The token is missing" in page.text
    assert guarded.get("/api/v1/workspaces").json()["error"]["code"] == "no_token"
    assert guarded.get("/w/lab/?token=wrong").status_code == 401


def test_the_token_becomes_a_cookie_and_leaves_the_address(guarded):
    first = guarded.get("/w/lab/", params={"token": TOKEN, "q": "a b"})
    assert (first.status_code, first.headers["location"]) == (303, "/w/lab/?q=a+b")
    cookie = first.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert guarded.get("/w/lab/").status_code == 200


def test_a_redirect_never_leads_to_another_host(guarded):
    response = guarded.get("//evil.example/x", params={"token": TOKEN})
    assert not response.headers.get("location", "").startswith("//")


def test_a_program_sends_the_token_in_a_header(guarded):
    assert guarded.get("/api/v1/workspaces", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/api/v1/workspaces", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]", "localhost.", "a:b:c"]
)
def test_a_foreign_name_is_refused(client, host):
    assert client().get("/w/lab/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8000"])
def test_names_of_this_machine_are_known(client, host):
    assert client().get("/w/lab/", headers={"Host": host}).status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(client):
    for path in ("/w/lab/", "/nowhere", "/api/v1/workspaces", "/static/site.css", "/w/nowhere/"):
        headers = client().get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_a_proxy_may_serve_below_a_prefix_and_take_it_away_or_not(client):
    for asked in ("/molexp/w/lab/", "/w/lab/"):
        page = client(prefix="/molexp/", token=TOKEN, hosts=["lab.example.org"], base="https://lab.example.org").get(
            asked, headers={"Authorization": f"Bearer {TOKEN}"}
        )
        assert page.status_code == 200
        assert 'href="/molexp/static/site.css"' in page.text
        assert 'href="/molexp/w/lab/"' in page.text
    entered = client(prefix="/molexp", token=TOKEN).get("/molexp/", params={"token": TOKEN})
    assert entered.headers["location"] == "/molexp/"
    assert "Path=/molexp;" in entered.headers["set-cookie"]


def test_errors_are_pages_for_people_and_documents_for_programs(client):
    page = client().get("/w/nowhere/")
    assert page.status_code == 404
    assert "nowhere" in page.text
    assert page.headers["content-type"].startswith("text/html")
    error = client().get("/w/nowhere/", headers={"Accept": "application/json"}).json()["error"]
    assert set(error) == {"code", "message", "hint"}
    assert error["code"] == "not_found"


@pytest.mark.parametrize(
    "path",
    ["/static/../_plugin.py", "/static/..%2f_plugin.py", "/static/%2e%2e/%2e%2e/_plugin.py", "/static//etc/passwd"],
)
def test_nothing_outside_of_the_static_files_is_served(client, path):
    assert client().get(path).status_code == 404


def test_an_unchanged_page_is_not_sent_again(client):
    asking = client()
    first = asking.get("/w/lab/")
    again = asking.get("/w/lab/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_scripts_and_styles_are_compressed_and_sent_once(client):
    asking = client()
    first = asking.get("/static/vendor/uPlot-1.6.32.iife.min.js")
    assert first.headers["content-encoding"] == "gzip"
    assert first.text.startswith("/*! https://github.com/leeoniya/uPlot")
    again = asking.get("/static/vendor/uPlot-1.6.32.iife.min.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = asking.get("/static/vendor/uPlot-1.6.32.iife.min.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert (plain.headers["content-type"], plain.text) == (first.headers["content-type"], first.text)
    assert plain.headers["content-type"].startswith(("text/javascript", "application/javascript"))
    assert asking.get("/static/site.css").headers["content-encoding"] == "gzip"
    for path in ("/static/vendor/uPlot-1.6.32.iife.min.js", "/static/site.css", "/w/lab/"):
        refused = asking.get(path, headers={"Accept-Encoding": "br, GZIP; q=0.0"})
        assert "content-encoding" not in refused.headers
        assert "accept-encoding" in refused.headers["vary"].lower()
    assert asking.get(f"/static/{'a' * 5000}").status_code == 404


def test_changes_for_everybody_are_refused(client):
    with pytest.raises(ValueError, match="token"):
        client(changes=True)
