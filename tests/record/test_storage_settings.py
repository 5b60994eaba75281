"""`storage.toml` says how to reach storage, so that a URL is enough; its mistakes are named, its secrets are not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.contracts import complete_options, storage_settings_files
from molexp_fs import LocalStore
from molexp_s3_store import S3Store
from tests import warm
from tests.record.profile_files import travelled

Say = Callable[..., Path]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Write the user's file."""

    def write(text: str, mode: int = 0o600, folder: str = "config") -> Path:
        path = tmp_path / folder / "storage.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path / "config"))
        return path

    return write


def options(url: str, **given: Any) -> dict[str, Any]:
    return complete_options(S3Store, url, given)


# ---------------------------------------------------------------------------------------------------- which options count


def test_the_longest_beginning_counts_option_by_option(say):
    say(
        """
        ["s3://bucket/lab"]
        region = "lab"
        ["s3://"]
        region = "all"
        endpoint_url = "https://all.example.org"
        retry_timeout = 5.0
        ["s3://bucket"]
        region = "bucket"
        retry_timeout = 7.0
        """
    )
    assert options("s3://other/lab")["region"] == "all"
    assert options("s3://bucket") == {
        "region": "bucket",
        "endpoint_url": "https://all.example.org",
        "retry_timeout": 7.0,
    }
    assert options("s3://bucket/lab/deeper")["region"] == "lab"
    assert options("s3://bucket/lab", region="mine")["region"] == "mine"
    assert options("gs://bucket/lab") == {}


@pytest.mark.parametrize("url", ["s3://bucket/labs", "s3://bucket/lab-2", "s3://bucket/la", "s3://bucket-2/lab"])
def test_a_beginning_ends_at_a_slash(say, url):
    say('["s3://bucket/lab"]\nregion = "lab"\n')
    assert options(url) == {}


@pytest.mark.parametrize("url", ["s3://bucket/lab", "S3://bucket/lab/", "s3://bucket//lab", "s3://bucket/lab/x"])
@pytest.mark.parametrize("named", ["s3://bucket/lab", "s3://bucket/lab/"])
def test_spellings_do_not_matter(say, url, named):
    say(f'["{named}"]\nregion = "lab"\n')
    assert options(url) == {"region": "lab"}


@pytest.mark.parametrize("named", ["{lab}", "file://{lab}", "{parent}", "file://", "~/lab", "~"])
@pytest.mark.parametrize("url", ["{lab}", "file://{lab}", "lab", "./lab/", "~/lab"])
def test_folders_are_named_by_path_or_url(say, tmp_path, monkeypatch, named, url):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    say(f'["{named.format(lab=tmp_path / "lab", parent=tmp_path)}"]\ndurability = "always"\n')
    found = complete_options(LocalStore, url.format(lab=tmp_path / "lab"), {})
    assert found == {"durability": "always"}


def test_a_path_with_percent_signs_and_blanks_is_one_place(say, tmp_path):
    say(f'["{tmp_path}/a lab"]\ndurability = "always"\n')
    assert complete_options(LocalStore, f"file://{tmp_path}/a%20lab", {}) == {"durability": "always"}


def test_other_names_of_an_option_are_the_same_option(say):
    say('["s3://"]\nkey = "k"\nsecret = "s"\nregion_name = "all"\n["s3://bucket"]\nregion = "bucket"\n')
    assert options("s3://bucket") == {"key": "k", "secret": "s", "region": "bucket"}
    assert options("s3://bucket", access_key_id="mine", secret_access_key="too") == {
        "access_key_id": "mine",
        "secret_access_key": "too",
        "region": "bucket",
    }


@pytest.mark.parametrize("given", [{"profile": "lab"}, {"anonymous": True}, {"anon": True}])
def test_who_one_is_is_said_in_one_place(say, given):
    say('["s3://"]\naccess_key_id = "k"\nsecret_access_key = "s"\nregion = "all"\n')
    assert options("s3://bucket", **given) == {**given, "region": "all"}


def test_not_to_be_anonymous_says_nothing_of_who_one_is(say):
    say('["s3://"]\naccess_key_id = "k"\nsecret_access_key = "s"\n["s3://public"]\nanonymous = true\n')
    assert options("s3://bucket", anonymous=False)["access_key_id"] == "k"
    assert options("s3://public") == {"anonymous": True}


