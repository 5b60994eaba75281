"""Names are free text; ids are what every storage, shell and URL can take."""

from __future__ import annotations

import pytest

import molexp as me

BAD_IDS = {
    "dots": "..",
    "slash": "a/b",
    "backslash": "a\\b",
    "long": "x" * 300,
    "empty": "",
    "hidden": ".a",
    "trailing dot": "a.",
    "upper": "Cu",
    "blank": "a b",
    "device": "con",
    "device with suffix": "nul.txt",
    "accent": "é",
    "null": "a\0",
    "newline": "a\n",
    "dash": "-a",
}


def test_names_that_differ_have_ids_that_differ(ws):
    alpha, beta = ws.Project("α-quartz"), ws.Project("β-quartz")

    assert alpha.id != beta.id
    assert alpha.name == "α-quartz"
    assert {project.name for project in ws.projects} == {"α-quartz", "β-quartz"}


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("metals", "metals"),
        ("Cu 3.6 GGA", "cu-3.6-gga"),
        ("run_1", "run_1"),
        ("α-quartz", "quartz-a25ba257"),
    ],
)
def test_slugs_are_readable_and_never_change(ws, name, id):
    assert ws.Project(name).id == id


def test_one_name_in_two_unicode_forms_is_one_name(ws):
    assert ws.Project("cafe\u0301") == ws.Project("caf\u00e9")


@pytest.mark.parametrize(
    "name", ["con", "x" * 500, "..", "/etc/passwd", "水", "a\nb", "🧪", "<script>", "a" * 128 + "b"]
)
def test_any_text_is_a_name(place, ws, name):
    project = ws.Project(name)

    assert project.name == name
    assert ws.Project(name) == ws.project(project.id) == project
    assert len(project.id) <= 128
    assert place.load().project(project.id).name == name


@pytest.mark.parametrize("name", ["", "   ", None, 3, "\ud800"])
def test_what_is_no_text_is_no_name(ws, place, name):
    with pytest.raises(me.InvalidNameError):
        ws.Project(name)
    assert place.everything() == {}


@pytest.mark.parametrize("id", BAD_IDS.values(), ids=BAD_IDS)
def test_bad_ids_are_refused_with_what_is_allowed_and_nothing_is_written(place, ws, id):
    with pytest.raises(me.InvalidNameError, match="allowed are a-z"):
        ws.Project("metals", id=id)
    assert place.everything() == {}

    exp = ws.Project("metals").Experiment("cu")
    before = place.everything()
    with pytest.raises(me.InvalidNameError, match="allowed are a-z"):
        exp.project.Experiment("ag", id=id)
    if id != BAD_IDS["upper"]:  # which the id of a run may have
        with pytest.raises(me.InvalidNameError, match="allowed are a-z"):
            exp.Run(id=id)
    assert place.everything() == before


def test_bad_names_are_value_errors(ws):
    with pytest.raises(ValueError, match="cannot be used as project id"):
        ws.Project("metals", id="..")


def test_an_id_beside_a_name(ws):
    project = ws.Project("The metals, all of them", id="metals")

    assert (project.id, project.name) == ("metals", "The metals, all of them")
    assert ws.project("metals").name == "The metals, all of them"


def test_128_characters_are_an_id(exp):
    assert exp.Run(id="x" * 128).id == "x" * 128


# ------------------------------------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"lr": float("nan")}, r"parameters\.lr \(float\).*nan"),
        ({"opt": {"betas": [0.9, float("inf")]}}, r"parameters\.opt\.betas\[1\] \(float\)"),
        ({"f": print}, r"parameters\.f \(builtin_function_or_method\)"),
        ({1: 2}, r"keys of a recorded mapping are text"),
        ({"x": 1j}, r"parameters\.x \(complex\)"),
    ],
)
def test_parameters_that_json_cannot_carry_are_named_and_nothing_is_written(place, exp, bad, told):
    before = place.everything()

    with pytest.raises(me.SerializationError, match=told):
        exp.Run(bad)
    with pytest.raises(me.SerializationError, match=told):
        exp.derived_run(bad)
    with pytest.raises(me.SerializationError, match=told.replace("parameters", "params")):
        exp.project.Experiment("ag", params=bad)
    assert place.everything() == before


@pytest.mark.parametrize("bad", [[1, 2], "text", 3])
def test_parameters_are_a_mapping(place, exp, bad):
    before = place.everything()

    with pytest.raises((TypeError, ValueError)):
        exp.Run(bad)
    assert place.everything() == before


def test_a_negative_replica_is_refused(exp):
    with pytest.raises(ValueError, match="-1"):
        exp.Run(replica=-1)


@pytest.mark.parametrize("name", ["", "x" * 401, "é" * 201])
def test_a_name_that_no_table_has_a_place_for_is_refused_and_the_next_point_is_logged(exp, run, name):
    with run.start() as ctx:
        with pytest.raises(me.InvalidNameError, match=r"the name of a metric: it is (empty|longer than 400 bytes)"):
            ctx.metrics.log({"loss": 1, name: 2})
        ctx.metrics.log({"x" * 400: 3, "é" * 200: 4})
    with pytest.raises(me.InvalidNameError):
        exp.record_past_run({"a": 1}, status="succeeded", metrics=[{"loss": 1, name: 2}])

    assert set(run.metrics) == {"x" * 400, "é" * 200}
    assert [one.id for one in exp.runs] == [run.id]


def test_a_text_that_no_file_holds_is_named_and_the_name_stays_free(run):
    with run.start() as ctx:
        with pytest.raises(me.SerializationError, match=r"read\.txt \(str\).*its character 4 is a lone surrogate"):
            ctx.artifact.save("read.txt", "name\udcff")
        assert ctx.artifact.save("read.txt", "name").load() == "name"
