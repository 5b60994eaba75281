"""Runs beside each other: what differs, a baseline, and the numbers that pictures are drawn of."""

from __future__ import annotations

import json

from tests.web.test_run_page import HOSTILE, Page, open_page

__all__ = ["open_page"]

RUNS = "run=metals/cu/cu-0&run=metals/cu/cu-3"


def test_only_what_differs_is_shown_until_all_is_asked_for(open_page):
    page = open_page(f"/w/lab/compare?{RUNS}")
    for text in ("cu-0", "cu-3", "energy", "-2.5", "loss.last"):
        assert text in page.text
    assert "PBE" not in page.text
    (switch,) = [link["href"] for link in page.of("a", **{"class": "button"})]
    assert "PBE" in open_page(switch).text


def test_numbers_are_shown_with_their_difference_to_the_baseline(open_page):
    page = open_page(f"/w/lab/compare?{RUNS}&baseline=metals/cu/cu-3")
    assert page.text.index("cu-3") < page.text.index("cu-0")  # it comes first
    assert "+3 (+120%)" in page.text  # of the energies 0.5 and -2.5


def test_runs_of_a_query_are_compared_and_drawn(open_page):
    page = open_page('/w/lab/compare?q=experiment == "cu" and status == "succeeded"')
    (relations,) = [json.loads(one["data-relations"]) for one in page.of("div") if "data-relations" in one]
    columns = {one["name"]: one["values"] for one in relations["columns"]}
    assert sorted(columns["params.a"]) == [3.5, 3.6, 3.7, 3.8, 3.9]
    assert sorted(columns["results.energy"]) == [-3.5, -2.5, -1.5, -0.5, 0.5]
    (charts,) = [json.loads(one["data-charts"]) for one in page.of("div") if "data-charts" in one]
    assert (len(charts["runs"]), charts["names"]) == (5, ["loss"])


def test_one_run_stands_alone_with_all_that_is_known(open_page):
    assert "PBE" in open_page("/w/lab/compare?run=metals/cu/cu-0").text


def test_a_run_that_is_not_there_is_named_and_the_others_are_compared(open_page):
    page = open_page(f"/w/lab/compare?{RUNS}&run=metals/cu/{HOSTILE}&baseline=nobody&q=params.nothing > 3")
    assert "energy" in page.text
    assert HOSTILE in page.text
    assert "'nobody'" in page.text
    assert "params.nothing" in page.text


def test_nothing_chosen_says_how_to_choose(open_page):
    assert "Choose two or more runs" in open_page("/w/lab/compare").text


def test_a_query_that_cannot_be_understood_is_an_error_in_words(client):
    answer = client().get("/w/lab/compare?q=params. <")
    assert answer.status_code == 400
    assert "params. <" in Page(answer.text).text
