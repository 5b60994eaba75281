"""Secrets, recognised by name or shape, are not on record; what only resembles one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molexp._provenance.secrets import (
    LEFT_OUT,
    arguments_without_secrets,
    is_secret_name,
    patch_without_secrets,
    remote_without_secrets,
    without_secrets,
)
from tests.record.test_git import git, pytestmark, repository

__all__ = ["pytestmark"]

SECRET = "hunter2-and-more"
TOKENS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "glpat-" + "a1" * 10,
    "hf_" + "aB" * 17,
    "sk-proj-" + "a1B2" * 8,
    "xoxb-123456789012-abcdef",
    "AIza" + "a1B2c" * 7,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
]


@pytest.mark.parametrize(
    "words",
    [
        [f"--password={SECRET}"],
        ["--password", SECRET],
        ["-password", SECRET],
        [f"--db.api_key={SECRET}"],
        [f"+wandb.api_key={SECRET}"],
        ["--api-key", SECRET],
        ["--hf-token", SECRET],
        ["--clientSecret", SECRET],
        [f"FOO_TOKEN={SECRET}"],
        [f"AWS_SECRET_ACCESS_KEY={SECRET}"],
        [f"MYSQL_PWD={SECRET}"],
        ["-H", f"Authorization: Bearer {SECRET}"],
        [f'{{"password": "{SECRET}"}}'],
        [f"https://me:{SECRET}@host/x"],
        [f"https://{SECRET}@host/x"],
        [f"https://me:a@{SECRET}@host/x"],
        [f"https://host/x?a=1&private_token={SECRET}&b=2"],
        [f"me:{SECRET}@host:path"],
        *([token] for token in TOKENS),
    ],
    ids=str,
)
def test_a_secret_is_left_out_of_a_command_line(words):
    shown = arguments_without_secrets(["train.py", *words, "--lr", "0.1"])

    assert not any(SECRET in word or word in TOKENS for word in shown)
    assert any(LEFT_OUT in word for word in shown)
    assert shown[0] == "train.py"
    assert shown[-2:] == ["--lr", "0.1"]


@pytest.mark.parametrize(
    "line",
    [
        "--tokenizer bert --max-tokens 512 --key-frames 3 --token 7",
        "--eos-token </s> --pad_token <pad> --mask-token=[MASK] --num-token 4096",
        "--sort-key name --primary-key=id --monkey banana --secretary Ann",
        "--password-file /run/x --token-path=/run/y --token --verbose --use-token true",
        "s3://bucket/lab@2 metals:data:reference@3 image:tag@sha256:0123456789abcdef git@github.com:o/r.git",
        "a=3.6 cell.a=[1,2] https://host/x?page=2&sort=key skeleton-key sk-learn-estimators-and-pipelines",
        "0123456789abcdef0123456789abcdef01234567 C:\\data\\x @latest --opt",
    ],
)
def test_what_only_resembles_one_stays(line):
    assert arguments_without_secrets(line.split(" ")) == line.split(" ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://u:p@{SECRET}@host/x.git", "https://host/x.git"),
        (f"https://{SECRET}@host/x.git", "https://host/x.git"),
        (f"https://host/x.git?private_token={SECRET}", f"https://host/x.git?private_token={LEFT_OUT}"),
        (f"user:{SECRET}@host:path", "host:path"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git"),
        ("/srv/git/x@y", "/srv/git/x@y"),
    ],
)
def test_a_remote_says_nothing_of_who_may_use_it(url, shown):
    assert remote_without_secrets(url) == shown


def test_a_patch_has_no_secrets(tmp_path):
    folder = repository(tmp_path / "r", **{".env": "A=1\n", "key.pem": "x\n", ".env.example": "A=\n"})
    (folder / ".env").write_text(f"A={SECRET}\n")
    (folder / "key.pem").write_text(f"{SECRET}\n")
    (folder / ".env.example").write_text("A=of-an-example\n")
    (folder / "a.txt").write_text(
        f'password = "{SECRET}"\ntoken = tokenizer.next_token()\nAPI_KEY: str\n'
        f"{TOKENS[0]}\n-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----\nlast line\n"
    )
    shown, count = patch_without_secrets(git(folder, "diff", "HEAD"))

    assert SECRET not in shown
    assert TOKENS[0] not in shown
    assert count == 2 + 2 + 3
    for kept in ("+token = tokenizer.next_token()", "+API_KEY: str", "+last line", "+A=of-an-example", "a/key.pem"):
        assert kept in shown


def test_none_is_on_record(tmp_path):
    folder = repository(tmp_path / "r", **{".env": "A=1\n"})
    (folder / ".env").write_text(f"A={SECRET}\n")
    git(folder, "remote", "add", "origin", f"https://me:{SECRET}@host/r.git")
    code = """
