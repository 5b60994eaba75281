"""The page "Track a Run", on which this project was founded, promise by promise.

Its snippets, in ``page.py``, are executed as they stand there, with the indentation that the page lost. What they leave open is filled
in around them: ``spec`` is a workflow that was built, ``wf`` a builder with a task ``fetch``, and the file that is
promoted lies in the test's folder rather than in ``/tmp``. Every other sentence that promises something is one test.
"""

from __future__ import annotations

import json
import re

import pytest

import molexp as me
from molexp.workflow import Workflow, WorkflowBuilder, bindings
from tests.cli.helpers import program
from tests.examples.running import run_example
from tests.founding.page import BINDING, PROMOTING, SCRIPT, fresh_process, invoke, script, tracked


class TestThePersistentHierarchy:
    def test_the_workflow_layer_alone_describes_a_computation_and_keeps_no_record(self, spec, here):
        result = spec.execute_sync()
        assert result.outputs["train"] == {"loss": 0.05, "dataset": None}
        assert list(here.iterdir()) == []

    def test_state_is_kept_as_workspace_project_experiment_run(self, page, spec, here):
        run = tracked(page["exp"], spec, id="first")
        lab = here / "lab"
        assert (lab / "workspace.json").is_file()
        assert (lab / "projects" / "qm9" / "project.json").is_file()
        experiment = lab / "projects" / "qm9" / "experiments" / "baseline"
        assert list(experiment.glob("experiment*.json"))
        assert (experiment / "runs" / "first" / "run.json").is_file()
        assert run.path == "qm9/baseline/first"
        assert me.Workspace.load(lab).run(run.path) == run

    def test_the_workspace_is_the_root_directory(self, page, spec, here):
        tracked(page["exp"], spec)
        assert [path.name for path in here.iterdir()] == ["lab"]

    def test_a_project_groups_related_work(self, page):
        page["project"].Experiment("ablation")
        page["ws"].Project("md17").Experiment("baseline")
        assert sorted(e.id for e in page["ws"].project("qm9").experiments) == ["ablation", "baseline"]
        assert [e.id for e in page["ws"].project("md17").experiments] == ["baseline"]

    def test_an_experiment_is_the_repeatable_definition_of_one_workflow_and_one_parameter_set(self, page, spec):
        exp = page["exp"]
        assert dict(exp.params) == {"lr": 1e-3}
        assert Workflow.for_experiment(exp) is spec
        with pytest.raises(me.ConflictError):
            page["project"].Experiment("baseline", params={"lr": 1e-2})

    def test_a_run_is_a_concrete_execution_under_that_definition(self, exp, spec):
        run = tracked(exp, spec)
        assert run.experiment == exp
        assert run.parameters == {"lr": 1e-3}
        assert [attempt["status"] for attempt in run.execution_history] == ["succeeded"]

    def test_an_experiment_is_not_a_run_it_says_what_repeats_and_runs_what_happened_this_time(self, exp, spec):
        before = exp.revision, dict(exp.params)
        first, second = tracked(exp, spec), tracked(exp, spec)
        assert first.id != second.id
        assert len(exp.runs) == 2
        assert first.execution_history[0]["started_at"] < second.execution_history[0]["started_at"]
        assert (exp.revision, dict(exp.params)) == before


