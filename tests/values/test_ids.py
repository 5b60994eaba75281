"""Ids and names: what is allowed, what a free name becomes, and fresh ids that never repeat."""

from __future__ import annotations

import multiprocessing
import ntpath
import os
import re
import signal
import subprocess
import sys
import threading
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from molexp._values import times
from molexp._values.ids import check_id, check_payload_name, fold_name, nearest, slug
from molexp._values.times import new_run_id, new_token
from molexp.contracts import check_key
from molexp.errors import InvalidNameError
from tests.repository import ROOT

DEVICES = ["con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9", "nul.txt", "com1.tar.gz"]
PAGE = (ROOT / "docs/explanation/run-ids.md").read_text(encoding="utf-8")
SLUGS = re.findall(r"^\| `([^`]*)` \| `([a-z0-9._-]+)` \|$", PAGE, re.MULTILINE)

# Windows' own rules, wherever Python keeps them.
is_reserved = getattr(ntpath, "isreserved", None) or (lambda part: PureWindowsPath(part).is_reserved())

valid_ids = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True).filter(
    lambda text: not text.endswith(".") and text.split(".")[0] not in {"con", "prn", "aux", "nul"}
)
names = st.text(min_size=1, max_size=40).filter(str.strip) | st.sampled_from(
    ["α", "NUL", "con .x", " a ", ".", "..", "-"]
)


class TestCheckId:
    @pytest.mark.parametrize("text", ["a", "0", "cu-large", "a.b_c-d", "console", "com10", "nul-1", "a" * 128])
    def test_valid(self, text):
        assert check_id(text) == text

    @pytest.mark.parametrize(
        "text", ["", "A", "-a", ".a", "_a", "a.", "a b", "a/b", "a\n", "é", "..", "a" * 129, *DEVICES]
    )
    def test_invalid(self, text):
        with pytest.raises(InvalidNameError) as caught:
            check_id(text, "run id")
        assert caught.value.what == "run id"
        assert caught.value.name == text
        assert "allowed are" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "empty"),
            ("a" * 129, "129 characters"),
            ("a B", "contains ' '"),
            ("-a", "starts with"),
            ("a.", "ends with"),
        ],
    )
    def test_the_reason_is_named(self, text, reason):
        with pytest.raises(InvalidNameError, match=reason):
            check_id(text)

    @pytest.mark.parametrize("text", DEVICES)
    def test_devices_are_named(self, text):
        with pytest.raises(InvalidNameError, match="Windows reserves"):
            check_id(text)

    def test_an_id_is_text(self):
        with pytest.raises(InvalidNameError, match="int"):
            check_id(cast("str", 3))


class TestSlug:
    @pytest.mark.parametrize(("name", "expected"), SLUGS)
    def test_examples_of_the_page(self, name, expected):
        assert slug(name) == expected

    def test_the_page_has_examples(self):
        assert len(SLUGS) == 7

    @given(names)
    def test_always_valid_and_idempotent(self, name):
        made = slug(name)
        assert check_id(made) == made
        assert slug(made) == made

    @given(valid_ids)
    def test_a_valid_id_is_its_own_slug(self, text):
        try:
            check_id(text)
        except InvalidNameError:
            return
        assert slug(text) == text

    @given(st.lists(names, min_size=2, max_size=5, unique_by=lambda name: unicodedata.normalize("NFC", name)))
    def test_distinct_names_that_lost_something_differ(self, many):
        lossy = [name for name in many if re.search(r"[^a-z0-9._\s-]", unicodedata.normalize("NFC", name).lower())]
        assert len({slug(name) for name in lossy}) == len(lossy)

    def test_greek_letters_do_not_fall_together(self):
        assert slug("α-quartz") != slug("β-quartz")
        assert re.fullmatch(r"quartz-[0-9a-f]{8}", slug("α-quartz"))

    def test_normal_forms_are_one_name(self):
        assert slug("\u00e9") == slug("e\u0301")

    @pytest.mark.parametrize(("name", "expected"), [(" Cu  fcc\t2 ", "cu-fcc-2"), ("A_b", "a_b"), ("a - b", "a---b")])
    def test_blanks_and_case(self, name, expected):
        assert slug(name) == expected

    @pytest.mark.parametrize("name", [f"{device}{tail}" for device in DEVICES for tail in ("", " ", "é")])
    def test_never_a_device(self, name):
        check_id(slug(name))

    @pytest.mark.parametrize("name", ["a.", "_a", ".a", "-a", "a b.", "a" * 118 + ". é" + "a" * 20, "nul." + "a" * 200])
    def test_what_no_id_begins_or_ends_with_is_lost(self, name):
        made = slug(name)
        assert check_id(made) == made
        assert re.search(r"[a-z0-9]-[0-9a-f]{8}$", made)

    def test_long_names_are_cut_and_differ(self):
        first, second = slug("a" * 200), slug("a" * 201)
        assert len(first) == len(second) == 128
        assert first != second
        assert slug("a" * 128) == "a" * 128

    @pytest.mark.parametrize("name", ["", " ", "\t\n", "\u3000"])
    def test_nothing_is_refused(self, name):
        with pytest.raises(InvalidNameError, match="empty"):
            slug(name)

    def test_what_is_not_text_is_refused(self):
        for name in ("a\ud800", None, 3):
            with pytest.raises(InvalidNameError):
                slug(cast("str", name))


