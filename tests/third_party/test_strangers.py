"""Distributions of strangers, of each sort, in one environment: they are used from outside, as their users do."""

from __future__ import annotations

import json
import shutil
from textwrap import dedent

import pytest

from tests.cli.helpers import eventually
from tests.third_party import tutorial
from tests.third_party.environments import Environment, build, make, needs_uv
from tests.third_party.tutorial import TUTORIAL

pytestmark = needs_uv

HOW_TO = TUTORIAL.parents[1] / "how-to" / "write-a-plugin.md"
NEW = {
    "molexp-spectrum": "kind",
    "molexp-peaks": "command",
    "molexp-tidy": "scheme",
    "molexp-threads": "executor",
    "molexp-detached": "queue",
}
"""The distributions that begin with `molexp plugins new`; the files that the pages have for them replace the examples."""

STORE = "sqlite://study.db"
STUDY = """
import molexp as me
from molexp.workflow import TaskContext, WorkflowBuilder
from molexp_lab.kinds import Geometry
from molexp_spectrum.kinds import Spectrum

wf = WorkflowBuilder(name="stretch")

@wf.task(executor="threads")
def stretch(ctx: TaskContext) -> float:
    ctx.save("start", Geometry(("H", "H"), ((0.0, 0.0, 0.0), (0.0, 0.0, ctx.params["d"]))))
    ctx.spectrum.save("measured", Spectrum((500.0, 1000 * ctx.params["d"]), (0.1, 0.5)))
    ctx.set_result("doubled", 2 * ctx.params["d"])

ws = me.Workspace("sqlite://study.db")
ws.configure(run_id_scheme="tidy-1")
wf.build().bind_to(ws.Project("h2").Experiment("stretch", space=me.grid(d=[0.5, 0.75])))
me.entry(ws)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with all of them, in which a study was run."""
    made = make(tmp_path_factory.mktemp("strangers"))
    for name, sort in NEW.items():
        assert made.run("molexp", "plugins", "new", sort, name).code == 0
    pages = {**tutorial.files(TUTORIAL), **tutorial.files(HOW_TO)}
    for path, text in pages.items():
        place = made.home / (path if path.split("/")[0] in NEW else f"molexp-lab/{path}")
        if "/" in path or path == "pyproject.toml":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    (made.home / "molexp-lab/src/molexp_lab/__init__.py").touch()
    (made.home / "use_it.py").write_text(pages["use_it.py"])
    (made.home / "study.py").write_text(dedent(STUDY))
    made.install(*build(made.home.parent / "wheels", *(made.home / name for name in (*NEW, "molexp-lab"))))
    (made.home / "molcfg.yaml").write_text("profiles: {later: {executor: detached, scheduler: {folder: engine}}}")
    answer(made, "submit", "study.py", "-p", "later", "-j", "2")
    eventually(lambda: not json.loads(answer(made, "-w", STORE, "queue", "--json")))
    answer(made, "sync", STORE, "copy")
    return made


def answer(environment: Environment, *words: str) -> str:
    """Return what ``molexp`` prints."""
    done = environment.run("molexp", *words)
    assert done.code == 0, done.err
    return done.out


def test_a_study_is_run_by_a_strangers_queue_and_executor_under_a_strangers_ids_into_a_strangers_store(environment):
    runs = json.loads(answer(environment, "-w", STORE, "runs", "list", "--json"))
    assert [(run["status"], run["results"]) for run in runs] == [
        ("succeeded", {"doubled": 1.0}),
        ("succeeded", {"doubled": 1.5}),
    ]
    assert all(run["id"].startswith("stretch-") for run in runs)
    assert (environment.home / "study.db").stat().st_size > 0


def test_a_second_call_runs_nothing_again(environment):
    assert answer(environment, "run", "study.py") == "2 skipped\n"


def test_assets_are_listed_and_found_by_the_fields_of_strangers(environment):
    listed = answer(environment, "-w", STORE, "assets", "list", "formula == 'H2'", "--kind", "geometry")
    assert [line.split()[-2:] for line in listed.splitlines()] == [["N_ATOMS", "FORMULA"], ["2", "H2"], ["2", "H2"]]


def test_a_copy_on_files_says_the_same(environment):
    listed = [json.loads(answer(environment, "-w", where, "assets", "list", "--json")) for where in (STORE, "copy")]
    assert listed[0] == listed[1]
    assert {asset["kind"] for asset in listed[0]} >= {"geometry", "spectrum"}
    assert answer(environment, "-w", "copy", "fsck")


def test_a_script_of_the_page_works(environment):
    done = environment.run("python", "use_it.py")
    assert done.code == 0, done.err


def test_a_strangers_command_column_and_renderer_are_those_of_molexp(environment):
    (listed,) = answer(environment, "peaks", "600", "-w", STORE).splitlines()
    assert listed.startswith("750 nm  h2/stretch/stretch-")
    listed = answer(
        environment, "-w", STORE, "assets", "list", "--kind", "spectrum", "--sort", "peak", "--column", "colour"
    )
    assert [line.split()[-3] for line in listed.splitlines()] == ["COLOUR", "blue", "red"]
    shown = answer(environment, "-w", STORE, "assets", "show", "@latest:measured")
    assert f"  500.0 {8 * '#'}\n" in shown
    assert "List the peaks of all spectra." in answer(environment, "peaks", "--help")