class TestBindingAWorkflow:
    def test_the_snippet_binds_a_workflow_to_an_experiment(self, page, spec):
        assert page["Workflow"].for_experiment(page["exp"]) is spec
        assert page["exp"].workflow_source == "train.py"

    def test_set_workflow_lives_in_molexp_workflow_bindings(self, exp, spec):
        spec.unbind_from(exp)
        bindings.set_workflow(exp, spec)
        assert Workflow.for_experiment(exp) is spec

    def test_the_registry_is_keyed_by_the_experiment_so_another_handle_of_it_finds_the_same(self, page, spec):
        again = me.Workspace("./lab").project("qm9").experiment("baseline")
        assert again is not page["exp"]
        assert again.id == page["exp"].id
        assert Workflow.for_experiment(again) is spec

    def test_an_experiment_of_the_same_id_elsewhere_has_a_workflow_of_its_own(self, page):
        namesake = page["ws"].Project("md17").Experiment("baseline")
        with pytest.raises(me.UnboundExperimentError):
            Workflow.for_experiment(namesake)

    def test_the_registry_is_local_to_the_process(self, page):
        said = fresh_process("""
            import molexp as me
            from molexp.workflow import Workflow
            exp = me.Workspace("./lab").project("qm9").experiment("baseline")
            try:
                Workflow.for_experiment(exp)
            except me.UnboundExperimentError as error:
                print(error.experiment)
        """)
        assert said == "qm9/baseline\n"

    def test_the_command_line_retrieves_it_later(self, here):
        script(here)
        (row,) = invoke(here)
        assert row.results["final_loss"] == 0.05

    def test_an_experiment_has_no_set_workflow_any_more(self, exp):
        assert not hasattr(exp, "set_workflow")

    def test_the_workspace_layer_carries_no_workflow_shaped_types(self):
        said = fresh_process("""
            import sys
            import molexp as me
            exp = me.Workspace("./lab").Project("p").Experiment("e", params={"a": 1}, workflow_source="train.py")
            with exp.Run(id="r").start() as ctx:
                ctx.set_result("x", 1)
            print([name for name in sys.modules if name.removeprefix("molexp.").lstrip("_").startswith("workflow")])
        """)
        assert said == "[]\n"


class TestMaterialisation:
    def test_opening_a_workspace_is_light_and_writes_nothing(self, here):
        me.Workspace("./lab")
        assert list(here.iterdir()) == []

    def test_materialize_makes_the_workspace_explicitly(self, here):
        ws = me.Workspace("./lab")
        ws.materialize()
        assert json.loads((here / "lab" / "workspace.json").read_text())["type"] == "workspace"

    def test_the_first_child_makes_it_implicitly_and_calling_project_is_enough(self, here):
        me.Workspace("./lab").Project("qm9")
        assert (here / "lab" / "workspace.json").is_file()
        assert (here / "lab" / "projects" / "qm9" / "project.json").is_file()