class TestPayloadNames:
    @pytest.mark.parametrize(
        "name",
        [
            "volumes.json",
            "a",
            "A B.txt",
            "frames/0001.xyz",
            ".hidden",
            "é.txt",
            "温度.csv",
            "a=b,c;d",
            "x" * 200,
            "...a",
            "tmp-1",
        ],
    )
    def test_valid(self, name):
        assert check_payload_name(name) == name

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("", "empty"),
            ("/etc/passwd", "absolute"),
            ("../x", "would leave"),
            ("a/../../x", "would leave"),
            ("..", "would leave"),
            ("./x", r"'\.' segment"),
            ("a//b", "empty segment"),
            ("a/", "empty segment"),
            ("a\\b", "backslash"),
            ("a\nb", "control character"),
            ("a\x00", "control character"),
            ("a\x85b", "control character"),
            ("a\u2028b", "control character"),
            (".tmp-x", "temporary"),
            ("a/.TMP-x", "temporary"),
            ("a.", "dot or blank"),
            ("a /b", "dot or blank"),
            ("C:/x", "Windows cannot store"),
            ("what?", "Windows cannot store"),
            ("a*|b", "Windows cannot store"),
            ("NUL", "device"),
            ("a/nul.txt", "device"),
            ("Com1.tar.gz", "device"),
            ("com\u00b9", "device"),
            ("con .txt", "device"),
            ("x" * 201, "200 bytes"),
            ("é" * 101, "200 bytes"),
            ("/".join(["x" * 150] * 3), "400 bytes"),
            ("a\udc80", "surrogate"),
        ],
    )
    def test_invalid(self, name, reason):
        with pytest.raises(InvalidNameError, match=reason) as caught:
            check_payload_name(name, "artifact name")
        assert caught.value.what == "artifact name"

    def test_a_name_is_text(self):
        with pytest.raises(InvalidNameError, match="PurePosixPath, not text"):
            check_payload_name(cast("str", PurePosixPath("a")))

    def test_names_come_back_in_nfc(self):
        assert check_payload_name("e\u0301.txt") == "\u00e9.txt"

    @given(st.text(alphabet=st.sampled_from("ab./\\: ~$\x00\n-") | st.characters(), max_size=12))
    @example("..")
    @example("a/..")
    @example("..\\x")
    @example("\uff0e\uff0e/x")
    def test_no_name_escapes(self, name):
        try:
            checked = check_payload_name(name)
        except InvalidNameError:
            return
        check_key(f"runs/r/artifacts/{checked}")
        for flavour in (PurePosixPath, PureWindowsPath):
            path = flavour("root") / checked
            assert path.parts[:1] == ("root",)
            assert ".." not in path.parts
            assert len(path.parts) == 1 + checked.count("/") + 1
        assert not PureWindowsPath(checked).drive
        assert not any(is_reserved(part) for part in PureWindowsPath(checked).parts)
        assert check_payload_name(checked) == checked


