"""Get or create: the same definition finds the same entity; another one is a conflict that shows both."""

from __future__ import annotations

import pytest

import molexp as me


def counted(place):
    return {key: data for key, data in place.everything().items() if not key.startswith(".molexp/")}


# ------------------------------------------------------------------------------------------------------------- the same


def test_the_same_project_is_found_again(place, ws):
    first = ws.Project("metals")
    before = counted(place)

    assert ws.Project("metals") == place.load().Project("metals") == first
    assert counted(place) == before


def test_the_same_experiment_is_found_again(place, ws):
    first = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    before = counted(place)

    assert ws.Project("metals").Experiment("cu", params={"a": 3.6}) == first
    assert counted(place) == before


def test_the_same_run_is_found_again(place, exp):
    first = exp.Run({"b": 1}, id="one")
    before = counted(place)

    again = exp.Run({"b": 1}, id="one")

    assert again == first
    assert again.created_at == first.created_at
    assert set(counted(place)) == set(before)


def test_an_argument_that_is_not_given_has_no_opinion(ws):
    project = ws.Project("metals")
    project.Experiment("cu", params={"a": 3.6}).Run({"b": 1}, id="one", replica=2)

    experiment = project.Experiment("cu")
    run = experiment.Run(id="one")

    assert experiment.params == {"a": 3.6}
    assert run.parameters == {"a": 3.6, "b": 1}
    assert run.replica == 2


def test_an_empty_mapping_is_an_opinion(exp):
    exp.Run({"b": 1}, id="one")

    with pytest.raises(me.ConflictError):
        exp.Run({}, id="one")
    with pytest.raises(me.ConflictError):
        exp.project.Experiment("cu", params={})


@pytest.mark.parametrize(
    ("stored", "given"), [(1, 1.0), (0.0, -0.0), ({"x": 1, "y": 2}, {"y": 2, "x": 1}), ((1, 2), [1, 2])]
)
def test_values_that_mean_the_same_do_not_conflict(ws, stored, given):
    project = ws.Project("metals")
    project.Experiment("cu", params={"v": stored}).Run({"w": stored}, id="one")

    project.Experiment("cu", params={"v": given}).Run({"w": given}, id="one")


@pytest.mark.parametrize(
    ("stored", "given"), [(1, True), (0, False), (1, "1"), (2**53, 2**53 + 1), (None, 0), ([], {})]
)
def test_values_that_differ_do_conflict(ws, stored, given):
    project = ws.Project("metals")
    project.Experiment("cu", params={"v": stored})

    with pytest.raises(me.ConflictError):
        project.Experiment("cu", params={"v": given})


# ------------------------------------------------------------------------------------------------------------ conflicts


def test_a_conflict_of_experiments_shows_both_and_writes_nothing(place, ws):
    project = ws.Project("metals")
    project.Experiment("cu", params={"a": 3.6})
    before = place.everything()

    with pytest.raises(me.ConflictError, match=r"(?s)3\.6.*3\.7.*another name.*run parameter.*update=True") as caught:
        project.Experiment("cu", params={"a": 3.7})

    assert caught.value.name == "metals/cu"
    assert (caught.value.stored, caught.value.given) == ({"a": 3.6}, {"a": 3.7})
    assert place.everything() == before


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"parameters": {"b": 2}}, {"parameters": {"b": 1}}),
        ({"replica": 1}, {"replica": 0}),
        ({"overrides": {"solver.tol": 1e-9}}, {"config": {}}),
    ],
)
def test_a_conflict_of_runs_shows_both_and_writes_nothing(place, exp, given, stored):
    exp.Run({"b": 1}, id="one")
    before = place.everything()

    with pytest.raises(me.ConflictError, match="stored:") as caught:
        exp.Run(id="one", **given)

    assert caught.value.name == "metals/cu/one"
    assert caught.value.stored == stored
    assert place.everything() == before


def test_own_parameters_are_compared_not_merged_ones(exp):
    """The experiment's parameters and the run's are told apart, though both end up in `parameters`."""
    exp.Run(id="one")

    with pytest.raises(me.ConflictError):
        exp.Run({"a": 3.6}, id="one")


def test_space_and_replicas_are_recorded_never_compared(ws, place):
    project = ws.Project("metals")
    points = [{"a": 1}, {"a": 2}]
    project.Experiment("cu", params={"x": 1}, space=points, replicas=3)

    project.Experiment("cu", params={"x": 1}, space=[{"a": 9}], replicas=5)

    found = place.load().project("metals").experiment("cu")
    assert found.space == points
    assert found.replicas == 3


def test_a_space_that_runs_dry_is_not_used_up(ws):
    experiment = ws.Project("metals").Experiment("cu", space=({"a": n} for n in range(3)))

    assert [point["a"] for point in experiment.space] == [0, 1, 2]


def test_two_names_with_one_slug_are_one_project(ws):
    assert ws.Project("Transition Metals").id == ws.Project("transition-metals").id == "transition-metals"


# ----------------------------------------------------------------------------------------------------------- revisions


def test_update_makes_a_revision_and_old_runs_keep_what_they_resolved(place, ws):
    project = ws.Project("metals")
    old = project.Experiment("cu", params={"a": 3.6}).Run(id="old")

    experiment = project.Experiment("cu", params={"a": 3.7}, update=True)
    new = experiment.Run(id="new")

    assert experiment.revision == 2
    assert dict(old.parameters) == {"a": 3.6}
    assert dict(new.parameters) == {"a": 3.7}
    found = place.load().project("metals").experiment("cu")
    assert found.params == {"a": 3.7}
    assert found.run("old").parameters == {"a": 3.6}
    assert "projects/metals/experiments/cu/experiment.2.json" in place.record()
    assert place.document("projects/metals/experiments/cu/experiment.json")["params"] == {"a": 3.6}