class TestCreatingAStableRun:
    def test_an_explicit_id_makes_the_run_directory_stable_and_easy_to_find(self, exp, spec, here):
        run = tracked(exp, spec, parameters={"seed": 7}, id="seed-7")
        folder = here / "lab" / "projects" / "qm9" / "experiments" / "baseline" / "runs" / "seed-7"
        assert json.loads((folder / "run.json").read_text())["id"] == "seed-7"
        assert exp.Run(parameters={"seed": 7}, id="seed-7") == run
        assert len(exp.runs) == 1

    def test_without_an_id_there_is_a_fresh_identity_each_time(self, exp):
        runs = [exp.Run() for _ in range(3)]
        assert len({run.id for run in runs}) == 3
        assert sorted(run.id for run in runs) == [run.id for run in runs]  # and they sort by time

    def test_the_command_line_derives_ids_instead_and_repeating_it_finds_the_same_run(self, here):
        script(here)
        (first,) = invoke(here)
        done = program(here, "run", "train.py")
        assert done.code == 0
        assert "skipped" in done.out
        (second,) = invoke(here)
        assert second.id == first.id
        assert len(second.execution_history) == 1

    def test_the_derived_id_is_deterministic_the_same_in_another_workspace(self, here):
        script(here)
        (first,) = invoke(here)
        (here / "lab").rename(here / "old")
        (second,) = invoke(here)
        assert second.id == first.id

    def test_the_id_follows_from_the_resolved_parameters(self, here):
        script(here, space='space=[{"seed": 1}, {"seed": 2}],')
        rows = invoke(here)
        exp = me.Workspace("./lab").project("qm9").experiment("baseline")
        assert {row.id for row in rows} == {exp.derived_id({"seed": 1}), exp.derived_id({"seed": 2})}
        assert exp.derived_id({"seed": 1, "lr": 0.001}) in {row.id for row in rows}  # resolved: nothing differs
        assert exp.derived_id({"seed": 1, "lr": 0.01}) not in {row.id for row in rows}

    def test_the_id_follows_from_the_replica_index(self, here):
        script(here, space="replicas=3,")
        rows = invoke(here)
        assert sorted(row.document["replica"] for row in rows) == [0, 1, 2]
        exp = me.Workspace("./lab").project("qm9").experiment("baseline")
        assert {row.id for row in rows} == {exp.derived_id(replica=index) for index in range(3)}
        assert len({row.id for row in rows}) == 3

    def test_the_id_follows_from_the_active_profile(self, here):
        profiles = "defaults: {device: cpu}\nprofiles:\n  plain:\n  gpu: {device: cuda}\n"
        script(here, profiles=profiles)
        (plain,) = invoke(here)
        (same,) = invoke(here, "--profile", "plain")  # it resolves to the same
        assert same.id == plain.id
        assert len(invoke(here, "--profile", "gpu")) == 2
        assert len(invoke(here, "--profile", "gpu")) == 2
        rows = invoke(here, "--override", "device=tpu")
        assert sorted(row.document["config"]["device"] for row in rows) == ["cpu", "cuda", "tpu"]

    def test_where_a_run_is_executed_does_not_change_its_id(self, here):
        script(here, space="replicas=2,")
        first = invoke(here)
        again = invoke(here, "--executor", "process")
        assert [row.id for row in again] == [row.id for row in first]
        assert [len(row.execution_history) for row in again] == [1, 1]
        (here / "lab").rename(here / "old")
        elsewhere = invoke(here, "--executor", "process", "-j", "2")
        assert [row.id for row in elsewhere] == [row.id for row in first]
        assert [row.results["final_loss"] for row in elsewhere] == [0.05, 0.05]

    def test_python_finds_the_run_that_the_command_line_made(self, here):
        script(here)
        (row,) = invoke(here)
        exp = me.Workspace("./lab").project("qm9").experiment("baseline")
        assert exp.derived_run().id == row.id
        assert len(exp.runs) == 1


