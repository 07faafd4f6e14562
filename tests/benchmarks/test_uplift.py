"""The simulated shop does what it says, and every figure that comes out of it says that it is simulated."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recommender.domain.models.arrays import Floats
from recommender.errors import InvalidInput

from benchmarks import document, projection, report
from benchmarks.uplift import __main__ as uplift
from benchmarks.uplift.figures import against, figures, sections
from benchmarks.uplift.history import UNTIL, record, shopper_id
from benchmarks.uplift.shop import Effort, Nature, Shop, found, people, softmax, wants
from benchmarks.uplift.visits import Outcome, Situation, Visitor, plan, walk
from training_jobs.content_bert.data import CatalogueTexts
from training_jobs.session_ranker.train import Settings as SessionSettings

SMALL = Nature(items=90, shoppers=120, days=100)
NEVER, ALWAYS = -40.0, 40.0  # ease of a click


@pytest.fixture(scope="module")
def shop() -> Shop:
    return found(SMALL, seed=3)


def by_words(texts: CatalogueTexts, _effort: Effort) -> Floats:
    """Vectors of texts that share words lie close together; instead of BERT, whose export alone takes ten seconds."""
    words = sorted({word for text in texts.texts for word in text.split()})
    of_word = dict(zip(words, np.random.default_rng(0).normal(size=(len(words), 16)), strict=True))
    vectors = np.array([np.sum([of_word[word] for word in text.split()], axis=0) for text in texts.texts])
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """The whole command on a shop small enough for a test; figures of such a run mean nothing."""
    session = SessionSettings(
        groups_per_cut=20, candidates=50, encoder_seconds=1, encoder_tail_prefixes=50, ranker_epochs=1, encoder_width=16
    )
    effort = Effort(tower_steps=10, sample_texts=10, calibration_visits=16, session=session)
    return uplift.run(40, 3, nature=SMALL, effort=effort, encode=by_words)


def visitor(shop: Shop, seed: int = 1) -> Visitor:
    """Somebody without a past."""
    crowd = people(shop, 1, np.random.default_rng(seed))
    return Visitor(crowd.attraction[0], crowd.interest[0], np.zeros(shop.nature.items, np.bool_), None)


class Showing:
    """A shop that fills every page with one list, and remembers what it was asked."""

    def __init__(self, *rows: int) -> None:
        self.rows = rows
        self.asked: list[Situation] = []

    def __call__(self, situation: Situation) -> Sequence[tuple[str, Sequence[int]]]:
        self.asked.append(situation)
        return [("one", self.rows), ("two", self.rows)]


def test_the_same_seed_is_the_same_shop_with_the_same_past(shop: Shop) -> None:
    again = found(SMALL, seed=3)
    pasts = []
    for one in (shop, again):
        rng = np.random.default_rng(5)
        pasts.append(record(one, people(one, 20, rng), people(one, 10, rng), seed=3))

    assert (shop.traits == again.traits).all() and shop.titles == again.titles
    assert pasts[0].purchases.equals(pasts[1].purchases) and pasts[0].session_events.equals(pasts[1].session_events)
    assert pasts[0].purchases["purchased_at"].max() < UNTIL and not pasts[0].session_events["derived"].any()
    strangers = pasts[0].session_events.filter(~pasts[0].session_events["shopper_id"].str.starts_with("s0"))
    share = strangers["session_id"].n_unique() / pasts[0].session_events["session_id"].n_unique()
    assert share == pytest.approx(0.28, abs=0.01)


def test_people_want_what_the_visit_is_about_what_they_know_and_what_goes_with_the_cart(shop: Shop) -> None:
    plain = np.zeros(shop.nature.items)
    owned = np.arange(shop.nature.items) == 7

    wanted = wants(shop, plain, intent=int(shop.category[4]), owned=owned, cart=(50,))

    in_category = np.where(shop.category == shop.category[4], 1.5, 0.0)
    with_cart = np.where(np.arange(shop.nature.items) == shop.complement[50], 1.2, 0.0)
    assert wanted == pytest.approx(in_category + 1.2 * owned + with_cart)
    assert (shop.category[shop.complement] != shop.category).all()


def test_alike_attributes_make_alike_tastes_but_not_the_same(shop: Shop) -> None:
    crowd = people(shop, 600, np.random.default_rng(2))
    liking = crowd.attraction - crowd.attraction.mean(axis=0)
    liking /= np.linalg.norm(liking, axis=1, keepdims=True)
    alike = liking @ liking.T
    same = np.array([[a == b for b in crowd.attributes] for a in crowd.attributes]) & ~np.eye(600, dtype=bool)

    assert alike[same].mean() > alike[~same].mean() + 0.1
    assert alike[same].mean() < 0.6


def test_a_visit_without_a_click_goes_as_planned_whatever_is_shown(shop: Shop) -> None:
    for number in range(30):
        somebody = visitor(shop, number)
        course = plan(shop, somebody, np.random.default_rng([1, 4, number]))
        seen = [walk(shop, somebody, number, Showing(*rows), seed=1, ease=NEVER) for rows in ((0, 1), (5, 6, 7))]

        assert seen[0] == seen[1]
        assert seen[0].clicks == 0 and seen[0].from_modules == 0
        assert seen[0].items in (0, len(set(course.planned)))
        assert seen[0].value_cents == (shop.price_cents[list(course.planned)].sum() if seen[0].orders else 0)


def test_what_is_clicked_is_opened_next_and_may_be_bought(shop: Shop) -> None:
    eager = replace(visitor(shop), attraction=np.full(shop.nature.items, 30.0))  # takes whatever it clicks
    bought = 0
    for number in range(20):
        server = Showing(11, 12)
        outcome = walk(shop, eager, number, server, seed=2, ease=ALWAYS)
        places = [place for place, asked in enumerate(server.asked) if asked.steps[-1:] == (("add_to_cart", 11),)]
        assert places and server.asked[places[0]].page == "product" and server.asked[places[0]].row == 11
        assert ("select_item", 11) in server.asked[places[0]].steps and 11 in server.asked[places[0]].cart
        bought += outcome.from_modules
        assert outcome.items >= outcome.from_modules
    assert bought >= 10


def test_policies_meet_the_same_luck_until_somebody_clicks(shop: Shop) -> None:
    somebody = visitor(shop, 4)
    one, two = Showing(3, 4, 5), Showing(6, 7, 8)

    walk(shop, somebody, 9, one, seed=1, ease=NEVER)
    walk(shop, somebody, 9, two, seed=1, ease=NEVER)

    assert one.asked == two.asked


def test_the_ease_of_a_click_is_found_by_halving() -> None:
    shown = [np.array([0.0]), np.array([1.0, 2.0])]

    ease = uplift.ease_for(shown, 0.018)

    assert uplift.expected_rate(shown, ease) == pytest.approx(0.018)
    first, then = 1 / (1 + np.exp(-ease - 1)), 1 / (1 + np.exp(-ease - 2))
    assert uplift.expected_rate(shown, ease) == pytest.approx(
        (1 / (1 + np.exp(-ease)) + first + 0.85 * (1 - first) * then) / 2
    )


def test_figures_are_ratios_of_sums_with_intervals_over_shoppers() -> None:
    theirs = [
        Outcome(modules=10, clicks=place % 2, orders=1, items=2, value_cents=1000, margin_cents=300.0)
        for place in range(80)
    ]
    ours = [replace(one, clicks=2 * one.clicks, items=3, value_cents=1500) for one in theirs]

    own, ratio = figures(ours, seed=1), against(ours, theirs, seed=1)

    assert own["click_through"]["value"] == pytest.approx(80 / 800) and own["items_per_order"]["value"] == 3.0
    assert own["click_through"]["low"] < 0.1 < own["click_through"]["high"]
    assert ratio["click_through"] == {"value": 2.0, "low": 2.0, "high": 2.0}  # exactly twice for every shopper
    assert ratio["order_value_cents"]["value"] == 1.5 and ratio["margin_per_session_cents"]["value"] == 1.0
    assert against(theirs, [replace(one, clicks=0) for one in theirs], seed=1)["click_through"] is None


def test_the_whole_door_serves_every_policy_by_the_products_own_code(result: dict[str, Any]) -> None:
    assert result["label"] == "simulated"
    assert set(result["policies"]) == {"cohorts", "popularity", "hybrid", "hybrid_margin"}
    assert set(result["against_cohorts"]) == {"popularity", "hybrid", "hybrid_margin"}
    assert result["calibration"]["rate"] == pytest.approx(0.018, abs=0.001)
    assert result["data"]["no_history"] == round(0.28 * 40) and result["data"]["cohorts"] <= 12
    assert all(entry["click_through"]["value"] < 0.2 for entry in result["policies"].values())
    json.dumps(result, allow_nan=False)


def test_its_page_and_plots_say_simulated(result: dict[str, Any], tmp_path: Path) -> None:
    report.write(result, tmp_path, sections(result))

    page = (tmp_path / "report.html").read_text()
    assert "Every figure is <strong>simulated</strong>" in page and page.count("simulated") >= 4
    assert (tmp_path / "click_through_ratio.png").exists()


@pytest.mark.parametrize(
    ("arguments", "named"), [(["--shoppers", "3"], "--shoppers is 3"), (["--seed", "-1"], "--seed is -1")]
)
def test_impossible_numbers_are_refused(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert uplift.main(arguments) == 2
    assert named in capsys.readouterr().err


def test_the_ids_of_shoppers_sort_in_order() -> None:
    assert [shopper_id(m) for m in (0, 12)] == ["s000000", "s000012"]
    assert softmax(np.array([0.0, 0.0])) == pytest.approx([0.5, 0.5])


def kept() -> dict[str, Any]:
    """The kept run."""
    found: dict[str, Any] = json.loads((document.RESULTS / "uplift.json").read_text(encoding="utf-8"))
    return found


def test_the_projection_in_docs_is_the_page_of_the_kept_run() -> None:
    assert projection.PAGE.read_text(encoding="utf-8") == projection.render(kept())


def test_the_kept_run_has_the_incumbent_at_its_rate_and_intervals_on_everything() -> None:
    result = kept()

    assert result["label"] == "simulated" and result["data"]["shoppers"] >= 1000
    assert result["calibration"]["rate"] == pytest.approx(0.018, abs=0.0005)
    incumbent = result["policies"]["cohorts"]["click_through"]
    assert incumbent["low"] < 0.018 < incumbent["high"]  # on visits other than those that it was fitted to
    assert all(
        entry["low"] <= entry["value"] <= entry["high"] for entry in result["against_cohorts"]["hybrid"].values()
    )


def test_the_projection_labels_every_table_and_judges_the_targets() -> None:
    page = projection.render(kept())

    assert "Nothing here was measured on live shoppers" in page and "are targets, not results" in page
    tables = [part for part in page.split("\n\n") if part.startswith("|")]
    assert len(tables) == 3 and all("*simulated" in part or "*assumed*" in part for part in tables)
    assert all(row.endswith("*assumed* |") for row in tables[1].splitlines()[2:])
    assert all(row.endswith("*simulated × assumed* |") for row in tables[2].splitlines()[2:])
    assert page.count("reach") >= 8  # three targets, two of them twice, for two policies


def test_the_years_gain_follows_from_the_table_of_assumptions() -> None:
    entry = {"value": 1.2, "low": 1.1, "high": 1.3}
    result = {"label": "simulated", "against_cohorts": {name: dict.fromkeys(
        ("click_through", "order_value_cents", "value_per_session_cents", "margin_per_session_cents"), entry
    ) for name in ("hybrid", "hybrid_margin")}}  # fmt: skip

    one = projection.project(result, projection.Assumptions())[0]

    assert projection.Assumptions().sales == pytest.approx(4e6 * 6 * 0.03 * 60)  # $43.2M
    assert one.sales.value == pytest.approx(43.2e6 * 0.2 * 0.7 * 0.5)  # $3.0M
    assert one.margin.value == pytest.approx(43.2e6 * 0.3 * 0.2 * 0.7 * 0.5)
    assert one.rate.value == pytest.approx(0.018 * 1.1) and one.rate_simulated.value == pytest.approx(0.018 * 1.2)
    assert one.dollars_verdict(one.sales) == "does not reach it; the high end of its interval would"
    assert one.dollars_verdict(one.margin) == "does not reach it, nor does its interval"
    with pytest.raises(InvalidInput, match="uplift/label"):
        projection.project({**result, "label": "measured"}, projection.Assumptions())