def test_the_newest_revision_is_what_is_compared_with(ws):
    project = ws.Project("metals")
    project.Experiment("cu", params={"a": 3.6})
    project.Experiment("cu", params={"a": 3.7}, update=True)

    assert project.Experiment("cu", params={"a": 3.7}).revision == 2
    with pytest.raises(me.ConflictError):
        project.Experiment("cu", params={"a": 3.6})
    assert project.Experiment("cu", params={"a": 3.6}, update=True).revision == 3


def test_update_without_a_difference_makes_no_revision(place, ws):
    project = ws.Project("metals")
    project.Experiment("cu", params={"a": 3.6})
    before = counted(place)

    assert project.Experiment("cu", params={"a": 3.6}, update=True).revision == 1
    assert counted(place) == before


def test_update_on_something_new_creates_it(ws):
    assert ws.Project("metals").Experiment("cu", params={"a": 1}, update=True).revision == 1


def test_a_handle_keeps_the_revision_it_was_made_with(ws):
    project = ws.Project("metals")
    first = project.Experiment("cu", params={"a": 3.6})
    project.Experiment("cu", params={"a": 3.7}, update=True)

    assert first.Run(id="one").parameters == {"a": 3.6}


# ------------------------------------------------------------------------------------------------------------- look-ups


def test_looking_up_finds_and_never_creates(place, ws):
    exp = ws.Project("metals").Experiment("cu", params={"a": 3.6})
    exp.Run(id="one")
    before = counted(place)

    assert ws.project("metals").experiment("cu").run("one").parameters == {"a": 3.6}
    for look in (
        lambda: ws.project("gold"),
        lambda: ws.project("metals").experiment("ag"),
        lambda: exp.run("two"),
    ):
        with pytest.raises(me.NotFoundError):
            look()
    assert counted(place) == before


def test_what_is_not_found_is_told_with_the_nearest_names(ws):
    exp = ws.Project("metals").Experiment("copper")
    exp.Run(id="large")

    for look, nearest in (
        (lambda: ws.project("metal"), "metals"),
        (lambda: ws.project("metals").experiment("coper"), "copper"),
        (lambda: exp.run("lerge"), "large"),
        (lambda: ws.run("metals/copper/lerge"), "large"),
    ):
        with pytest.raises(me.NotFoundError, match="Did you mean") as caught:
            look()
        assert nearest in caught.value.nearest[0]


@pytest.mark.parametrize("id", ["..", "a/b", "x" * 300, "", "con"])
def test_looking_up_an_impossible_id_finds_nothing(ws, id):
    exp = ws.Project("metals").Experiment("cu")

    for look in (ws.project, ws.project("metals").experiment, exp.run):
        with pytest.raises(me.NotFoundError):
            look(id)


def test_not_found_is_a_lookup_error(ws):
    with pytest.raises(LookupError):
        ws.materialize().project("gold")


def test_collections_iterate_count_contain_and_look_up(ws):
    for name in ("metals", "alloys"):
        for experiment in ("cu", "ag"):
            ws.Project(name).Experiment(experiment).Run(id="one")
    metals = ws.project("metals")

    assert [project.id for project in ws.projects] == ["alloys", "metals"]
    assert [experiment.id for experiment in metals.experiments] == ["ag", "cu"]
    assert [run.path for run in metals.experiment("cu").runs] == ["metals/cu/one"]
    assert len(ws.projects) == len(metals.experiments) == 2
    assert "metals" in ws.projects
    assert metals in ws.projects
    assert "gold" not in ws.projects
    assert "cu" in metals.experiments
    assert "au" not in metals.experiments
    assert ws.projects["metals"] == metals
    with pytest.raises(me.NotFoundError):
        ws.projects["metal"]


def test_runs_are_a_sequence_that_knows_its_members(exp):
    runs = [exp.Run({"n": n}, id=f"r{n}") for n in range(3)]

    assert list(exp.runs) == runs
    assert len(exp.runs) == 3
    assert exp.runs[0] == runs[0]
    assert runs[1] in exp.runs
    assert "r1" in exp.runs
    assert "r9" not in exp.runs
    assert [row["parameters"]["n"] for row in exp.runs.to_dicts()] == [0, 1, 2]


def test_a_run_is_found_by_path_by_prefix_and_as_the_latest(ws):
    exp = ws.Project("metals").Experiment("cu")
    first, second = exp.Run(id="cu-large"), exp.Run(id="cu-small")
    other = ws.Project("metals").Experiment("ag").Run(id="ag-large")

    assert ws.run("metals/cu/cu-large") == first
    assert ws.run("cu-l") == first
    assert ws.run("metals/cu/cu-s") == second
    assert ws.run("@latest") == other
    assert ws.run("metals/cu/@latest") == second
    with pytest.raises(me.NotFoundError, match="cu-large"):
        ws.run("cu-")
    with pytest.raises(me.NotFoundError):
        ws.run("gold")


def test_foreign_folders_are_not_members(lab, lab_exp):
    (lab.folder / "projects" / "Not An Id").mkdir()
    (lab.folder / "projects" / "empty").mkdir()
    (lab.folder / "projects" / ".DS_Store").write_text("")

    assert [project.id for project in lab.load().projects] == ["metals"]


def test_a_run_whose_definition_is_lost_is_found_by_what_its_claim_repeats(exp):
    with exp.Run({"a": 2}, id="one").start():
        pass
    key = "projects/metals/experiments/cu/runs/one/run.json"
    exp._session.store.delete(key)

    assert exp.Run({"a": 2}, id="one").parameters == {"a": 2}
    with pytest.raises(me.ConflictError):
        exp.Run({"a": 3}, id="one")
    assert not exp._session.store.exists(key)
