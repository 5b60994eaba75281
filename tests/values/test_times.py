"""Times are UTC, ISO 8601, with microseconds."""

from __future__ import annotations

import datetime as dt
import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp._values.times import parse_time, utc_now


def test_now_is_now():
    before = dt.datetime.now(dt.UTC)
    text = utc_now()
    after = dt.datetime.now(dt.UTC)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert before <= parse_time(text) <= after


@given(st.integers(min_value=0, max_value=4_000_000_000 * 10**6))
def test_every_microsecond_is_kept(micros):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time_ns", lambda: micros * 1000 + 999)
        text = utc_now()
    assert parse_time(text) == dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)


def test_threads_in_different_seconds_do_not_mix_them(monkeypatch):
    local = threading.local()
    monkeypatch.setattr("time.time_ns", lambda: local.now)
    wrong: list[str] = []

    def work(index):
        local.now = index * 10**9
        expected = f"1970-01-01T00:00:{index:02d}.000000Z"
        wrong.extend(text for text in (utc_now() for _ in range(2000)) if text != expected)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "text", ["2026-11-23T08:30:21Z", "2026-11-23T18:30:21+10:00", "2026-11-23T08:30:21", "2026-11-23T08:30:21.000000Z"]
)
def test_parsed_times_are_aware_and_utc(text):
    moment = parse_time(text)
    assert moment == dt.datetime(2026, 11, 23, 8, 30, 21, tzinfo=dt.UTC)
    assert moment.tzinfo is dt.UTC


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        parse_time("nonsense")
