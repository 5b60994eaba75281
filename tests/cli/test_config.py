"""molexp config: settings with their origins, and the values of profiles with theirs."""

from __future__ import annotations

from pathlib import Path

import molexp as me


def settings(molexp):
    return {
        one["name"]: (one["value"], one["from"], one["stored"]) for one in molexp("config", "list", "--json").json()
    }


def test_settings_are_listed_with_where_they_come_from(in_lab, molexp, monkeypatch):
    found = settings(molexp)
    assert found["run_id_scheme"] == ("molexp-1", "the default", True)
    assert found["durability"] == ("end", "the default", True)
    assert found["lease.ttl"] == (180.0, "the default", False)
    monkeypatch.setenv("MOLEXP_LEASE_TTL", "60")
    assert settings(molexp)["lease.ttl"] == (60.0, "MOLEXP_LEASE_TTL", False)
    lines = molexp("config", "list").lines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM", "STORED"]
    assert lines[1].split() == ["run_id_scheme", "molexp-1", "the", "default", "yes"]


def test_a_setting_is_stored_for_everybody_and_removed(in_lab, molexp):
    done = molexp("config", "set", "durability", "always")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert molexp("config", "get", "durability").out == "always\n"
    assert me.Workspace.load("lab").settings == {"durability": "always"}
    assert settings(molexp)["durability"] == ("always", "the workspace", True)
    assert molexp("config", "unset", "durability").code == 0
    assert settings(molexp)["durability"] == ("end", "the default", True)
    found = molexp("config", "set", "durability", "never", "--json").json()
    assert (found["name"], found["value"], found["from"]) == ("durability", "never", "the workspace")
    assert molexp("config", "unset", "durability", "--json").json()["from"] == "the default"


def test_the_environment_counts_more_and_that_is_said(in_lab, molexp, monkeypatch):
    monkeypatch.setenv("MOLEXP_DURABILITY", "never")
    done = molexp("config", "set", "durability", "always")
    assert done.err == "molexp: MOLEXP_DURABILITY counts more here: durability is never.\n"
    assert me.Workspace.load("lab").settings == {"durability": "always"}


def test_what_is_no_setting_or_no_value_is_refused(in_lab, molexp):
    done = molexp("config", "get", "durabilty")
    assert (done.code, "Did you mean 'durability'?" in done.err) == (3, True)
    for arguments, word in (
        (("durability", "perhaps"), "never, end, always"),
        (("run_id_scheme", "none-such"), "none-such"),
        (("lease.ttl", "5"), "lease.ttl is not stored in the workspace. It comes from the default."),
    ):
        done = molexp("config", "set", *arguments)
        assert done.code in (2, 4)
        assert word in done.err
    assert in_lab.settings == {}


def test_options_of_storage_are_listed_and_secrets_hidden(in_lab, molexp, tmp_path, monkeypatch):
    folder = tmp_path / "config"
    folder.mkdir()
    file = folder / "storage.toml"
    file.write_text(f'["{Path("lab").absolute()}"]\ndurability = "always"\n["s3://"]\nsecret_access_key = "hush"\n')
    file.chmod(0o600)
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(folder))
    found = settings(molexp)
    assert found["durability"] == ("always", "storage.toml", True)
    assert found["storage.durability"] == ("always", str(file), False)
    assert "hush" not in molexp("config", "list").out


def test_each_value_of_a_profile_has_its_file_and_line(here, molexp):
    Path("molcfg.yaml").write_text("defaults:\n  tol: 1e-6\nprofiles:\n  gpu:\n    lr: 0.1\n")
    done = molexp("config", "explain", "gpu", "--override", "lr=0.5")
    assert [line.split() for line in done.lines()] == [
        ["NAME", "VALUE", "FROM", "WHERE"],
        ["tol", "1e-06", "defaults", "molcfg.yaml:2"],
        ["lr", "0.5", "override", "--override"],
    ]
    found = molexp("config", "explain", "gpu", "--json").json()
    assert found[1] == {"file": "molcfg.yaml", "line": 5, "name": "lr", "origin": "gpu", "value": 0.1}
    done = molexp("config", "explain", "gpy")
    assert (done.code, "Did you mean 'gpu'?" in done.err) == (2, True)


def test_without_a_profile_file_it_says_so(here, molexp):
    done = molexp("config", "explain", "gpu")
    assert (done.code, done.out) == (3, "")
    assert "There is no profile file" in done.err
    assert done.err.splitlines()[-1].startswith("hint: Name one with --config")