def test_each_is_named_with_what_it_provides_and_nothing_is_wrong_with_any(environment):
    plugins = json.loads(answer(environment, "plugins", "list", "--json"))["plugins"]
    assert [one["cause"] for one in plugins] == [""] * len(plugins)
    provided = {one["distribution"]: one["provides"] for one in plugins}
    assert {name: provided[name] for name in (*NEW, "molexp-lab")} == {
        "molexp-spectrum": {"asset kind": ["spectrum"]},
        "molexp-peaks": {"command": ["peaks"], "column": ["assets.colour"], "renderer": ["spectrum"]},
        "molexp-tidy": {"run-id scheme": ["tidy-1"]},
        "molexp-threads": {"executor": ["threads"]},
        "molexp-detached": {"queue": ["detached"]},
        "molexp-lab": {"asset kind": ["geometry"], "storage backend": ["sqlite"]},
    }


@pytest.mark.soak
def test_the_tests_of_the_page_pass(environment):
    """The conformance kits of a kind and a store, and a test of a command."""
    folders = ("molexp-lab/tests", "molexp-peaks/tests/test_commands.py")
    done = environment.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *folders)
    assert done.code == 0, done.out


@pytest.mark.long
def test_the_types_of_the_command_are_right(environment):
    done = environment.run("sh", "-c", "cd molexp-peaks && python -m mypy")
    assert done.code == 0, done.out


# ------------------------------------------------------------------------------------------- two strangers, and one name

SEE = """
import warnings
warnings.simplefilter("ignore")
import molexp as me
ws = me.Workspace.load("copy")
for asset in ws.catalog.assets(kind="spectrum", sort="peak"):
    problem = " ".join(getattr(asset, "problem", "").split())
    print(type(asset).__name__, asset.to_dict()["fields"]["peak"], asset.read_bytes(), problem)
"""


@pytest.fixture(scope="module")
def contended(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment where a second stranger has the kind of the first, and a third has one of MolExp's names."""
    made = make(tmp_path_factory.mktemp("contended"))
    for name, kind in RIVALS.items():
        answer(made, "plugins", "new", "kind", name)
        package = name.replace("-", "_")
        for module in ("plugin", "kinds"):
            file = made.home / name / "src" / package / f"{module}.py"
            file.write_text(file.read_text().replace(f'"{package}"', f'"{kind}"'))
    theirs = build(made.home.parent / "wheels", *(made.home / name for name in RIVALS))
    first = next((environment.home.parent / "wheels").glob("molexp_spectrum-*.whl"))
    made.install(first, *theirs)
    shutil.copytree(environment.home / "copy", made.home / "copy")
    return made


RIVALS = {"rival": "spectrum", "usurper": "artifact"}


def test_all_who_contend_for_a_name_are_named_and_who_claims_one_of_molexp_is_alone(contended):
    done = contended.run("molexp", "plugins", "check", "--json")
    causes = {one["distribution"]: one["cause"] for one in json.loads(done.out)["plugins"]}
    assert done.code == 1
    assert causes["rival"] == causes["molexp-spectrum"]
    assert "spectrum (molexp-spectrum 0.1.0) as molexp_spectrum.kinds.SpectrumKind" in causes["rival"]
    assert "rival (rival 0.1.0) as rival.kinds.RivalKind; neither is used" in causes["rival"]
    assert causes["usurper"] == "the asset kind 'artifact' is that of molexp-core; it needs another name"
    assert causes["molexp-core"] == causes["molexp-fs"] == ""


def test_what_was_recorded_before_two_contended_for_it_stays_readable(contended):
    seen = contended.run("python", "-c", SEE).out.splitlines()
    assert [line.split(" its kind")[0] for line in seen] == [
        "UnknownAsset 500.0 b'500.0,0.1\\n500.0,0.5\\n'",
        "UnknownAsset 750.0 b'500.0,0.1\\n750.0,0.5\\n'",
    ]
    assert all("rival (rival 0.1.0)" in line and "spectrum (molexp-spectrum 0.1.0)" in line for line in seen)
    alone = contended.run("python", "-c", SEE, env={"MOLEXP_DISABLE_PLUGINS": "rival"}).out.splitlines()
    assert [line.split(" ")[0] for line in alone] == ["Asset", "Asset"]


def test_commands_work_among_them_and_the_name_of_molexp_means_what_it_meant(contended):
    listed = contended.run("molexp", "-w", "copy", "assets", "list", "peak > 600", "--kind", "spectrum")
    assert (listed.code, len(listed.lines())) == (0, 2)
    assert "neither is used" in listed.err
    done = contended.run(
        "molexp", "-w", "copy", "exec", "h2/more", "--output", "*.txt", "--", "sh", "-c", "echo a > a.txt"
    )
    assert done.code == 0, done.err
    assert "a.txt" in answer(contended, "-w", "copy", "assets", "list", "--kind", "artifact")
