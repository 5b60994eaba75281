"""``molexp plot``: results against parameters and metrics over steps, as drawings, pictures and points."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import sys
from pathlib import Path

import pytest

from tests.cli.helpers import Terminal


@pytest.fixture
def sweep(in_lab):
    """Two functionals at three distances, with two seeds each; a run without a result, and one whose result is NaN."""
    experiment = in_lab.Project("metals").Experiment("cu")
    for xc, best in (("LDA", 3.5), ("PBE", 3.6)):
        for a in (3.4, 3.5, 3.6):
            for seed in (0, 1):
                with experiment.Run({"a": a, "xc": xc, "seed": seed}).start() as ctx:
                    ctx.set_result("energy", (a - best) ** 2 + seed)
                    ctx.set_result("name", xc)
    experiment.Run({"a": 9.9, "xc": "PBE"})
    with experiment.Run({"a": 8.8, "xc": "PBE"}).start() as ctx:
        ctx.set_result("energy", math.nan)
    return experiment


@pytest.fixture
def training(in_lab):
    """Curves of two learning rates, with two seeds each."""
    experiment = in_lab.Project("digits").Experiment("mlp")
    for lr in (0.1, 0.2):
        for seed in (0, 1):
            with experiment.Run({"lr": lr, "seed": seed}, id=f"lr{lr}-{seed}").start() as ctx:
                for step in range(4):
                    ctx.metrics.log(step=step, loss=lr * step + seed)
    return experiment


def points(text):
    return [*csv.DictReader(io.StringIO(text))]


# ------------------------------------------------------------------------------------------------------ value against value


def test_runs_at_one_place_become_their_mean_and_spread(sweep, molexp):
    done = molexp("plot", "results.energy", "params.a", "--by", "xc", "--json")
    found = {(point["params.xc"], point["params.a"]): point for point in done.json()}
    assert [*found] == [(xc, a) for xc in ("LDA", "PBE") for a in (3.4, 3.5, 3.6)]
    one = found["LDA", 3.5]
    assert (one["results.energy"], one["min"], one["max"], one["runs"]) == (0.5, 0.0, 1.0, 2)
    assert one["std"] == pytest.approx(math.sqrt(0.5))
    assert done.err == (
        "molexp: Mean of up to 2 runs; a bar is one standard deviation to either side.\n"
        "molexp: Left out: 1 run with no results.energy, 1 run with no finite results.energy.\n"
    )


def test_parameters_that_are_mixed_up_are_named(sweep, molexp):
    assert "They differ in params.xc, too: --by NAME draws" in molexp("plot", "energy", "a").err


def test_every_run_is_there_if_you_ask_for_it(sweep, molexp):
    found = points(molexp("plot", "energy", "a", "--each", "--output", "csv").out)
    assert len(found) == 12
    assert {one["run"] for one in found} == {row.path for row in sweep.runs if row.results.get("energy", 9) < 9}
    assert [*found[0]] == ["params.a", "results.energy", "run"]


def test_text_makes_categories_and_numbers_an_axis(sweep, molexp):
    drawn = molexp("plot", "energy", "xc", "--by", "a").lines()
    assert drawn[0] == "results.energy"
    assert drawn[1] == "● a=3.4   ■ a=3.5   ▲ a=3.6"
    assert drawn[-2].split() == ["LDA", "PBE"]
    assert molexp("plot", "energy", "a").lines()[-2].split() == ["3.40", "3.45", "3.50", "3.55", "3.60"]
    assert [one["params.xc"] for one in molexp("plot", "energy", "xc", "--json").json()] == ["LDA", "PBE"]


def test_only_runs_that_match_are_drawn(sweep, training, molexp):
    found = molexp("plot", "energy", "a", "--where", 'params.xc == "LDA" and params.a > 3.45', "--json").json()
    assert [one["params.a"] for one in found] == [3.5, 3.6]
    assert molexp("plot", "energy", "a", "-e", "digits/mlp").code == 2


def test_the_only_parameter_that_differs_need_not_be_named(in_lab, sweep, molexp):
    experiment = in_lab.Project("p").Experiment("one")
    for a in (2, 1):
        with experiment.Run({"a": a, "fixed": 1}).start() as ctx:
            ctx.set_result("only", a * 10)
    found = molexp("plot", "only", "--json").json()
    assert [(one["params.a"], one["results.only"]) for one in found] == [(1, 10), (2, 20)]
    several = molexp("plot", "energy")
    assert (several.code, several.err) == (
        2,
        "molexp: Name what to draw results.energy against, after it: params.a, params.xc.\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["enrgy", "a"],
            "No run has the column 'enrgy'. Did you mean 'results.energy'?\nThere are metrics.loss, params.a, ",
        ),
        (["energy", "aaa"], "No run has the column 'aaa'.\nThere are metrics.loss, params.a, "),
        (["los", "@latest"], "No run has the column 'los'. Did you mean 'metrics.loss'?\nThere are metrics.loss, "),
        (["metrics.acc", "@latest"], "No run has the column 'metrics.acc'"),
        (["name", "a"], "There is nothing to draw of 'name'.\nLeft out: 12 runs with text as results.name, which"),
        (["energy", "a", "--where", "params.a > 99"], "No run of 18 has params.a > 99.\nmolexp: There is no run"),
        (["loss", "metals/cu"], "No run that you name has the metric 'loss'.\nNo run that you name has any metric."),
        (["loss", "nosuch"], "There is no run 'nosuch'"),
        (["energy", "a", "-o", "x.gif"], "Invalid value for -o: 'x.gif' does not end in .png, .svg, .pdf or .html."),
        (["energy", "a", "-o", "no/x.png"], "Invalid value for -o: There is no folder 'no'."),
        (["energy", "a", "-o", "x.png", "--json"], "-o writes a picture, and --output json prints the points"),
        (["loss", "--smooth", "1"], "Invalid value for '--smooth': 1.0 is not in the range 0.0<=x<=0.9999."),
    ],
)
def test_what_cannot_be_drawn_is_said_with_what_there_is(sweep, training, molexp, words, message):
    done = molexp("plot", *words)
    assert done.code in (2, 3)
    assert done.out == ""
    assert message in done.err


def test_no_run_is_no_traceback(in_lab, molexp):
    done = molexp("plot", "results.energy", "params.a")
    assert (done.code, done.out) == (2, "")
    assert "There are no runs in" in done.err


def test_values_of_any_size_and_type_are_drawn_or_counted(in_lab, molexp):
    experiment = in_lab.Project("p").Experiment("odd")
    for number, value in enumerate([1e308, -1e308, 1e308, 10**400, math.inf, [1, 2], True, 0]):
        with experiment.Run({"n": number % 2, "list": [number], "none": None}).start() as ctx:
            ctx.set_result("v", value)
    done = molexp("plot", "v", "n")
    assert done.code == 0
    assert "Left out: 2 runs with no finite results.v, 1 run with a list as results.v." in done.err.replace(
        "1 run", "1 run"
    )
    assert molexp("plot", "v", "list").lines()[-2].split() == ["[0]", "[1]", "[2]", "[6]", "[7]"]
    assert "6 runs with no params.none" not in molexp("plot", "v", "n", "--each").err
    assert molexp("plot", "v", "n", "--logy").code == 0


# ------------------------------------------------------------------------------------------------------- metrics over steps


def test_runs_that_differ_in_a_seed_are_one_curve(training, molexp):
    done = molexp("plot", "loss", "digits/mlp", "--output", "csv")
    found = points(done.out)
    assert [(one["params.lr"], one["step"]) for one in found] == [
        (lr, str(step)) for lr in ("0.1", "0.2") for step in range(4)
    ]
    assert [float(one["loss"]) for one in found[:2]] == pytest.approx([0.5, 0.6])
    assert {one["runs"] for one in found} == {"2"}
    assert done.err == "molexp: Mean of up to 2 runs at each step, and one standard deviation to either side.\n"
    drawn = molexp("plot", "metrics.loss", "--where", "params.lr < 9").lines()
    assert drawn[:2] == ["loss", "● lr=0.1   ■ lr=0.2"]
    assert (drawn[-1].strip(), drawn[-2].split()) == ("step", ["0", "1", "2", "3"])


def test_you_choose_what_makes_a_curve(training, molexp):
    assert molexp("plot", "loss", "--by", "seed").lines()[1] == "● seed=0   ■ seed=1"
    assert "● lr0.1-0 lr=0.1   ■ lr0.1-1 lr=0.1" in molexp("plot", "loss", "--each").lines()[1]
    each = molexp("plot", "loss", "lr0.2-1", "lr0.1-0", "--json").json()
    assert [(one["run"][-7:], one["step"], one["loss"]) for one in each[:2]] == [
        ("lr0.1-0", 0, 0.0),
        ("lr0.1-0", 1, 0.1),
    ]
    assert len(each) == 8


def test_attempts_are_joined(in_lab, molexp):
    run = in_lab.Project("p").Experiment("e").Run({}, id="resumed")
    for steps, offset in ((range(4), 0), (range(2, 6), 10)):
        with run.start() as ctx:
            for step in steps:
                ctx.metrics.log(step=step, loss=step + offset)
    found = molexp("plot", "loss", "resumed", "--json").json()
    assert [one["loss"] for one in found] == [0.0, 1.0, 12.0, 13.0, 14.0, 15.0]


def test_smoothing_keeps_what_it_smooths(training, molexp):
    found = molexp("plot", "loss", "lr0.1-0", "--smooth", "0.5", "--json").json()
    assert [one["loss"] for one in found] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [one["smoothed"] for one in found] == pytest.approx([0, 0.1 / 1.5, 0.1 * 5 / 3.5, 0.1 * 17 / 7.5])

    mean = molexp("plot", "loss", "digits/mlp", "--smooth", "0.5", "--json")
    assert mean.err == "molexp: Mean of up to 2 runs at each step, smoothed.\n"
    assert [(one["loss"], one["smoothed"]) for one in mean.json()[:1]] == [(0.5, 0.5)]


def test_what_is_no_number_and_what_has_no_logarithm_is_counted(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run({}, id="odd").start() as ctx:
        for step, value in enumerate([1.0, math.nan, "text", -1.0, 0, 100]):
            ctx.metrics.log(step=step, loss=value)
    done = molexp("plot", "loss", "odd", "--logy", "--logx", "--json")
    assert [(one["step"], one["loss"]) for one in done.json()] == [(5, 100.0)]
    assert done.err == (
        "molexp: Left out: 1 point with no finite loss, 1 point with text as loss, which is no number, 3 points with a "
        "value of 0 or less, which a logarithmic axis has no place for.\n"
    )
    assert "●" in molexp("plot", "loss", "odd", "--logy", "--logx").out  # a single point


def test_a_peak_among_many_points_is_in_the_drawing(in_lab, molexp):
    with in_lab.Project("p").Experiment("e").Run({}, id="long").start() as ctx:
        for step in range(20_000):
            ctx.metrics.log(step=step, loss=7.0 if step == 12_345 else math.sin(step / 1000))
    lines = molexp("plot", "loss", "long").lines()
    edge = lines[2].index("│")
    peak = [len(line[edge + 1 :].rstrip()) for line in lines[2:6]]
    assert set(peak[1:]) == {int(12_345 / 20_000 * (80 - edge - 1)) + 1}


# ----------------------------------------------------------------------------------------------------------------- pictures


def test_pictures_are_what_their_names_say(in_lab, sweep, training, here, molexp):
    for name, begins in (("e.png", b"\x89PNG"), ("e.pdf", b"%PDF"), ("e.svg", b"<?xml")):
        done = molexp("plot", "energy", "a", "--by", "xc", "-o", name)
        assert (done.code, done.out, done.err.splitlines()[-1]) == (0, "", f"molexp: Wrote {name}")
        assert Path(name).read_bytes().startswith(begins)
    assert molexp("plot", "loss", "--smooth", "0.5", "--logy", "--each", "-o", "e.png").code == 0
    for number, value in enumerate((1e308, -1e308)):
        with in_lab.Project("p").Experiment("vast").Run({"n": number}).start() as ctx:
            ctx.set_result("vast", value)
    vast = molexp("plot", "vast", "n", "-o", "vast.png")
    assert (vast.code, "matplotlib cannot draw values from -1e+308 to 1e+308: " in vast.err) == (2, True)
    Path("folder.svg").mkdir()
    assert molexp("plot", "loss", "-o", "folder.svg").code == 4
    assert sorted(path.name for path in here.iterdir()) == ["e.pdf", "e.png", "e.svg", "folder.svg", "lab"]


def test_without_matplotlib_you_are_told_how_to_get_it(training, molexp, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = molexp("plot", "loss", "-o", "loss.png")
    assert (done.code, done.err.splitlines()[-1]) == (
        2,
        "molexp: Pictures are drawn by matplotlib. Install it: pip install matplotlib",
    )
    assert not Path("loss.png").exists()
    assert molexp("plot", "loss").code == 0


def test_a_page_has_the_picture_and_the_points_and_needs_nothing_else(in_lab, molexp):
    experiment = in_lab.Project("p").Experiment("e")
    for n, text in enumerate(["<script>alert(1)</script>", "$\\alpha$ & _x", "_c"]):
        with experiment.Run({"t": text, "_g": n % 2}).start() as ctx:
            ctx.set_result("v<b>", n)
    words = ["plot", "v<b>", "t", "--by", "_g"]
    assert molexp(*words, "-o", "e.html").code == 0
    page = Path("e.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<svg" in page
    assert re.findall(r"<script|<b>|src=|@import|url\((?!#)", page) == []
    assert {link.partition(":")[0] for link in re.findall(r'(?<!:)href="([^#"]+)', page)} == {"data"}
    data = re.search(r"base64,([^\"]+)\" *>?", page.partition("text/csv;")[2])
    assert data is not None
    assert base64.b64decode(data[1]).decode() == molexp(*words, "--output", "csv").out
    assert json.loads(molexp(*words, "--json").out)[1]["params.t"] in ("_c", "<script>alert(1)</script>")


def test_a_terminal_that_has_no_dots_gets_letters(training, here):
    terminal = Terminal(here, "plot", "loss", columns=40, env={"PYTHONIOENCODING": "ascii"})
    assert terminal.end() == 0
    assert terminal.text.isascii()
    assert "\x1b[36mo \x1b[0mlr=0.1   \x1b[33mx \x1b[0mlr=0.2" in terminal.text