class TestRecording:
    def test_under_a_run_the_snippets_helpers_are_backed_by_the_workspace(self, exp, spec):
        run = exp.Run(id="first")
        result = spec.execute_sync(run=run)
        assert result.outputs["train"] == {"loss": 0.05, "dataset": None}
        assert result.run == run

    def test_set_result_stores_structured_values_on_the_run_record(self, exp, spec, here):
        run = tracked(exp, spec, id="first")
        assert run.results["final_loss"] == 0.05
        saved = here / "lab/projects/qm9/experiments/baseline/runs/first/run.json"
        assert json.loads(saved.read_text())["results"] == {"final_loss": 0.05}

    def test_artifact_save_writes_a_file_under_the_runs_artifact_directory(self, exp, spec, here):
        tracked(exp, spec, id="first")
        artifact = here / "lab/projects/qm9/experiments/baseline/runs/first/artifacts/metrics.json"
        assert json.loads(artifact.read_text()) == {"loss": 0.05}

    def test_artifact_save_registers_an_artifact_asset_in_the_catalog(self, page, spec):
        run = tracked(page["exp"], spec)
        (asset,) = page["ws"].catalog.assets(kind="artifact")
        assert isinstance(asset, me.ArtifactAsset)
        assert asset.name == "metrics.json"
        assert [found.id for found in page["ws"].catalog.assets(producer=run, kind="artifact")] == [asset.id]
        assert asset.load() == {"loss": 0.05}

    def test_log_returns_a_bound_handle_that_appends_lines_to_its_file(self, exp, here):
        run = exp.Run(id="first")
        with run.start() as ctx:
            log = ctx.log("train")
            log.append("loss=0.05")
            log.append("loss=0.04")
            assert ctx.log("train") is log
        text = (here / "lab/projects/qm9/experiments/baseline/runs/first/logs/train.log").read_text()
        assert text == "loss=0.05\nloss=0.04\n"

    def test_the_snippet_appends_its_line_to_logs_train_log(self, exp, spec, here):
        tracked(exp, spec, id="first")
        text = (here / "lab/projects/qm9/experiments/baseline/runs/first/logs/train.log").read_text()
        assert text == "loss=0.05\n"

    def test_from_the_command_line_the_same_is_recorded(self, here):
        script(here)
        (row,) = invoke(here)
        folder = here / "lab/projects/qm9/experiments/baseline/runs" / row.id
        assert json.loads((folder / "run.json").read_text())["results"] == {"final_loss": 0.05}
        assert json.loads((folder / "artifacts" / "metrics.json").read_text()) == {"loss": 0.05}
        assert (folder / "logs" / "train.log").read_text() == "loss=0.05\n"

    def test_find_asset_walks_from_run_to_experiment_to_project_to_workspace(self, page, here):
        ws, project, exp = page["ws"], page["project"], page["exp"]

        def found() -> str | None:
            with exp.Run().start() as ctx:
                asset = ctx.find_asset("training-data")
                return None if asset is None else asset.path.read_text()

        assert found() is None
        for owner, text in ((ws, "workspace"), (project, "project"), (exp, "experiment")):
            source = here / f"{text}.txt"
            source.write_text(text)
            owner.data_assets.import_asset("training-data", source, action="copy")
            assert found() == text  # the nearest wins
        with exp.Run().start() as ctx:
            ctx.artifact.save("training-data", "run")
            assert ctx.find_asset("training-data").path.read_text() == "run"

    def test_task_code_asks_for_named_resources_without_a_path_on_one_disk(self, page, spec, here):
        source = here / "qm9.csv"
        source.write_text("1,2\n")
        page["ws"].data_assets.import_asset("training-data", source, action="copy")
        source.unlink()
        result = spec.execute_sync(run=page["exp"].Run())
        assert result.outputs["train"]["dataset"].read_text() == "1,2\n"


class TestPromoting:
    @pytest.fixture
    def promoted(self, exp, here):
        source = here / "features.parquet"
        source.write_bytes(b"PAR1")
        run = exp.Run(id="features")
        exec(PROMOTING.replace("/tmp/features.parquet", str(source)), {"run": run})
        return exp, run, source

    def test_a_file_that_a_run_produced_is_promoted_into_the_experiments_library(self, promoted):
        exp, run, source = promoted
        assert run.status == "succeeded"
        assert not source.exists()
        asset = exp.data_assets["feature-cache"]
        assert asset.read_bytes() == b"PAR1"
        assert asset.producer.run == run.path

    def test_it_becomes_a_data_asset_that_later_runs_find_by_name(self, promoted):
        exp, _, _ = promoted
        with exp.Run(id="later").start() as ctx:
            found = ctx.find_asset("feature-cache")
        assert isinstance(found, me.DataAsset)
        assert found.read_bytes() == b"PAR1"

    def test_the_full_set_of_kinds_is_indexed_by_the_workspace_catalog(self, page, promoted, here):
        wf = WorkflowBuilder(name="breaking")

        @wf.task
        def breaks(ctx):
            ctx.artifact.save("a.json", {"a": 1})
            ctx.log("work").append("about to fail")
            ctx.checkpoint.save("state", {"step": 1})
            raise ValueError("on purpose")

        run = page["exp"].Run(id="breaking")
        assert wf.build().execute_sync(run=run).status == "failed"
        of_run = {asset.kind: type(asset) for asset in page["ws"].catalog.assets(producer=run)}
        assert of_run == {
            "artifact": me.ArtifactAsset,
            "log": me.LogAsset,
            "checkpoint": me.CheckpointAsset,
            "error_trace": me.ErrorTraceAsset,
            "execution_state": me.ExecutionStateAsset,
        }
        (data,) = page["ws"].catalog.assets(kind="data")
        assert isinstance(data, me.DataAsset)


