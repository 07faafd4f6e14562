"""The rails of the demo shop under Node: a kept list under its own name, nothing at all where the list is hidden."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cdk.node import use_bundled_node

VIEW = Path(__file__).parents[2] / "storefront" / "view.js"
ITEM = {"item_id": "a", "index": 0, "title": "Apples", "category": "FRUIT", "price": 1.2, "reasons": []}
LIST: dict[str, Any] = {"placement": "home_continue", "item_list_name": "Continue where you left off", "items": [ITEM]}

SCRIPT = """
class Element {
  constructor(name) { this.name = name; this.attributes = {}; this.children = []; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  addEventListener() {}
  append(...children) { this.children.push(...children); }
  text() { return this.children.map((child) => (child instanceof Element ? child.text() : String(child))).join(" "); }
}
globalThis.document = { createElement: (name) => new Element(name) };
const { rail } = await import(VIEW);
const drawn = rail(LIST, undefined, () => undefined);
console.log(JSON.stringify({ text: drawn.text(), attributes: drawn.attributes }));
"""


def drawn(shown: dict[str, Any]) -> dict[str, Any]:
    environment = dict(os.environ)
    use_bundled_node(environment)
    script = SCRIPT.replace("VIEW", json.dumps(VIEW.as_uri())).replace("LIST", json.dumps(shown))
    node = environment.get("JSII_NODE", "node")
    run = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_a_list_stands_under_the_name_that_the_answer_gives_it() -> None:
    assert "Popular right now" in drawn({**LIST, "item_list_name": "Popular right now"})["text"]


@pytest.mark.parametrize("reason", ["no_history", "no_partners"])
def test_a_hidden_list_draws_nothing_and_makes_no_promise(reason: str) -> None:
    found = drawn({**LIST, "items": [], "attribution_token": None, "hidden_reason": reason})

    assert found == {"text": "", "attributes": {"hidden": "", "data-hidden-reason": reason}}
