"""molexp report: one file for anybody with a browser, in which all of the record is data."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from molexp_cli._report.thinning import thin
from tests.cli.report_pages import addresses, hash_of, read_page

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\u2028{{data}}<!--"


def png(width: int, height: int) -> bytes:
    made = io.BytesIO()
    Image.effect_noise((width, height), 60).save(made, "PNG")
    return made.getvalue()


def save_file(ctx, name: str, data: bytes) -> None:
    path = Path(name)
    path.write_bytes(data)
    ctx.artifact.save(name, path)
    path.unlink()


@pytest.fixture
def filled(lab):
    """Three runs: one with curves and a picture, one that failed, one with a hostile note."""
    exp = lab.Project("metals").Experiment("cu", params={"basis": "SVP"})
    with exp.Run({"a": 3.5}, id="first").start() as ctx:
        for step in range(3000):
            ctx.metrics.log(step=step, loss=1.0 if step != 1234 else 9.0)
        ctx.metrics.log(step=3000, loss=math.nan)
        ctx.set_result("energy", -1.25)
        save_file(ctx, "curve.png", png(1000, 500))
        save_file(ctx, "plot.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="4"/></svg>')
        save_file(ctx, "bad.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
        save_file(ctx, "broken.png", b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(ZeroDivisionError), exp.Run({"a": 3.6}, id="second").start() as ctx:
        ctx.log("out").append(HOSTILE)
        raise ZeroDivisionError(HOSTILE)
    with exp.Run({"a": 3.7, "label": HOSTILE}, id="third").start() as ctx:
        ctx.set_result("energy", math.nan)
        ctx.metrics.log(step=0, **{HOSTILE[:40]: 1.0})
    lab.run("third").annotate(note=HOSTILE, tags=["<b>"])
    return lab


def test_a_report_is_one_file_with_all_that_matters_about_the_runs(filled, molexp):
    done = molexp("-w", "lab", "report")
    assert (done.code, done.out) == (0, "report.html\n")
    assert done.err.startswith("molexp: 3 runs, ")
    page = read_page("report.html")
    assert page.column("run") == ["metals/cu/third", "metals/cu/second", "metals/cu/first"], "the newest is first"
    assert page.column("status") == ["succeeded", "failed", "succeeded"]
    assert page.column("params.a") == [3.7, 3.6, 3.5]
    assert page.column("results.energy") == ["nan", None, -1.25]
    assert page.column("metrics.loss.max") == [None, None, 9.0]
    assert page.column("notes")[0] == HOSTILE
    found = page.document
    assert found["statuses"] == {"failed": 1, "succeeded": 2}
    [failure] = found["failures"]
    assert (failure["type"], failure["message"], failure["runs"]) == ("ZeroDivisionError", HOSTILE, [1])
    assert "in filled" in failure["frames"]
    assert found["origins"][0]["runs"] == [0, 1, 2]
    assert found["packages"][0]["msgspec"]


def test_curves_keep_their_extremes_and_gaps(filled, molexp):
    molexp("-w", "lab", "report")
    [(steps, values)] = read_page("report.html").curves("loss")
    assert len(steps) < 3000
    assert (steps[0], steps[-1], values[-1]) == (0, 3000, None)
    assert values[steps.index(1234)] == 9


def test_images_are_thumbnails_and_what_is_not_shown_is_named(filled, molexp):
    done = molexp("-w", "lab", "report", "--json")
    shown = {image["name"]: image["uri"] for image in read_page("report.html").document["images"]}
    assert {*shown} == {"curve.png", "plot.svg"}
    assert shown["curve.png"].startswith("data:image/webp;base64,")
    assert len(shown["curve.png"]) < len(png(1000, 500)) / 4
    assert sorted(done.json()["left_out"]) == [
        "1 image, because they are drawings with scripts, or none",
        "1 image, because they are no images that can be read",
    ]
    assert read_page("report.html").document["left_out"] == done.json()["left_out"]
    assert done.json()["bytes"] == Path("report.html").stat().st_size


def test_nothing_but_its_own_script_can_be_executed_and_no_address_is_asked(filled, molexp):
    molexp("-w", "lab", "report")
    page = read_page("report.html")
    assert [tag for tag, _ in page.tags if tag in ("script", "img", "link", "iframe", "base")] == ["script", "script"]
    [(_, style), (_, _), (_, script)] = page.texts
    directives = {words[0]: words[1:] for words in map(str.split, page.policy.split(";"))}
    assert directives == {
        "default-src": ["'none'"],
        "script-src": [hash_of(script)],
        "style-src": [hash_of(style)],
        "img-src": ["data:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    assert addresses(page) == []
    assert not [word for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(") if word in script]


def test_the_same_record_makes_the_same_bytes_but_for_the_time(filled, molexp, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    molexp("-w", "lab", "report", "-o", "one.html")
    molexp("-w", "lab", "report", "-o", "two.html")
    assert Path("one.html").read_bytes() == Path("two.html").read_bytes()
    assert read_page("one.html").document["made"]["at"] == "2026-01-01T00:00:00Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    refused = molexp("-w", "lab", "report", "-o", "three.html")
    assert (refused.code, Path("three.html").exists()) == (2, False)
    assert "SOURCE_DATE_EPOCH" in refused.err


def test_a_size_is_kept_to_and_what_is_left_out_is_said(lab, molexp):
    exp = lab.Project("metals").Experiment("cu")
    for number in range(40):
        with exp.Run({"n": number, "text": os.urandom(100).hex()}, id=f"r{number}").start() as ctx:
            for step in range(60):
                ctx.metrics.log(step=step, **{f"m{at}": math.sin(step * at + number) for at in range(12)})
    done = molexp("-w", "lab", "report", "--size", "0.2", "--json")
    assert done.json()["bytes"] <= 200_000
    [left_out] = done.json()["left_out"]
    assert left_out.startswith("the curves of ")
    assert left_out.endswith(" of 12 metrics")
    assert molexp("-w", "lab", "report", "--limit", "7", "--json").json()["left_out"] == ["33 of 40 runs, the oldest"]
    assert read_page("report.html").document["count"] == 7


def test_a_report_replaces_a_report_and_nothing_else(filled, molexp):
    Path("mine.html").write_text("<p>mine")
    refused = molexp("-w", "lab", "report", "-o", "mine.html")
    assert (refused.code, Path("mine.html").read_text()) == (4, "<p>mine")
    assert refused.err == "molexp: 'mine.html' exists already; add --overwrite to replace it.\n"
    assert molexp("-w", "lab", "report", "-o", "mine.html", "--overwrite").code == 0
    assert molexp("-w", "lab", "report", "params.a < 0", "-o", "mine.html").code == 0
    assert read_page("mine.html").document["count"] == 0
    missing = molexp("-w", "lab", "report", "-o", "nowhere/report.html")
    assert (missing.code, missing.err) == (4, "molexp: There is no such folder: 'nowhere'\n")
    assert molexp("-w", "lab", "report", "-o", "lab").code == 2
    assert sorted(path.name for path in Path().iterdir()) == ["lab", "mine.html"], "nothing half-written is left"


def test_archived_runs_are_left_out_unless_they_are_asked_for(filled, molexp):
    filled.run("third").archive()
    done = molexp("-w", "lab", "report", "status == 'succeeded'", "--json")
    assert (done.json()["runs"], done.json()["left_out"][0]) == (1, "1 archived run")
    assert molexp("-w", "lab", "report", "--archived", "--json").json()["runs"] == 3


VALUES = st.one_of(st.floats(), st.sampled_from([1.79765e308, -1.7e308, 5e-324, math.inf, 0.0]), st.integers())


@given(st.lists(VALUES, min_size=1, max_size=90), st.integers(4, 30))
def test_a_thinned_curve_has_the_ends_and_the_extremes_of_the_whole(values, points):
    steps, kept = thin(range(len(values)), values, points)
    assert len(kept) <= max(points * 2, 6)
    assert {steps[0], steps[-1]} == {0, len(values) - 1}
    assert steps == sorted(set(steps))
    finite = [float(one) for one in values if math.isfinite(one)]
    shown = [one for one in kept if one is not None]
    for extreme in (min, max):
        if finite:
            assert math.isclose(extreme(shown), extreme(finite), rel_tol=1e-4)
    assert (None in kept) == (len(finite) < len(values))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1.0))
def test_small_differences_of_large_values_are_kept(base, width):
    values = [base + width * part / 8 for part in range(9)]
    _, kept = thin(range(9), values, 100)
    assert all(
        math.isclose(a or 0, b, abs_tol=max(width / 500, abs(base) * 1e-15)) for a, b in zip(kept, values, strict=True)
    )
