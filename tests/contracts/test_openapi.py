"""The published description is made from the code, and a change of it is seen in a golden file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from recommender.contracts.openapi import OPERATIONS, document
from recommender.contracts.requests import RecommendationRequest
from recommender.contracts.routes import ROUTES

GOLDEN = Path(__file__).parent / "golden" / "openapi.json"


def references(node: Any) -> list[str]:
    """Every $ref below a node."""
    if isinstance(node, dict):
        return [node["$ref"]] if "$ref" in node else [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for value in node for ref in references(value)]
    return []


def test_the_document_is_the_golden_one() -> None:
    """After a wanted change: .venv/bin/python -m tests.contracts.test_openapi"""
    assert document() == json.loads(GOLDEN.read_text())


def test_every_route_is_described_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, entry in document()["paths"].items() for method in entry}

    assert described == {(route.method, route.path) for route in ROUTES}
    assert set(OPERATIONS) <= {f"{route.method} {route.path}" for route in ROUTES}


def test_every_reference_leads_somewhere() -> None:
    schemas = document()["components"]["schemas"]

    assert {ref.rpartition("/")[2] for ref in references(document())} <= set(schemas)


def test_a_request_schema_has_the_fields_that_the_parser_reads() -> None:
    schema = document()["components"]["schemas"]["RecommendationRequest"]

    assert set(schema["properties"]) == {entry.name for entry in fields(RecommendationRequest)}
    assert schema["required"] == ["visitor_id", "session_id", "page", "placements"]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(document(), indent=1, sort_keys=True) + "\n")