import sys, molexp as me
experiment = me.Workspace(sys.argv[1]).Project("p").Experiment("e")
with experiment.Run(id="one").start() as ctx:
    ctx.shell(["true", "--password", sys.argv[3]])
    ctx.shell(f"true --api-key {sys.argv[3]} --mine special-7")
me.track_command(experiment, [sys.executable, "-c", "raise SystemExit(1)", f"TOKEN={sys.argv[3]}"], id="two")
"""
    lab = tmp_path / "lab"
    command = [sys.executable, "-c", code, str(lab), "--password", SECRET, "special-7", "--lr=1"]
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "MOLEXP_SECRETS": r"special-\d"}, timeout=300)

    text = {path: path.read_text() for path in lab.rglob("*") if path.is_file()}
    assert not [path for path, found in text.items() if SECRET in found or "special-7" in found]
    claim = json.loads((lab / "projects/p/experiments/e/runs/one/executions/1.jsonl").read_text().splitlines()[0])
    assert claim["invocation"]["argv"] == ["-c", str(lab), "--password", LEFT_OUT, LEFT_OUT, "--lr=1"]
    assert "https://host/r.git" in "".join(text.values())


def test_the_command_line_can_be_left_out(tmp_path):
    code = 'import sys, molexp as me; me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id="one").start().finish()'
    lab = tmp_path / "lab"
    subprocess.run(
        [sys.executable, "-c", code, str(lab), "x"], check=True, env={**os.environ, "MOLEXP_ARGV": "0"}, timeout=300
    )

    claim = json.loads((lab / "projects/p/experiments/e/runs/one/executions/1.jsonl").read_text().splitlines()[0])
    assert claim["invocation"]["argv"] == ["-c"]


def test_a_pattern_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv("MOLEXP_SECRETS", "(")
    with pytest.raises(ValueError, match="MOLEXP_SECRETS='\\(' is no regular expression"):
        without_secrets("x")


PLAIN = st.text(
    st.characters(codec="utf-8", exclude_characters="=:@?&;\n\r'\"", exclude_categories=["Cs"]), max_size=40
)


@given(st.lists(PLAIN.filter(lambda word: not is_secret_name(word)), max_size=6))
def test_words_without_a_name_or_a_shape_stay(words):
    assert [
        a for a, b in zip(words, arguments_without_secrets(words), strict=True) if a != b and not _has_shape(a)
    ] == []


def _has_shape(word: str) -> bool:
    return LEFT_OUT in without_secrets(word)


@given(st.text(max_size=200))
def test_a_patch_keeps_its_lines(text):
    shown, count = patch_without_secrets(text)
    assert shown.count("\n") <= text.count("\n") + count
    assert (shown == text) == (count == 0)


PIECES = ["eyJ", "sk-", "a1", "=", ":", "@", "://", "token", "password", "'", '"', "?", "&", ".", "-", "_", " ", "-----BEGIN ",
          "PRIVATE KEY-----", "-----END ", "authorization", "AKIA", "x/"]  # fmt: skip


@settings(max_examples=30)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join), st.text(max_size=3))
def test_no_text_takes_more_than_time_in_proportion(piece, end):
    """Quadratic time would take hours here, and pytest's own patience."""
    text = piece * (200_000 // len(piece)) + end
    without_secrets(text)
    arguments_without_secrets([text])
    remote_without_secrets(text)
