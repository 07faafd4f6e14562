"""What each member adds: the ranker fitted again without the features that a member gives, on the same requests.

A dropped feature is held at its mean, in training and in asking; candidates stay as they are, so what is measured is
what the member tells the ranker, not what it proposes. Letters: C candidates, F features.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from recommender.domain.arrays import Floats, Rows
from recommender.domain.features import FEATURES
from tqdm import tqdm

from benchmarks.purchases_models import Fitted
from training_jobs.evaluate.methods import listed
from training_jobs.evaluate.strata import Question
from training_jobs.metrics import ndcg, recall
from training_jobs.session_ranker.ranker import as_function, train_ranker
from training_jobs.session_ranker.ranker_data import score_rows
from training_jobs.session_ranker.ranker_fitting import RankerPlan

MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "two_tower": ("tower",),
    "content": ("content_taste", "visit_content"),
    "session_knn": ("visit_sessions",),
    "session_encoder": ("visit_encoder",),
    "co_purchase": ("history_partners", "history_partners_lift", "visit_partners"),
    "posterior": ("preference_mean", "preference_variance"),
    "own_history": tuple(name for name in FEATURES if name.startswith(("own_", "is_owned", "days_since_own"))),
    "prior_and_trend": ("log_prior", "trend", "popularity", "category_prior"),
    "first_purchases": ("tried", "tried_by_taste", "first_share", "first_in_category"),
    "category_habits": ("category_share", "category_lift", "department_share", "brand_share"),
    "complements": ("visit_complement", "visit_best_complement"),
    "cohorts": ("cohort_rank",),
}
ASKED_EACH: Final = 3  # every third question is asked again
FITTED_EACH: Final = 2  # and every second request learnt from
STRATA: Final = ("all", "new", "in_basket")


def ablation(fitted: Fitted, questions: Sequence[Question], plan: RankerPlan) -> dict[str, Any]:
    """`everything` and `without <member>` -> stratum -> metrics."""
    cached = [
        (question, *score_rows(fitted.bundle, question.case, limit=plan.candidates))
        for question in questions[::ASKED_EACH]
    ]
    found = {"everything": _asked(fitted, cached, (), plan)}
    for member, names in tqdm(MEMBERS.items(), desc="ablation", file=sys.stderr):
        dropped = tuple(FEATURES.index(name) for name in names if name in FEATURES)
        if dropped:
            found[f"without {member}"] = _asked(fitted, cached, dropped, plan)
    return found


def _asked(
    fitted: Fitted, cached: Sequence[tuple[Question, Rows, Floats]], dropped: tuple[int, ...], plan: RankerPlan
) -> dict[str, dict[str, float]]:
    """Marks of a ranker that was fitted without these columns."""
    means = np.concatenate([group.features for group in fitted.groups[:500]]).mean(axis=0)
    groups = [
        replace(group, features=_without(group.features, dropped, means)) for group in fitted.groups[::FITTED_EACH]
    ]
    score = as_function(train_ranker(groups, plan.training).module)
    marks: dict[str, list[tuple[float, float]]] = {stratum: [] for stratum in STRATA}
    for question, rows, features in cached:
        scores = score({"features": _without(features, dropped, means)})["score"]
        for stratum in set(STRATA) & set(question.targets):
            best = listed((rows, scores), question.excluded.get(stratum, np.empty(0, np.int32)))
            marks[stratum].append((recall(best, question.targets[stratum]), ndcg(best, question.targets[stratum])))
    return {
        stratum: dict(zip(("recall@20", "ndcg@20"), np.mean(found, axis=0).round(5).tolist(), strict=True))
        for stratum, found in marks.items()
        if found
    }


def _without(features: Floats, dropped: tuple[int, ...], means: Floats) -> Floats:
    if not dropped:
        return features
    held = features.copy()
    held[:, dropped] = means[list(dropped)]
    return held
