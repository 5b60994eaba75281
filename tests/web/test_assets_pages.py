"""Files and their lineage: lists by kind and query, previews, panels of plugins, and bytes that execute nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from urllib.parse import quote

import pytest

import molexp as me
from molexp.plugins import PluginWarning
from tests.web.test_run_page import HOSTILE, Page, open_page

__all__ = ["open_page"]

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def files(lab: me.Workspace) -> me.Run:
    """Return a run with files of all sorts, of which another run used one."""
    run = lab.project("metals").experiment("cu").Run(id="files")
    with run.start() as ctx:
        ctx.artifact.save("scan.csv", "distance,energy\n1.0,-2\n1.5,-3\n")
        ctx.artifact.save("plot.png", PNG)
        ctx.artifact.save("settings.json", {"cutoff": 520, "name": HOSTILE})
        ctx.artifact.save("page.html", f"<h1>{HOSTILE}</h1>")
        ctx.artifact.save("drawing.svg", f"<svg xmlns='http://www.w3.org/2000/svg'>{HOSTILE}</svg>")
        ctx.artifact.save("cell.xyz", "1\n\nCu 0 0 0\n")
        ctx.artifact.save("raw.bin", b"\0\1\2")
        ctx.artifact.save("odd & 50%.txt", "odd")
    with lab.project("metals").experiment("cu").Run(id="user").start() as ctx:
        ctx.set_result("size", len(run.asset("scan.csv").read_bytes()))
        ctx.artifact.save("summary.txt", "done")
    return run


def address(run: me.Run, name: str, page: str = "assets") -> str:
    return f"/w/lab/{page}/{quote(run.asset(name).id, safe='')}"


def content(run: me.Run, name: str) -> str:
    return f"/api/v1/workspaces/lab/assets/{quote(run.asset(name).id, safe='')}/bytes"


def test_files_are_listed_by_query_and_by_kind_with_the_fields_of_the_kind(open_page, files):
    page = open_page('/w/lab/assets?q=name like "%25.csv"')
    assert "scan.csv" in page.text
    assert "plot.png" not in page.text
    page = open_page("/w/lab/assets?kind=artifact&sort=-size")
    assert page.text.index("scan.csv") < page.text.index("raw.bin")
    assert "from file" in page.text
    assert [head for head in page.of("th") if head.get("aria-sort") == "descending"]


def test_a_query_that_cannot_be_understood_is_shown_with_the_list_of_kinds(open_page, files):
    page = open_page("/w/lab/assets?q=size >")
    assert "size >" in page.text
    assert "artifact" in page.text


def test_long_lists_have_pages(lab, open_page):
    with lab.project("metals").experiment("cu").Run(id="many").start() as ctx:
        for number in range(60):
            ctx.artifact.save(f"part-{number:02d}.txt", "x")
    query = 'q=name like "part-%25"'
    first = open_page(f"/w/lab/assets?{query}")
    (following,) = [link["href"] for link in first.of("a", rel="next")]
    second = open_page(following)
    assert ("part-49.txt" in first.text, "part-50.txt" in first.text) == (True, False)
    assert ("part-59.txt" in second.text, "part-49.txt" in second.text) == (True, False)
    assert not second.of("a", rel="next")


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("scan.csv", ["distance", "1.5", "-3"]),
        ("settings.json", ['"cutoff": 520', HOSTILE]),
        ("page.html", [f"<h1>{HOSTILE}</h1>"]),
        ("raw.bin", ["Nothing shows files of its kind"]),
        ("odd & 50%.txt", ["odd"]),
    ],
)
def test_a_file_is_shown_by_what_it_is(open_page, files, name, texts):
    page = open_page(address(files, name))
    for text in texts:
        assert text in page.text
    assert all(script.get("src", "").startswith("/static/") for script in page.of("script"))


def test_images_are_images_and_atoms_have_a_place_in_which_they_are_drawn(open_page, files):
    for name in ("plot.png", "drawing.svg"):
        assert open_page(address(files, name)).of("img", src=content(files, name))
    page = open_page(address(files, "cell.xyz"))
    (atoms,) = [one for one in page.of("div") if "data-atoms" in one]
    assert atoms["data-format"] == "xyz"
    assert [one for one in page.of("script") if one.get("data-library", "").endswith(".js")]
    assert not [one for one in open_page(address(files, "scan.csv")).of("script") if "data-library" in one]


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "raw.bin", "plot.png"])
def test_bytes_of_files_execute_nothing(client, files, name):
    answer = client().get(content(files, name))
    assert answer.content == files.asset(name).read_bytes()
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client().get(content(files, name), headers={"if-none-match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("id", ["..%2F..%2Fetc%2Fpasswd", "metals%2Fcu%2Ffiles%231:artifact:none@1", "x"])
def test_a_file_that_is_not_there_is_an_error_in_words(client, files, id):
    for page in ("assets", "lineage"):
        assert client().get(f"/w/lab/{page}/{id}").status_code in (400, 404)


def test_a_file_names_its_maker_and_its_users(open_page, files):
    page = open_page(address(files, "scan.csv"))
    links = [link.get("href", "") for link in page.of("a")]
    assert "/w/lab/runs/metals/cu/files" in links
    assert "/w/lab/runs/metals/cu/user" in links


def test_lineage_is_a_graph_up_and_down_of_so_many_steps(open_page, files):
    page = open_page(address(files, "scan.csv", "lineage") + "?steps=1")
    assert [
        one.startswith(f"run metals/cu/{name}") for one, name in zip(titles(page), ("files", "", "user"), strict=True)
    ] == [True, False, True]
    assert "summary.txt" not in page.text
    (further,) = [link["href"] for link in page.of("a") if "steps=2" in link.get("href", "")]
    assert "summary.txt" in open_page(further).text
    assert "scan.csv" in open_page("/w/lab/lineage/metals%2Fcu%2Fuser").text


def titles(page: Page) -> list[str]:
    return [link["aria-label"] for link in page.of("a") if link.get("aria-label", "").startswith(("run ", "asset "))]


PLUGINS = {
    "good": f"""
