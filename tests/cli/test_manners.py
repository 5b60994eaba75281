"""Every command keeps to the same rules: help, exit codes, where things are printed, pipes, locales, speed."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from itertools import product

import pytest

import molexp_cli
from molexp_cli._main import app
from tests.cli.helpers import PROGRAM, program


@functools.cache
def commands():
    import typer

    def below(command, path):
        yield path, command
        for name, inner in getattr(command, "commands", {}).items():
            yield from below(inner, (*path, name))

    return list(below(typer.main.get_command(app), ()))


LEAVES = [path for path, command in commands() if not hasattr(command, "commands")]


def test_the_version_is_that_of_the_distribution(molexp):
    assert molexp("--version").out == f"molexp {molexp_cli.__version__}\n"


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_help_has_a_sentence_options_that_are_explained_and_examples(molexp, path):
    for option in ("--help", "-h"):
        done = molexp(*path, option)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Usage: {' '.join(('molexp', *path))} ")
    if path in LEAVES or path == ():
        examples = re.findall(r"^ {4}((?:\w+=\S+ )?molexp .*)$", done.out, re.MULTILINE)
        assert len(examples) >= 2, done.out
        if path:
            assert all(" ".join(path[:1]) in example for example in examples)


WITHOUT_JSON = {
    ("completion",),
    ("execute",),
    ("plugins", "new"),
    ("plugins", "install"),
    ("assets", "get"),
    ("assets", "add"),
}
"""Commands that execute or write something and have no answer to speak of."""


def test_every_command_answers_in_json():
    without = {
        path
        for path, command in commands()
        if path in LEAVES and "--json" not in {option for one in command.params for option in one.opts}
    }
    assert without <= WITHOUT_JSON


@pytest.mark.parametrize(
    ("path", "command"), commands(), ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_every_parameter_is_explained(path, command):
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{path}: {parameter.name}"


def test_without_a_command_there_is_help_and_a_usage_error(molexp):
    for arguments in ((), ("runs",), ("plugins",)):
        done = molexp(*arguments)
        assert (done.code, done.out) == (2, "")
        assert "Usage: molexp" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnus"], "No such command 'rnus'.\nhint: Did you mean 'runs'? Try 'molexp --help'.\n"),
        (["runs", "lits"], "Did you mean 'list'?"),
        (["runs", "list", "--jsn"], "No such option: --jsn\nhint: Did you mean '--json'?"),
        (["--versoin"], "Did you mean '--version'?"),
        (["show"], "Missing argument 'RUN'"),
        (["runs", "list", "--limit"], "--limit"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["erase", "X"], "No such command 'erase'.\n"),
    ],
)
def test_what_is_mistyped_is_answered_with_the_nearest_name_and_where_to_read(molexp, arguments, words):
    done = molexp(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "--help'." in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("delet", "delete"),
        ("dleete", "delete"),
        ("edlete", "delete"),
        ("deletes", "delete"),
        ("rnu", "run"),
        ("execut", "execute"),
        ("executor", ""),
        ("exclude", ""),
        ("remote", ""),
        ("return", ""),
        ("rerum", "rerun"),
        ("unsubmit", ""),
        ("resubmt", "resubmit"),
        ("storage", ""),
        ("linage", "lineage"),
        ("shwo", "show"),
    ],
)
def test_a_command_that_acts_is_suggested_for_a_slip_of_the_finger_only(molexp, typed, suggested):
    done = molexp(typed)
    named = (
        re.findall(r"'(\w+)'", done.err.partition("hint:")[2].partition("?")[0]) if "Did you mean" in done.err else []
    )
    acting = {"archive", "cancel", "delete", "exec", "execute", "gc", "import", "rerun", "restore", "resubmit", "run", "submit", "sync"}  # fmt: skip
    assert set(named) & acting <= {suggested}
    assert not suggested or suggested in named


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["status=failed"],
            "there is no field 'failed'.\n  status=failed\n         ^\nhint: If it is text, quote it: 'failed'.",
        ),
        (["--param", "a"], "Invalid value for --param: 'a' sets no parameter: write NAME=VALUE"),
    ],
)
def test_a_value_that_is_none_is_said_of_where_it_was_typed(in_lab, molexp, arguments, words):
    done = molexp("runs", "list", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_reader_that_goes_away_is_no_error_to_talk_about(in_lab, here):
    exp = in_lab.Project("p").Experiment("e")
    exp.runs.create_many({"n": n, "text": "x" * 1000} for n in range(300))
    for arguments, unbuffered in product(("runs list", "runs list --json"), ("", "1")):
        done = subprocess.run(
            ["bash", "-c", f"{PROGRAM} {arguments} | head -n 1; echo ${{PIPESTATUS[0]}}"],
            cwd=here, env={**os.environ, "PYTHONUNBUFFERED": unbuffered}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        assert done.stdout.splitlines()[-1] == "141"


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_every_locale_gets_utf_8(in_lab, here, locale):
    in_lab.Project("p").Experiment("e").Run({"α": "β-Quarz"}, id="one")
    env = {"LANG": locale, "LC_ALL": locale}
    for more in ({}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}):
        done = program(here, "runs", "list", env={**env, **more})
        assert (done.code, done.err) == (0, "")
        assert "α=β-Quarz" in done.out


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_in_every_locale_arguments_are_utf_8(in_lab, here, locale):
    env = {"LANG": locale, "LC_ALL": locale}
    executed = program(here, "exec", "p/e", "--id", "one", "--set", "größe=ü", "--", "echo", "ß", env=env)
    assert (executed.code, executed.out) == (0, "ß\n")
    assert in_lab.run("p/e/one").parameters == {"größe": "ü"}
    named = program(here, "show", "größe", env=env)
    assert named.code == 3
    assert "größe" in named.err


def test_a_traceback_is_shown_to_those_who_ask_for_it(here):
    for wanted, options, shown in (("", [], False), ("0", [], False), ("1", [], True), ("", ["--debug"], True)):
        done = program(here, *options, "runs", "list", env={"MOLEXP_DEBUG": wanted})
        assert done.code == 3
        assert ("Traceback" in done.err) is shown
        message, hint = done.err.splitlines()[-2:]
        assert message.startswith("molexp: No workspace is given")
        assert hint.startswith("hint: Name one with -w URL")
    tracked = program(here, "-w", "lab", "exec", "p/e", "--", "echo", "--debug", "--json")
    assert (tracked.code, tracked.out) == (0, "--debug --json\n")


@pytest.mark.parametrize(
    ("arguments", "code", "named", "message", "hint"),
    [
        (["runs", "list", "-p", "q"], 3, "not_found", "There is no project 'q' in ", ""),
        (["runs", "list", "stat == 1"], 2, "query", "The query cannot be understood: ", "Did you mean 'status'?"),
        (["runs", "list", "--jsn"], 2, "usage", "No such option: --jsn", "Did you mean '--json'? Try 'molexp runs list --help'."),
        (["runs", "list", "--status", "bad"], 2, "usage", "Unknown status 'bad'.", ""),
        (["-w", "labb", "runs", "list"], 3, "not_found", "There is no workspace ", "Did you mean 'lab'? "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("asked", [["--json"], ["--output", "json"], ["--output=jsonl"]], ids=" ".join)
def test_a_program_gets_an_error_as_json(in_lab, molexp, arguments, code, named, message, hint, asked):
    done = molexp(*arguments, *asked)
    assert (done.code, done.out) == (code, "")
    error = json.loads(done.err.splitlines()[-1])["error"]
    assert list(error) == ["code", "message", "hint"]
    assert error["code"] == named
    assert error["message"].startswith(message)
    assert error["hint"].startswith(hint)


def test_hints_are_commands_and_not_python(in_lab, molexp):
    run = in_lab.Project("p").Experiment("e").Run(id="one")
    with run.start():
        hint = molexp("delete", "one").err.splitlines()[-1]
    assert hint == "hint: Wait until it ends, or stop it: molexp cancel p/e/one"
    hint = molexp("-w", "lba", "show", "one").err.splitlines()[-1]
    assert hint == "hint: Did you mean 'lab'? `molexp init` makes one."


def test_a_workspace_below_the_current_folder_is_named(lab, molexp):
    (message, hint) = molexp("runs", "list").err.splitlines()
    assert message.startswith("molexp: No workspace is given")
    assert hint.startswith("hint: There is one in 'lab'. Name one with -w URL")


@pytest.mark.parametrize(
    "env",
    [
        {"MOLEXP_LEASE_TTL": "soon"},
        {"MOLEXP_DURABILITY": "perhaps"},
    ],
)
def test_an_environment_that_makes_no_sense_is_a_sentence(in_lab, here, env):
    done = program(here, "exec", "p/e", "--", "true", env=env)
    assert done.code == 2
    assert next(iter(env)) in done.err
    assert "Traceback" not in done.err


def test_our_own_mistakes_keep_their_traceback(molexp, monkeypatch, in_lab):
    import molexp as me

    def fails(*_arguments, **_options):
        raise AttributeError("a mistake")

    monkeypatch.setattr(me, "locate_workspace", fails)
    with pytest.raises(AttributeError, match="a mistake"):
        molexp("runs", "list")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_answer_that_cannot_be_written_is_a_failure(in_lab, here, unbuffered):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [PROGRAM, "runs", "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            cwd=here, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == 4
    assert json.loads(done.stderr)["error"] == {
        "code": "os",
        "message": "No space left on device: 'standard output'",
        "hint": "",
    }


def test_streams_that_are_closed_are_no_error(in_lab, here):
    done = subprocess.run(["bash", "-c", f"{PROGRAM} runs list >&- 2>&-"], cwd=here, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    ran = subprocess.run(
        ["bash", "-c", f"{PROGRAM} exec p/e --id one -- echo hello >&- 2>&-"],
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert in_lab.run("p/e/one").logs["stdout"].text() == "hello\n"


def imported_by(*arguments):
    script = (
        "import sys; from molexp_cli._main import run; code = run(sys.argv[1:]);"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    code, *modules = done.stderr.split()
    assert code == "0"
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["runs", "list", "--help"], ["exec", "--help"]])
def test_help_imports_neither_core_nor_rich(arguments):
    assert not imported_by(*arguments) & {
        "molexp",
        "rich",
        "asyncio",
        "pydantic",
        "importlib.metadata",
        "importlib.resources",
    }


def test_plain_answers_import_nothing_that_they_have_no_use_for(in_lab):
    in_lab.Project("p").Experiment("e").Run()
    assert len(in_lab.catalog.runs()) == 1  # so that there is an index
    others = {"csv", "gzip", "pickle", "random", "tempfile"}
    assert not imported_by("runs", "list") & {"rich", "asyncio", "pydantic", "molexp.workflow", *others}


def test_it_is_a_module_too(here):
    done = subprocess.run([sys.executable, "-m", "molexp_cli", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("molexp ")
