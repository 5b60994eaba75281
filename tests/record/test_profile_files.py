"""Profile files: what YAML, TOML and JSON may say, and how they are refused."""

from __future__ import annotations

import pytest

import molexp as me
from molexp.scripts import Profiles
from tests.record.profile_files import config, refusal


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("+3", 3),
        ("0", 0),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        *((word, word) for word in ("yes", "no", "on", "off", "y", "N", "tRue", "nan", "inf", "None")),
        *((word, word) for word in ("010", "0o17", "0x1f", "0b1", "1_000", "12:30:00", "1e", ".", "-x", "²")),
        ("2026-11-23", "2026-11-23"),
        ("2026-11-23T08:30:00Z", "2026-11-23T08:30:00Z"),
        ("'1'", "1"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_and_numbers_decimal(here, written, value):
    found = config(here, f"defaults:\n  x: {written}\n")["x"]
    assert found == value
    assert type(found) is type(value)


INTEGERS = (
    ("molcfg.yaml", "defaults: {x: %s}"),
    ("molcfg.json", '{"defaults": {"x": %s}}'),
    ("molcfg.toml", "[defaults]\nx = %s"),
)


@pytest.mark.parametrize(("name", "text"), INTEGERS)
def test_an_integer_is_exact_as_far_as_it_is_recorded(here, name, text):
    assert config(here, text % ("9" * 4300), name=name)["x"] == 10**4300 - 1
    with pytest.raises(me.ProfileError, match="digits"):
        config(here, text % ("9" * 1_000_000), name=name)


def test_keys_are_text_as_they_are_written(here):
    assert config(here, "defaults: {1: a, yes: b, null: c, 'q': d}") == {"1": "a", "yes": "b", "null": "c", "q": "d"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("molcfg.yaml", "defaults: {a: {b: [1, x]}}\nprofiles: {one: {a: {c: 1.5}}}"),
        ("molcfg.yml", "defaults: {a: {b: [1, x]}}\nprofiles: {one: {a: {c: 1.5}}}"),
        ("molcfg.toml", "defaults.a.b = [1, 'x']\nprofiles.one.a.c = 1.5"),
        ("molcfg.json", '{"defaults": {"a": {"b": [1, "x"]}}, "profiles": {"one": {"a": {"c": 1.5}}}}'),
    ],
)
def test_every_format_says_the_same(here, name, text):
    assert config(here, text, "one", name=name) == {"a": {"b": [1, "x"], "c": 1.5}}
    (here / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Profiles.read(here / name).resolve("one") == {"a": {"b": [1, "x"], "c": 1.5}}  # with a byte order mark


@pytest.mark.parametrize(("name", "text"), [("molcfg.yaml", ""), ("molcfg.yaml", "# all\n"), ("molcfg.toml", "")])
def test_a_file_may_say_nothing(here, name, text):
    assert config(here, text, name=name) == {}
    assert config(here, "defaults:\nprofiles:\n  one:\n", "one") == {}


def test_dates_of_toml_become_text(here):
    assert config(here, "[defaults]\nday = 2026-11-23\n", name="molcfg.toml") == {"day": "2026-11-23"}


def test_anchors_and_aliases_are_values_of_their_own(here):
    text = """
        defaults: {a: &it {x: 1}, b: *it}
    """
    assert config(here, text, None, {"a.x": 2}) == {"a": {"x": 2}, "b": {"x": 1}}


@pytest.mark.parametrize(
    ("text", "line", "saying"),
    [
        ("defalts: {}", 1, "Did you mean 'defaults'?"),
        ("defaults: {}\ngpu: {}\n", 2, "Profiles stand under 'profiles'"),
        ("- defaults", 0, "the file is a list where a mapping"),
        ("defaults: 1", 1, "'defaults' is a number where a mapping"),
        ("profiles: [a, b]", 1, "'profiles' is a list where a mapping"),
        ("profiles:\n  gpu: cuda\n", 2, "'gpu' of 'profiles' is text where a mapping"),
        ("profiles:\n  '': {}\n", 2, "a profile has no name"),
        ("defaults:\n  extends: gpu\n", 2, "the defaults extend nothing"),
        ("profiles:\n  base: {}\n  gpu:\n    extends: bas\n", 4, "Did you mean 'base'?"),
        ("profiles:\n  gpu:\n    extends: [1]\n", 3, "extends 1, which is not a name"),
        ("profiles:\n  a:\n    extends: a\n", 3, "in a circle: 'a' -> 'a'"),
        ("profiles:\n  a: {extends: b}\n  b: {extends: [c]}\n  c: {extends: a}\n", 4, "'a' -> 'b' -> 'c' -> 'a'"),
        ("defaults:\n  a: 1\n  b: 2\n  a: 3\n", 4, "the key 'a' is there twice, first in line 2"),
        ("defaults:\n  a: {b: 1, 'b': 2}\n", 2, "the key 'b' is there twice"),
        ("defaults:\n  [a]: 1\n", 2, "a key is not plain text"),
        ("defaults:\n  a: {<<: {b: 1}}\n", 2, "Let profiles extend each other"),
        ("defaults:\n  x: [1, .nan]\n", 2, "defaults.x.1: .nan"),
        ("defaults:\n  x: -.inf\n", 2, "defaults.x: -.inf"),
        ("defaults:\n  x: 1e999\n", 2, "defaults.x: 1e999 is out of range"),
        ("defaults:\n  x: !!python/object/apply:os.getcwd []\n", 2, "the tag 'tag:yaml.org,2002:python"),
        ("defaults:\n  x: !!str 1\n", 2, "the tag 'tag:yaml.org,2002:str' is not read"),
        ('defaults:\n  x: "\\ud800"\n', 0, "defaults.x (str) cannot be recorded"),
        ("defaults:\n\tx: 1\n", 2, "indent with blanks, not tabs"),
        ("defaults: {x: 1\n", 2, "not valid YAML"),
        ("defaults: {x: *y}\n", 1, "undefined alias 'y'"),
        ("defaults:\n  x: a\x00b\n", 2, "the character '\\x00' is not YAML"),
        ("--- {}\n--- {}\n", 2, "another document"),
        ("defaults: {x: " + "[" * 250 + "]" * 250 + "}", 1, "nested more than 200 levels deep"),
        ("defaults: {x: " + "[" * 5000, 0, "nested more than 200 levels deep"),
        ("defaults: {x: &x [*x]}", 1, "or contains itself"),
    ],
)
def test_a_yaml_file_that_is_wrong_says_where_and_what(here, text, line, saying):
    error = refusal(here, text)
    assert saying in str(error)
    assert error.line == line


def test_a_bomb_of_aliases_does_not_explode(here):
    bomb = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    assert "aliases repeat more than 100000" in str(refusal(here, "defaults:\n  " + "\n  ".join(bomb)))
    long = f"defaults: {{a: &a {'x' * 1000}, b: [{', '.join(['*a'] * 1000)}]}}"
    assert "aliases repeat more than 100000" in str(refusal(here, long))


def test_a_long_file_without_aliases_is_no_bomb(here):
    assert len(config(here, "defaults:\n" + "".join(f"  k{n}: {n}\n" for n in range(12_000)))) == 12_000


@pytest.mark.parametrize(
    ("name", "text", "line", "saying"),
    [
        ("molcfg.toml", "[defaults]\na = 1\na = 2\nb = 3\n", 3, "not valid TOML (Cannot overwrite a value)"),
        ("molcfg.toml", "[defaults]\nx = [1, nan]\n", 0, "defaults.x[1]"),
        ("molcfg.toml", "[defaults]\nx = -inf\n", 0, "defaults.x"),
        ("molcfg.toml", "defaults = 1\n", 0, "'defaults' is a number"),
        ("molcfg.json", '{"defaults":\n {"a": 1, "b": {}, "a": 2}}', 0, "the key 'a' is there twice"),
        ("molcfg.json", '{"defaults": {"x": NaN}}', 0, "defaults.x"),
        ("molcfg.json", '{"defaults": {"x": 1e999}}', 0, "defaults.x"),
        ("molcfg.json", '{"defaults":\n [1,}}', 2, "not valid JSON"),
        ("molcfg.json", " ", 1, "it is empty"),
        ("molcfg.json", '{"x": ' + "[" * 100_000, 0, "nested too deep"),
        ("molcfg.json", "[]", 0, "the file is a list"),
        ("molcfg.ini", "", 0, ".yaml, .yml, .toml or .json"),
    ],
)
def test_toml_and_json_files_that_are_wrong_say_what(here, name, text, line, saying):
    error = refusal(here, text, name)
    assert saying in str(error)
    assert error.line == line


def test_a_file_is_utf_8(here):
    (here / "molcfg.yaml").write_bytes("defaults:\n  name: Größe\n".encode("latin-1"))
    with pytest.raises(me.ProfileError, match="not UTF-8") as caught:
        Profiles.read(here / "molcfg.yaml")
    assert caught.value.line == 2


def test_a_file_that_cannot_be_read_is_named(here):
    (here / "folder.yaml").mkdir()
    for name in ("nowhere.yaml", "folder.yaml"):
        with pytest.raises(me.ProfileError, match=name):
            Profiles.read(name)