def test_a_workspace_is_opened_with_them(say, tmp_path):
    say(f'["{tmp_path}/lab"]\ndurability = "always"\n')
    assert me.Workspace(tmp_path / "lab")._session.store.durability == "always"
    assert me.Workspace(tmp_path / "lab", storage_options={"durability": "never"})._session.store.durability == "never"
    assert me.Workspace(tmp_path / "other")._session.store.durability == "end"


def test_the_environment_counts_more_than_the_file_and_that_more_than_the_workspaces_settings(
    say, tmp_path, monkeypatch
):
    me.Workspace(tmp_path / "lab").configure(durability="always")
    say('["file://"]\ndurability = "never"\n')
    ws = me.Workspace(tmp_path / "lab")
    ws.Project("p")
    assert ws._session.store.durability == "never"
    monkeypatch.setenv("MOLEXP_DURABILITY", "end")
    ws = me.Workspace(tmp_path / "lab")
    ws.Project("q")
    assert ws._session.store.durability == "end"


def test_commands_use_it(say, tmp_path):
    me.Workspace(tmp_path / "lab").materialize()
    say('["file://"]\nduarbility = "never"\n')
    command = [sys.executable, "-m", "molexp_cli", "-w", str(tmp_path / "lab"), "runs", "list"]
    done = warm.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2
    assert "storage.toml" in done.stderr
    assert "duarbility" in done.stderr


# ------------------------------------------------------------------------------------------------------ where files are


def test_the_users_file_counts_more_than_the_machines(tmp_path, monkeypatch):
    monkeypatch.delenv("MOLEXP_CONFIG_DIR")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_DIRS", f"{tmp_path}/site:/elsewhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", f"{tmp_path}/user")
    for name, text in {
        "site": '["s3://bucket"]\nregion = "site"\nprofile = "site"\n',
        "user": '["s3://"]\nregion = "user"\n',
    }.items():
        (tmp_path / name / "molexp").mkdir(parents=True)
        (tmp_path / name / "molexp" / "storage.toml").write_text(text)
    assert options("s3://bucket") == {"region": "user", "profile": "site"}
    assert storage_settings_files() == tuple(f"{tmp_path}/{name}/molexp/storage.toml" for name in ("site", "user"))
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path / "none"))
    assert storage_settings_files() == ()


@pytest.mark.skipif(sys.platform != "linux", reason="the folders are those of Linux")
def test_the_folders_are_those_of_platformdirs(tmp_path):
    code = """
import os, platformdirs
from molexp.contracts import storage_settings_files
looked = []
os.path.exists = lambda path: looked.append(path)
found = [platformdirs.site_config_dir("molexp", appauthor=False), platformdirs.user_config_dir("molexp", appauthor=False)]
storage_settings_files()
assert looked == [f"{folder}/storage.toml" for folder in found], (found, looked)
"""
    for extra in ({}, {"XDG_CONFIG_HOME": str(tmp_path)}, {"XDG_CONFIG_DIRS": f"{tmp_path}/a:{tmp_path}/b"}):
        base = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MOLEXP_"))}
        subprocess.run([sys.executable, "-c", code], check=True, env={**base, "HOME": str(tmp_path), **extra})


def test_without_a_home_there_is_none(monkeypatch):
    monkeypatch.delenv("MOLEXP_CONFIG_DIR")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/nowhere")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it is for a user who has no home
    assert options("s3://bucket", region="mine") == {"region": "mine"}


