"""The page about S3 names the options that there are, and its files can be used as they are."""

from __future__ import annotations

import json
import re

import attrs

from molexp.contracts import complete_options
from molexp_fs import LocalStore
from molexp_s3_store import S3Store
from molexp_s3_store._options import Options
from tests.docs.pages import blocks
from tests.repository import ROOT

PATH = ROOT / "docs" / "how-to" / "use-s3.md"
PAGE = PATH.read_text(encoding="utf-8")


def code(language):
    return [block.code for block in blocks(PATH, PAGE) if block.language == language]


def test_it_names_every_option():
    table = re.search(r"^## All options\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL)
    assert table is not None
    named = {
        name for row in re.findall(r"^\| (`.*?) \|", table[1], re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert named - {"storage_options"} == {field.name for field in attrs.fields(Options)} - {"durability"}


def test_its_settings_file_is_one(tmp_path, monkeypatch):
    (settings,) = code("toml")
    (tmp_path / "storage.toml").write_text(settings)
    (tmp_path / "storage.toml").chmod(0o600)
    monkeypatch.setenv("MOLEXP_CONFIG_DIR", str(tmp_path))
    found = complete_options(S3Store, "s3://my-group/lab/mine", {})
    assert S3Store.open("s3://my-group/lab/mine", found).url == "s3://my-group/lab/mine"
    assert found["access_key_id"] == "LABKEY"
    assert "access_key_id" not in complete_options(S3Store, "s3://my-group/other", {})
    assert complete_options(LocalStore, "/scratch/lab", {}) == {"durability": "never"}


def test_its_policies_are_json():
    policy, rules = map(json.loads, code("json"))
    allowed = {
        action
        for statement in policy["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"} <= allowed
    assert rules["Rules"][0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 0
