"""How long to train: nothing is changed for the real purchases; the small generated shop trains in seconds.

The small profile exists for the end-to-end test. It proves that the parts fit, not that the models are good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from local.settings import GENERATED_SOURCE

SMALL: Final[Mapping[str, Mapping[str, Any]]] = {
    "content_bert": {"max_pairs": 96, "sample_texts": 200},
    "two_tower": {"epochs": 4, "most_steps": 300},
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
    return SMALL.get(job, {}) if source == GENERATED_SOURCE else {}