def test_without_a_file_nothing_is_read_or_imported(tmp_path):
    code = """
import os, sys
import molexp as me
looked, opened = [], []
def hook(event, arguments):
    if event == "open":
        opened.append(str(arguments[0]))
sys.addaudithook(hook)
exists = os.path.exists
os.path.exists = lambda path: looked.append(path) or exists(path)
me.Workspace("lab")
assert not {"tomllib", "platformdirs"} & set(sys.modules), sys.modules.keys()
assert len([one for one in looked if str(one).endswith("storage.toml")]) == 1, looked
assert not [one for one in opened if one.endswith(".toml")], opened
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


# ------------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "it is not valid TOML"),
        (f'["s3://"]\nx = {"[" * 5000}', "it is not valid TOML"),
        (f'["s3://"]\nx = {"1" * 5000}', "it is not valid TOML"),
        ('["s3://"]\nregion = "a"\nregion = "b"\n', "it is not valid TOML"),
        ('region = "a"\n', "'region' is outside of a table"),
        ('[s3]\nregion = "a"\n', "the table ['s3'] is not named after what a URL begins with"),
        ('["bucket/lab"]\nregion = "a"\n', "the table ['bucket/lab']"),
        ('["s3://bucket"]\nregoin = "a"\n', "has no option 'regoin'"),
        ('["s3://bucket"]\nregion = 3\n', "region=3 is not a text"),
        ('["s3://bucket"]\nclient_kwargs = 3\n', "client_kwargs=3 is not a dict"),
        ('["s3://bucket"]\nsecret_access_key = 3\n', "secret_access_key=... is not a text"),
        ('["s3://bucket"]\nsecret_access_key = "hidden"\n', "belong together"),
    ],
)
def test_a_mistake_names_the_file(say, text, said):
    path = say(text)
    with pytest.raises(me.StorageSettingsError) as caught:
        me.Workspace("s3://bucket/lab")
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.file == str(path)
    assert "hidden" not in str(caught.value)
    assert str(travelled(caught.value)) == str(caught.value)


def test_a_mistake_of_the_caller_is_the_callers(say):
    say('["s3://bucket"]\nregion = "a"\n')
    with pytest.raises(TypeError, match="no option 'regoin'"):
        me.Workspace("s3://bucket/lab", storage_options={"regoin": "b"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(say):
    path = say("", mode=0o000)
    with pytest.raises(me.StorageSettingsError, match="cannot be read"):
        me.Workspace("s3://bucket/lab")
    path.chmod(0o600)


def test_a_folder_of_that_name_cannot_be_read(say, tmp_path):
    say("").unlink()
    (tmp_path / "config" / "storage.toml").mkdir()
    with pytest.raises(me.StorageSettingsError, match="cannot be read"):
        me.Workspace("s3://bucket/lab")


@pytest.mark.skipif(os.name != "posix", reason="files have no modes")
def test_secrets_that_others_can_read_are_warned_of_once(say):
    say('["s3://bucket"]\nkey = "k"\nsecret = "hidden"\n', mode=0o640)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options("s3://bucket")
        options("s3://bucket")
    (warning,) = caught
    assert re.search(r"storage\.toml holds secrets.*chmod 600", str(warning.message))
    assert "hidden" not in str(warning.message)
    say('["s3://bucket"]\nkey = "k"\nsecret = "hidden"\n', mode=0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options("s3://bucket")
        say('["s3://bucket"]\nregion = "a"\nkms_key_id = "k"\n', mode=0o644)
        options("s3://bucket")


def test_a_change_is_seen(say):
    say('["s3://bucket"]\nregion = "a"\n')
    assert options("s3://bucket") == {"region": "a"}
    say('["s3://bucket"]\nregion = "bb"\n')
    assert options("s3://bucket") == {"region": "bb"}


# ------------------------------------------------------------------------------------------------ files that are no such files


@pytest.mark.parametrize("what", ["arrays", "tables", "names", "pipe", "folder", "large"])
@pytest.mark.parametrize("file", ["storage.toml", "molcfg.toml"])
def test_what_cannot_be_a_file_of_settings_is_named_at_once(tmp_path, what, file):
    folder = tmp_path / "config"
    folder.mkdir()
    path = folder / file
    texts = {
        "arrays": '["s3://"]\nx = ' + "[" * 100_000,
        "tables": '["s3://"]\nx = ' + "{x=" * 100_000,
        "names": '["s3://"]\n' + ".".join("x" * 500_000) + " = 1",
        "large": "#" * (2 << 20),
    }
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.write_text(texts[what])
    (tmp_path / "script.py").write_text("")
    words = ["runs", "list"] if file == "storage.toml" else ["run", str(tmp_path / "script.py"), "--config", str(path)]
    command = [sys.executable, "-m", "molexp_cli", "-w", str(tmp_path), *words]
    command = [word for word in command if file == "storage.toml" or word not in ("-w", str(tmp_path))]
    env = {**os.environ, "MOLEXP_CONFIG_DIR": str(folder)}
    done = warm.run(command, capture_output=True, text=True, timeout=300, env=env, check=False)

    assert done.returncode == 2, done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