class TestWhyThisLayerMatters:
    def test_without_the_workspace_layer_a_run_of_the_workflow_is_one_process_execution(self, spec, here):
        for _ in range(2):
            result = spec.execute_sync()
            assert (result.run, result.executed) == (None, ("fetch", "train"))
        with pytest.raises(TypeError, match="resume"):
            spec.execute_sync(resume=True)
        assert list(here.iterdir()) == []

    def test_with_it_the_run_is_a_durable_record_that_another_process_reads(self, here):
        script(here, profiles="defaults: {device: cpu}\nprofiles:\n  gpu: {device: cuda}\n")
        (row,) = invoke(here, "--profile", "gpu")
        (here / "cache.bin").write_bytes(b"1")
        exp = me.Workspace("./lab").project("qm9").experiment("baseline")
        exp.data_assets.import_asset("feature-cache", here / "cache.bin", action="move")
        said = json.loads(
            fresh_process(f"""
            import json, molexp as me
            run = me.Workspace.load("./lab").run({row.path!r})
            print(json.dumps({{
                "parameters": dict(run.parameters),
                "profile": [run.profile, dict(run.config)],
                "history": [attempt["status"] for attempt in run.execution_history],
                "artifact": run.asset("metrics.json").load(),
                "reusable": type(run.asset("feature-cache")).__name__,
            }}))
        """)
        )
        assert said == {
            "parameters": {"lr": 0.001},
            "profile": ["gpu", {"device": "cuda"}],
            "history": ["succeeded"],
            "artifact": {"loss": 0.05},
            "reusable": "DataAsset",
        }

    def test_a_rerun_is_a_further_attempt_and_the_first_stays(self, exp, spec):
        run = tracked(exp, spec, id="first")
        spec.execute_sync(run=run)
        assert [attempt["attempt"] for attempt in run.execution_history] == [1, 2]
        (first, second) = [asset for asset in run.assets if asset.kind == "artifact"]
        assert (first.load(), second.load()) == ({"loss": 0.05}, {"loss": 0.05})

    def test_the_command_line_discovers_and_drives_that_same_workspace(self, here):
        script(here)
        exec(BINDING.replace("spec.bind_to(exp)", ""), {})  # Python made it; the command line goes on with it
        (row,) = invoke(here)
        listed = program(here / "lab" / "projects", "runs", "list", "--json")
        assert [found["path"] for found in listed.json()] == [row.path]

    def test_a_script_without_me_entry_is_told_what_to_add(self, here):
        (here / "train.py").write_text(SCRIPT)
        done = program(here, "run", "train.py")
        assert done.code not in (0, 1)
        assert "me.entry(ws)" in done.err
        assert "Traceback" not in done.err


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    return folder, run_example("getting_started/03_tracked_run.py", cwd=folder)


class TestRunnableExample:
    def test_it_executes_a_tracked_run_and_prints_the_layout_on_disk(self, said):
        folder, printed = said
        runs = [row for row in me.Workspace.load(folder / "lab").catalog.runs() if row.status == "succeeded"]
        assert runs
        for name in ("workspace.json", "projects/", "experiments/", "runs/", "run.json", "artifacts/", "logs/"):
            assert name in printed
        assert runs[0].id in printed

    def test_it_prints_the_fields_of_the_saved_run_json(self, said):
        folder, printed = said
        saved = [json.loads(path.read_text()) for path in (folder / "lab").rglob("run.json")]
        told = set(re.findall(r"^ *(\w+): ", printed, re.MULTILINE))
        assert any(document.keys() <= told for document in saved)
