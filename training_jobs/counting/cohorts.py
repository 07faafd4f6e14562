"""The incumbent: twelve customer segments, one list of popular items for each.

The segments are cut from the shoppers' attributes as a marketing team would do it: the largest group is split by the
attribute value that halves it best, until there are twelve. Shoppers without attributes join the segment with the most
similar mix of departments; without purchases they get the list of everybody. Where nobody has attributes, the segments
are clusters of department mixes. Letters: H segments, I items, D departments, M shoppers.

Decisions: docs/decisions/ranker.md (026).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles
from recommender.domain.models.bundle import Cohorts

from training_jobs.counting.counts import Statistics

SEGMENTS = 12
LISTED = 200
HALF_LIFE_DAYS = 30.0
SMOOTHING = 0.02  # weight of everybody's share in a segment's, so that small segments have full lists
SMALLEST = 8  # shoppers of a segment
ITERATIONS = 15
EVERYBODY = "everybody"

Attributes = Mapping[str, Mapping[str, str]]  # shopper id -> attribute -> value


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The segment of each shopper, and the recent purchases of each segment."""

    of_shopper: Mapping[str, int]  # shopper id -> 0..H-1
    names: tuple[str, ...]  # (H,)
    scores: Doubles  # (H + 1, I) recent purchases of each segment; the last row is everybody

    def lists(self, count: int = LISTED) -> Cohorts:
        """The best items of each segment; ties by row."""
        count = min(count, self.scores.shape[1])
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        names = np.array([name.encode() for name in (*self.names, EVERYBODY)], dtype=np.bytes_)
        return Cohorts(order.astype(np.int32), names)


def build_cohorts(shoppers: pl.DataFrame, statistics: Statistics, *, now_days: float) -> Segmentation:
    """Segments of the export's shoppers and their lists as of the statistics' `until`."""
    attributes = read_attributes(shoppers)
    groups = _split(attributes)
    if not groups and len(statistics.lines.shopper_ids) >= SEGMENTS * SMALLEST:
        groups = _clusters(statistics)
    of_shopper = {shopper_id: n for n, (_, members) in enumerate(groups) for shopper_id in members}
    _place_others(of_shopper, statistics, len(groups))
    scores = _scores(of_shopper, statistics, len(groups), now_days)
    return Segmentation(of_shopper, tuple(name for name, _ in groups), scores)


def read_attributes(shoppers: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Attributes of the shoppers that have any."""
    found = {}
    for shopper_id, text in shoppers.select("shopper_id", "attributes").iter_rows():
        values = json.loads(text) if text else {}
        known = {name: str(value) for name, value in values.items() if value not in (None, "")}
        if known:
            found[str(shopper_id)] = known
    return found


def _split(attributes: Attributes) -> list[tuple[str, list[str]]]:
    """Groups (name, members): the largest is halved until there are SEGMENTS or nothing can be split."""
    groups = [("all", sorted(attributes))]
    final: list[tuple[str, list[str]]] = []
    while groups and len(groups) + len(final) < SEGMENTS:
        groups.sort(key=lambda group: -len(group[1]))
        name, members = groups.pop(0)
        cut = _best_cut(attributes, members)
        if cut is None:
            final.append((name, members))
            continue
        attribute, value = cut
        inside = [shopper for shopper in members if attributes[shopper].get(attribute) == value]
        outside = [shopper for shopper in members if attributes[shopper].get(attribute) != value]
        prefix = "" if name == "all" else f"{name}, "
        groups += [(f"{prefix}{attribute} {value}", inside), (f"{prefix}{attribute} other than {value}", outside)]
    return sorted(group for group in final + groups if group[1])


def _best_cut(attributes: Attributes, members: list[str]) -> tuple[str, str] | None:
    """The attribute value nearest to half of the members; None where every cut leaves too small a group."""
    counts: dict[tuple[str, str], int] = {}
    for shopper in members:
        for pair in attributes[shopper].items():
            counts[pair] = counts.get(pair, 0) + 1
    half = len(members) / 2
    fair = [(abs(count - half), pair) for pair, count in counts.items() if SMALLEST <= count <= len(members) - SMALLEST]
    return min(fair)[1] if fair else None


def _place_others(of_shopper: dict[str, int], statistics: Statistics, count: int) -> None:
    """Give shoppers without attributes the segment with the closest mix of departments."""
    if not count:
        return
    numbers = statistics.histories.numbers
    mix = _department_mix(statistics)  # (M, D) unit length
    centres = np.zeros((count, mix.shape[1]))
    for shopper_id, segment in of_shopper.items():
        if shopper_id in numbers:
            centres[segment] += mix[numbers[shopper_id]]
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-9)
    everyone = mix.mean(axis=0)
    nearest = np.argmax((mix - everyone) @ (centres - everyone).T, axis=1)
    for shopper_id, number in numbers.items():
        of_shopper.setdefault(shopper_id, int(nearest[number]))


def _clusters(statistics: Statistics) -> list[tuple[str, list[str]]]:
    """Twelve groups of shoppers by Lloyd's iterations on department mixes, from evenly spaced starting shoppers."""
    mix = _department_mix(statistics)  # (M, D)
    centres = mix[np.linspace(0, len(mix) - 1, SEGMENTS).astype(int)]  # (H, D)
    nearest = np.zeros(len(mix), np.int64)
    for _ in range(ITERATIONS):
        nearest = np.argmin((centres**2).sum(axis=1) - 2.0 * mix @ centres.T, axis=1)
        for n in range(SEGMENTS):
            if (nearest == n).any():
                centres[n] = mix[nearest == n].mean(axis=0)
    ids = np.array(statistics.lines.shopper_ids)
    return [(f"mix {n + 1}", ids[nearest == n].tolist()) for n in range(SEGMENTS) if (nearest == n).any()]


def _department_mix(statistics: Statistics) -> NDArray[np.float64]:
    lines, departments = statistics.lines, len(statistics.items.departments)
    cell = lines.shopper.astype(np.int64) * departments + statistics.items.department[lines.item]
    counts = np.bincount(cell, minlength=len(lines.shopper_ids) * departments).reshape(-1, departments)
    mix: NDArray[np.float64] = counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
    return mix


def _scores(of_shopper: Mapping[str, int], statistics: Statistics, count: int, now_days: float) -> Doubles:
    """(H + 1, I) faded purchases of each segment as shares, smoothed by everybody's."""
    lines = statistics.lines
    count_items = len(statistics.item_ids)
    faded = np.exp2(-np.maximum(now_days - lines.days, 0.0) / HALF_LIFE_DAYS)
    segment = np.array([of_shopper.get(shopper_id, count) for shopper_id in lines.shopper_ids], np.int64)
    everybody = np.bincount(lines.item, weights=faded, minlength=count_items)
    scores = np.zeros((count + 1, count_items))
    for n in range(count):
        inside = segment[lines.shopper] == n
        scores[n] = np.bincount(lines.item[inside], weights=faded[inside], minlength=count_items)
    scores[count] = everybody
    shares: Doubles = scores / np.maximum(scores.sum(axis=1, keepdims=True), 1e-9)
    shares[:count] += SMOOTHING * shares[count]
    return shares
