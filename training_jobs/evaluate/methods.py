"""The methods side by side: each answers a request with scores, by the code that serves or by a baseline.

A method returns (rows, scores); rows None means that there is a score for every item of the catalogue.
Letters: I items, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from recommender.domain.arrays import Doubles, Rows
from recommender.domain.bundle import Bundle
from recommender.domain.signals import content_of, taste_of, user_vector

from training_jobs.baselines import IalsSettings, Matrix, Scorer, ials, item_knn, own_frequency, popular, popular_recent
from training_jobs.evaluate.strata import without_visit
from training_jobs.metrics import LISTED, best_rows
from training_jobs.session_ranker.cohorts import Segmentation
from training_jobs.session_ranker.ranker_data import Case, score_rows
from training_jobs.session_ranker.statistics import Statistics

Scored = tuple[Rows | None, NDArray[np.floating]]
Method = Callable[[Case], Scored]


def hybrid(bundle: Bundle, *, limit: int) -> Method:
    """Candidates, features, ranker: what serving does before the page is assembled."""

    def answer(case: Case) -> Scored:
        rows, features = score_rows(bundle, case, limit=limit)
        return rows, bundle.ranker({"features": features})["score"]

    return answer


def no_session(method: Method) -> Method:
    """The same method, blind to the visit."""
    return lambda case: method(without_visit(case))


def two_tower(bundle: Bundle) -> Method:
    """Cosine of the user tower's vector; for strangers, of warm shoppers' mean."""

    def answer(case: Case) -> Scored:
        vector = user_vector(bundle, case.owned, case.now_days)
        return None, bundle.item_vectors @ (bundle.preference.mean if vector is None else vector)

    return answer


def content(bundle: Bundle) -> Method:
    """Cosine of the texts with those of what was bought lately; for strangers, popularity x recency."""

    def answer(case: Case) -> Scored:
        taste = taste_of(bundle, case.owned, case.now_days)
        if taste is None:
            return None, bundle.prior.log_share
        return None, (bundle.content_vectors @ taste)[bundle.items.content_row]

    return answer


def visit_content(bundle: Bundle) -> Method:
    """Cosine of the texts with those of the visit; before its first item, popularity x recency."""

    def answer(case: Case) -> Scored:
        if not len(case.seen.viewed):
            return None, bundle.prior.log_share
        subject = content_of(bundle, case.seen.viewed).mean(axis=0)
        return None, (bundle.content_vectors @ subject)[bundle.items.content_row]

    return answer


def cohorts(segments: Segmentation) -> Method:
    """The incumbent: what the shopper's segment buys."""
    return lambda case: (None, segments.scores[case.cohort])


def from_scorer(scorer: Scorer, numbers: Mapping[str, int]) -> Method:
    """A baseline that knows shoppers by number."""
    return lambda case: (None, scorer(numbers.get(case.shopper_id, -1)))


def baselines(
    statistics: Statistics, data: Matrix, segments: Segmentation, tuned: IalsSettings | None
) -> dict[str, Method]:
    """Every baseline of the table; iALS where its settings are given."""
    numbers = statistics.histories.numbers
    scorers = {
        "popular": popular(data),
        "popular_recent": popular_recent(statistics.lines, data),
        "own_frequency": own_frequency(data),
        "item_knn": item_knn(data),
        **({} if tuned is None else {"ials": ials(data, tuned)}),
    }
    return {name: from_scorer(scorer, numbers) for name, scorer in scorers.items()} | {"cohorts": cohorts(segments)}


def listed(scored: Scored, excluded: NDArray[np.integer], count: int = LISTED) -> Rows:
    """The `count` best rows without the excluded ones; ties by row."""
    rows, scores = scored
    if rows is None:
        return best_rows(scores, excluded, count)
    allowed = ~np.isin(rows, excluded)
    kept: Doubles = np.asarray(scores, np.float64)[allowed]
    best: Rows = rows[allowed][np.lexsort((rows[allowed], -kept))][:count]
    return best
