"""How long to train: the real purchases within a coffee break, the small generated shop in seconds.

A first run must end within ten minutes on two cores, so tuning, towers and encoder get less time than the jobs'
defaults, which serve a nightly run. The small profile exists for the end-to-end test. It proves that the parts fit,
not that the models are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local.settings import GENERATED_SOURCE

FIRST_RUN: Final[Mapping[str, Mapping[str, Any]]] = {
    "content_bert": {"max_seconds": 40, "sample_texts": 600},
    "two_tower": {"most_steps": 150},
    "session_ranker": {"groups_per_cut": 600, "encoder_seconds": 30},
}
SMALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "content_bert": {"max_pairs": 96, "sample_texts": 200},
    "two_tower": {"most_steps": 150},
    "session_ranker": {
        "groups_per_cut": 100,
        "candidates": 200,
        "encoder_seconds": 5,
        "encoder_tail_prefixes": 200,
        "ranker_epochs": 2,
    },
    "evaluate": {"shoppers": 120, "candidates": 200},
}


def hyperparameters(source: str, job: str) -> Mapping[str, Any]:
    """What differs from the job's own defaults."""
    return (SMALL if source == GENERATED_SOURCE else FIRST_RUN).get(job, {})