from molexp.contracts import Declared
from molexp_web.panels import Panel, hookimpl

@hookimpl
def molexp_web_register_panels():
    return [Declared("artifact", "lab_good:panel")]

@hookimpl
def molexp_web_register_pages():
    return [Declared("spectra", "lab_good:page")]

def panel(asset):
    return Panel(title=f"Peaks of {{asset.name}}", columns=["height"], rows=[[7]], png={PNG!r}, note={HOSTILE!r})

def page(workspace, query):
    return [Panel(text=f"{{len(workspace.catalog.runs())}} runs, {{query['of']}}", html="<b>bold</b>")]
""",
    "broken": f"""
from molexp.contracts import Declared
from molexp_web.panels import hookimpl

@hookimpl
def molexp_web_register_panels():
    return [Declared("artifact", "lab_broken:panel")]

def panel(asset):
    raise RuntimeError("no {HOSTILE}")
""",
    "worse": "raise SystemExit('enough')",
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install three plugins: one that works, one whose panel raises, and one that cannot be imported."""
    place = tmp_path / "site"
    info = place / "lab_pages-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-pages\nVersion: 1.0\n")
    lines = [f"{name} = lab_{name}" for name in PLUGINS]
    (info / "entry_points.txt").write_text("\n".join(["[molexp_web.plugins]", *lines, ""]))
    for name, text in PLUGINS.items():
        (place / f"lab_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(place))


def test_plugins_show_panels_and_pages_and_a_broken_one_is_named_once(client, files, plugins):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        browser = client()
        for _ in range(2):
            page = Page(browser.get(address(files, "raw.bin")).text)
            for text in ("Peaks of raw.bin", HOSTILE, f"RuntimeError: no {HOSTILE}", "enough"):
                assert text in page.text
        (image,) = [one for one in page.of("img") if "/part?" in one["src"]]
        assert browser.get(image["src"]).content == PNG
        assert "sandbox" in browser.get(image["src"]).headers["content-security-policy"]
        page = Page(browser.get("/w/lab/pages/spectra?of=copper").text)
        assert "runs, copper" in page.text
        (frame,) = page.of("iframe")
        assert frame["sandbox"] == ""
        assert browser.get(frame["src"]).text == "<b>bold</b>"
        assert "spectra" in browser.get("/w/lab/assets").text
        assert browser.get("/w/lab/pages/none").status_code == 404
    ours = sorted(str(one.message) for one in told if one.category is PluginWarning)
    assert ["broken" in one for one in ours] == [True, False]
    assert ["worse" in one for one in ours] == [False, True]


def test_tables_and_structures_of_science_are_shown(lab, client, open_page):
    pandas, ase = pytest.importorskip("pandas"), pytest.importorskip("ase")
    run = lab.project("metals").experiment("cu").Run(id="science")
    with run.start() as ctx:
        ctx.table.save("energies", pandas.DataFrame({"label": [HOSTILE, "b"], "energy": [1.5, 2.5]}))
        ctx.structure.save("cell", ase.Atoms("Cu2", [[0, 0, 0], [0, 0, 2.5]]))
        with ctx.trajectory.growing("md") as frames:
            for distance in (2.4, 2.5):
                frames.append(ase.Atoms("Cu2", [[0, 0, 0], [0, 0, distance]]))
    page = open_page(address(run, "energies"))
    assert HOSTILE in page.text
    assert "2.5" in page.text
    for name, count in (("cell", 1), ("md", 2)):
        (atoms,) = [one for one in open_page(address(run, name)).of("div") if "data-atoms" in one]
        text = client().get(atoms["data-atoms"]).text
        assert [line for line in text.splitlines() if line.strip() == "2"] == ["2"] * count
