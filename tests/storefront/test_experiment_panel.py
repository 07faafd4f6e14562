"""The experiment's panel under Node, over a stand-in for the document that keeps what was drawn."""

from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

from recommender.use_cases.report_experiment import report_experiment

from cdk.node import use_bundled_node
from tests.use_cases.experiment_days import CONFIG, START, lived

PANEL = Path(__file__).parents[2] / "storefront" / "experiment.js"

DOCUMENT = """
class Element {
  constructor(name) { this.name = name; this.attributes = {}; this.children = []; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  append(...children) { this.children.push(...children); }
  text() { return this.children.map((child) => (child instanceof Element ? child.text() : String(child))).join(" "); }
  all(name) {
    const inner = this.children.filter((child) => child instanceof Element);
    return inner.flatMap((child) => [...(child.name === name ? [child] : []), ...child.all(name)]);
  }
}
globalThis.document = { createElement: (name) => new Element(name) };
const { parts } = await import(PANEL);
const root = new Element("div");
root.append(...parts(REPORT, PLACEMENTS));
const drawn = {
  text: root.text(),
  tables: root.all("table").map((table) => table.text()),
  sparks: root.all("span").filter((span) => span.attributes.class === "spark"),
  flags: root.all("p").filter((p) => p.attributes.class === "flag").map((p) => p.text()),
  open: root.all("details").map((details) => "open" in details.attributes),
};
console.log(JSON.stringify(drawn));
"""


def drawn(report: dict[str, Any], placements: list[str]) -> dict[str, Any]:
    """What the panel shows of a report on a page with these placements."""
    environment = dict(os.environ)
    use_bundled_node(environment)
    script = DOCUMENT.replace("PANEL", json.dumps(PANEL.as_uri()))
    script = script.replace("REPORT", json.dumps(report)).replace("PLACEMENTS", json.dumps(placements))
    command = [environment.get("JSII_NODE", "node"), "--input-type=module"]
    done = subprocess.run(command, input=script, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def report_after(days: int) -> dict[str, Any]:
    store = lived(CONFIG, days, lifts={"hybrid": 0.1})
    return report_experiment(CONFIG.experiment_id, store=store, now=START + timedelta(days=days))


def test_the_panel_shows_the_headline_the_claims_and_the_placements_of_the_page() -> None:
    report = report_after(4)

    found = drawn(report, ["home_hero", "home_trending"])

    assert report["headline"] in found["text"]
    assert all(sentence in found["text"] for sentence in (*report["so_far"], *report["may_not_claim"]))
    assert [table.split()[0] for table in found["tables"]] == ["home_hero", "home_trending"]
    assert "undecided" in found["tables"][0]
    assert found["open"] == [False, False, False]  # nothing may be claimed yet
    assert found["flags"] == []


def test_traffic_over_time_is_a_bar_a_day_with_words_for_those_who_cannot_see_it() -> None:
    report = report_after(4)

    spark = drawn(report, ["home_hero"])["sparks"][0]

    assert spark["attributes"]["aria-label"].startswith("Traffic of cohorts over time: 33 % to ")
    heights = [float(bar["attributes"]["style"].removeprefix("--share: ")) for bar in spark["children"]]
    assert heights == [row["placements"]["home_hero"]["weights"][0] for row in report["history"]]


def test_decided_killed_and_simulated_are_said() -> None:
    report = {**report_after(4), "simulated": True, "killed": ["exp_default/hybrid_margin"]}
    decision = {"status": "ship", "variant": "hybrid", "day": 9.0, "by": "rule"}
    report["decision"] = {**report["decision"], "placements": {"home_hero": decision}}

    found = drawn(report, ["home_hero"])

    assert found["flags"] == ["Simulated shoppers", "Killed: exp_default/hybrid_margin"]
    assert "hybrid ships since day 9" in found["tables"][0]


def test_a_report_without_any_event_says_so() -> None:
    found = drawn(report_after(0), ["home_hero"])

    assert "Nothing has been shown yet" in found["text"]
    assert "Nothing." in found["text"]


def test_no_lift_is_shown_without_its_interval_and_none_before_there_are_clicks() -> None:
    fresh, grown = (drawn(report_after(days), ["home_hero"])["tables"][0] for days in (0, 4))

    assert "%)" not in fresh
    assert re.search(r"[+−-]\d+\.\d % \([+−-]\d+\.\d % to [+−-]\d+\.\d %\)", grown), grown