class TestFolding:
    @pytest.mark.parametrize(
        ("a", "b"), [("A.TXT", "a.txt"), ("\u00e9", "E\u0301"), ("stra\u00dfe", "STRASSE"), ("\u212b", "\u00e5")]
    )
    def test_one_name(self, a, b):
        assert fold_name(a) == fold_name(b)

    @pytest.mark.parametrize(("a", "b"), [("a", "b"), ("e", "é"), ("a b", "a-b")])
    def test_two_names(self, a, b):
        assert fold_name(a) != fold_name(b)

    @given(st.text(max_size=10))
    def test_normal_form_and_case_do_not_matter(self, name):
        folded = fold_name(name)
        assert fold_name(folded) == folded
        assert fold_name(unicodedata.normalize("NFC", name)) == folded
        assert fold_name(unicodedata.normalize("NFD", name)) == folded
        assert fold_name(name.casefold()) == folded


def in_new_process(amount):
    return [new_run_id() for _ in range(amount)], [new_token() for _ in range(amount)]


class TestFreshIds:
    def test_shape(self):
        run_id = new_run_id()
        assert re.fullmatch(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{8}", run_id)
        assert check_id(run_id) == run_id
        assert re.fullmatch(r"[a-z0-9]{12,16}", new_token())

    def test_the_time_is_utc(self, monkeypatch):
        monkeypatch.setattr(times, "_clock", times._Clock())
        monkeypatch.setattr("time.time_ns", lambda: 1_795_422_621_482_913_999)
        assert new_run_id().startswith("20261123-083021-482913-")

    def test_ids_increase_even_when_the_clock_does_not(self, monkeypatch):
        moments = iter([2_000_000_000_999_999_000, *[2_000_000_000_999_999_000] * 3, 1_999_999_999_000_000_000, 0])
        monkeypatch.setattr(times, "_clock", times._Clock())
        monkeypatch.setattr("time.time_ns", lambda: next(moments))
        made = [new_run_id()[:22] for _ in range(6)]
        assert made == sorted(set(made))

    def test_ids_of_a_process_increase(self):
        made = [new_run_id() for _ in range(5000)]
        assert made == sorted(set(made))

    def test_threads(self):
        made: list[list[str]] = [[] for _ in range(8)]
        tokens: list[list[str]] = [[] for _ in range(8)]

        def work(index):
            for _ in range(1000):
                made[index].append(new_run_id())
                tokens[index].append(new_token())

        threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(part == sorted(part) for part in made)
        assert len({run_id for part in made for run_id in part}) == 8000
        assert len({token for part in tokens for token in part}) == 8000

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_forked_processes_differ(self):
        new_run_id()
        new_token()
        with multiprocessing.get_context("fork").Pool(4) as pool:
            parts = pool.map(in_new_process, [300] * 8, chunksize=1)
        parts.append(in_new_process(300))
        assert len({run_id for run_ids, _ in parts for run_id in run_ids}) == 2700
        assert len({token for _, tokens in parts for token in tokens}) == 2700

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_fork_while_the_clock_is_locked_does_not_hang(self):
        with times._clock._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(300)
                try:
                    new_run_id()  # with the parent's lock it would wait for ever
                finally:
                    os._exit(0)
        assert os.waitpid(child, 0)[1] == 0, "killed by its alarm"

    def test_other_processes_differ(self):
        code = "from molexp._values.times import *; print(new_run_id(), new_token())"
        outputs = [subprocess.check_output([sys.executable, "-c", code], text=True).split() for _ in range(2)]
        assert outputs[0][0] < outputs[1][0]
        assert outputs[0][1] != outputs[1][1]


class TestNearest:
    def test_best_first_whatever_the_case(self):
        assert nearest("Relaxx", ["scan", "relax", "RELAX-2", "band"]) == ("relax", "RELAX-2")

    def test_nothing_similar(self):
        assert nearest("q", ["scan", "relax"]) == ()

    def test_no_more_than_asked_for(self):
        assert len(nearest("run-1", [f"run-{n}" for n in range(50)], 2)) == 2
