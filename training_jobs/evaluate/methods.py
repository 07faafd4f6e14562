"""The methods side by side: each gives a request scores, by the code that serves or by a baseline.

A method returns (rows, scores); rows None means that there is a score for every item of the catalogue.
Letters: I items, C candidates.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Rows
from recommender.domain.models.bundle import Bundle
from recommender.domain.models.session_knn import session_scores
from recommender.domain.serving.arrivals import arrival_scores, arrivals
from recommender.domain.serving.candidates import candidate_rows, top_rows
from recommender.domain.serving.features import features_of
from recommender.domain.serving.ranking import in_context
from recommender.domain.serving.signals import content_of, taste_of, user_vector

from training_jobs.baselines import IalsSettings, Matrix, Scorer, ials, item_knn, own_frequency, popular, popular_recent
from training_jobs.counting.cohorts import Segmentation
from training_jobs.counting.counts import Statistics
from training_jobs.evaluate.questions import without_visit
from training_jobs.metrics import LISTED, best_rows
from training_jobs.session_ranker.data import Case, signals_of

BLIND: Final = "hybrid_no_session"  # equals the hybrid without a visit, so only visits use it

Scored = tuple[Rows | None, NDArray[np.floating]]
Method = Callable[[Case], Scored]


def hybrid(bundle: Bundle, *, limit: int) -> Method:
    """Candidates, features, ranker: the steps of serving before the page is assembled."""

    def answer(case: Case) -> Scored:
        signals = signals_of(bundle, case)
        rows = candidate_rows(bundle, signals, category=case.category, limit=limit)
        scores = bundle.ranker({"features": features_of(bundle, signals, rows)})["score"]
        return rows, in_context(bundle, signals, rows, scores)

    return answer


def context_prior(bundle: Bundle) -> Method:
    """Popularity x recency in the contexts of the page: the answer before the first event."""
    return lambda case: (None, signals_of(bundle, case).log_prior)


def no_session(method: Method) -> Method:
    """The same method without the visit."""
    return lambda case: method(without_visit(case))


def two_tower(bundle: Bundle) -> Method:
    """Cosine of the user tower's vector; for strangers, of warm shoppers' mean."""

    def answer(case: Case) -> Scored:
        vector = user_vector(bundle, case.owned, case.now_days)
        return None, bundle.item_vectors @ (bundle.preference.mean if vector is None else vector)

    return answer


def content(bundle: Bundle) -> Method:
    """Cosine of the texts with those of recent purchases; for strangers, popularity x recency."""

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
    """The incumbent: the recent purchases of the shopper's segment."""
    return lambda case: (None, segments.scores[case.cohort])


def from_scorer(scorer: Scorer, numbers: Mapping[str, int]) -> Method:
    """A baseline that takes shoppers by number."""
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


def session_knn(bundle: Bundle) -> Method:
    """Items of similar visits; before the first item, popularity x recency. Unseen items follow by popularity."""

    def answer(case: Case) -> Scored:
        scores = 1e-6 * (bundle.prior.log_share.astype(np.float64) - float(bundle.prior.log_share.max()))
        if len(case.seen.viewed):
            rows, votes = session_scores(bundle.session_index, case.seen.viewed, now_days=case.now_days)
            scores[rows] += votes
        return None, scores

    return answer


def learnt_methods(bundle: Bundle, *, limit: int) -> dict[str, Method]:
    """The methods for shoppers that the bundle knows."""
    ranked = hybrid(bundle, limit=limit)
    return {"hybrid": ranked, BLIND: no_session(ranked), "two_tower": two_tower(bundle), "content": content(bundle)}


def stranger_methods(bundle: Bundle, *, limit: int) -> dict[str, Method]:
    """The methods for requests with nothing but the visit and its page."""
    return {
        "hybrid": hybrid(bundle, limit=limit),
        "content": visit_content(bundle),
        "session_knn": session_knn(bundle),
        "prior": context_prior(bundle),
    }


def arrival_methods(bundle: Bundle, *, limit: int) -> dict[str, Method]:
    """Rankings of the items that nobody has bought, by each method; ties in an order drawn for each shopper."""
    rows = arrivals(bundle)
    of_category = np.bincount(
        bundle.items.category, weights=np.expm1(bundle.items.popularity), minlength=len(bundle.items.categories)
    ).astype(np.float64)[bundle.items.category[rows]]

    def by_taste(case: Case) -> Scored:
        return rows, arrival_scores(bundle, signals_of(bundle, case), rows)

    def by_tower(case: Case) -> Scored:
        vector = user_vector(bundle, case.owned, case.now_days)
        return rows, bundle.item_vectors[rows] @ (bundle.preference.mean if vector is None else vector)

    def by_ranker(case: Case) -> Scored:
        signals = signals_of(bundle, case)
        scores = arrival_scores(bundle, signals, rows)
        best = np.sort(rows[top_rows(scores, limit)])
        return best, bundle.ranker({"features": features_of(bundle, signals, best)})["score"]

    def by_category(case: Case) -> Scored:
        return rows, of_category

    methods = {"hybrid": by_ranker, "content": by_taste, "two_tower": by_tower, "popularity_in_category": by_category}
    return {name: _drawn(method) for name, method in methods.items()}


def _drawn(method: Method) -> Method:
    """The method with equal scores in random order, always the same for a shopper."""

    def answer(case: Case) -> Scored:
        rows, scores = method(case)
        seed = zlib.crc32(case.shopper_id.encode())
        drawn = np.random.default_rng(seed).random(len(scores))
        ranks = np.empty(len(scores))
        ranks[np.lexsort((drawn, scores))] = np.arange(len(scores))
        return rows, ranks

    return answer


def listed(scored: Scored, excluded: NDArray[np.integer]) -> Rows:
    """(K,) the 20 best rows without the `excluded` ones; ties by row."""
    rows, scores = scored
    if rows is None:
        return best_rows(scores, excluded)
    allowed = ~np.isin(rows, excluded)
    kept: Doubles = np.asarray(scores, np.float64)[allowed]
    best: Rows = rows[allowed][np.lexsort((rows[allowed], -kept))][:LISTED]
    return best
