"""Counts first purchases, and regresses them on taste in closed form.

Tastes are the leading singular directions of the purchases, a history's rows weighted by log(1 + orders), recency and
the root of the inverse document frequency. The regression stacks the newest windows, each shopper's taste at a window's
start against the items first bought within it: slope = (Z' W Z + ridge)^-1 Z' W (Y - mean Y) / mean Y, where W gives
older windows less weight. Letters: E entries (shopper, item), M shoppers, I items, X items with a reading, N items
listed, D width.

Decisions: docs/decisions/ranker.md (103).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from recommender.domain.models.arrays import Doubles, Flags, Floats, Rows
from recommender.domain.models.discovery import Discovery, history_weights

from training_jobs.counting.lines import Lines, count_by

WIDTH = 64
OVERSAMPLING = 16
ITERATIONS = 3
RIDGE = 15.0
WINDOW_DAYS = 28.0
WINDOWS = 6
FADING = 0.8  # weight of a window against the one after it
LISTED = 4000  # items with a slope, those tried most
FEWEST_SHOPPERS = 5  # of an item that tastes are read by
SHOPPERS = 50_000  # sampled beyond that
SMOOTHING = 0.1  # first purchases that every item is granted
AT_RISK_SHARE = 0.05  # of the shoppers: as many at least are counted as not owning an item
SHORT_DAYS = 7.0
SMALLEST_RATE = 1e-4
DEBUT_DAYS = 84.0  # how long an item counts as newly arrived
ARRIVAL_EVIDENCE = 5.0  # arrivals that a department is worth in its category
SEED = 1


@dataclass(frozen=True, slots=True)
class Entries:
    """Each shopper's items, with the lines they come from."""

    shopper: NDArray[np.int64]  # (E,)
    item: NDArray[np.int64]  # (E,)
    first_on: Doubles  # (E,)
    of_line: NDArray[np.int64]  # (lines,) the entry of each line


def build_discovery(lines: Lines, category: Rows, department: Rows, *, now_days: float) -> Discovery:
    """First purchases as of now; `category` and `department` (I,) are the items' codes."""
    entries = _entries(lines, len(category))
    tried, log_tried = _tried(lines, entries, category, department, now_days)
    of_category = count_by(category, tried, int(category.max(initial=0)) + 1)[category]
    age = now_days - lines.days
    bought = count_by(lines.item, np.exp2(-age / WINDOW_DAYS), len(category))
    listed = np.sort(np.argsort(-log_tried, kind="stable")[: min(LISTED, int((tried > 0).sum()))]).astype(np.int32)
    shoppers = _sampled(len(lines.shopper_ids))
    read, readings = _readings(lines, entries, shoppers, now_days, len(category))
    slopes, offsets = _slopes(lines, entries, shoppers, read, readings, listed, now_days)
    return Discovery(
        log_tried=log_tried,
        log_first_share=np.log((tried + 0.3) / (bought + 1.0)).astype(np.float32),
        log_in_category=np.log((tried + 0.02) / (of_category + 1.0)).astype(np.float32),
        read=read,
        readings=readings,
        listed=listed,
        slopes=slopes,
        offsets=offsets,
    )


def leading_directions(
    matrix: sp.spmatrix, width: int, rng: np.random.Generator, *, rounds: int
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Randomised SVD of (N, I): a basis (I, S) of its row space, and the SVD (left, values, right) in that basis.

    S is the width with some oversampling (Halko, Martinsson, Tropp 2011).
    """
    basis = rng.normal(size=(matrix.shape[1], min(width + OVERSAMPLING, *matrix.shape)))
    for _ in range(rounds):
        basis, _ = np.linalg.qr(matrix.T @ (matrix @ basis))
    return basis, *np.linalg.svd(matrix @ basis, full_matrices=False)


def _entries(lines: Lines, count_items: int) -> Entries:
    keys = lines.shopper.astype(np.int64) * count_items + lines.item
    cells, first, of_line = np.unique(keys, return_index=True, return_inverse=True)  # lines are in order of time
    return Entries(cells // max(count_items, 1), cells % max(count_items, 1), lines.days[first], of_line.ravel())


def _tried(lines: Lines, entries: Entries, category: Rows, department: Rows, now_days: float) -> tuple[Doubles, Floats]:
    """(I,) first purchases faded by age, and the log of their expected number for a shopper without the item.

    Where the newest week sells more than the weeks before, a quarter of the rise counts. An item that nobody has bought
    gets the expectation of the newest arrivals of its category.
    """
    count_items = len(category)
    tried = count_by(entries.item, np.exp2(-(now_days - entries.first_on) / WINDOW_DAYS), count_items)
    short = count_by(lines.item, np.exp2(-(now_days - lines.days) / SHORT_DAYS), count_items)
    owners = count_by(entries.item, None, count_items)
    granted = _arrivals(entries, owners == 0, category, department, now_days)
    at_risk = np.maximum(len(lines.shopper_ids) - owners, max(AT_RISK_SHARE * len(lines.shopper_ids), 1.0))
    expected = np.where(owners == 0, granted, tried + SMOOTHING)
    log_tried = np.log(expected / at_risk) + 0.25 * np.log(short + SMOOTHING)
    return tried, log_tried.astype(np.float32)


def _arrivals(entries: Entries, is_new: Flags, category: Rows, department: Rows, now_days: float) -> Doubles:
    """(I,) expected first purchases of each arrival: those of recently debuted items, over the number of arrivals.

    A category is shrunk to its department, and that to the shop.
    """
    debut = np.full(len(category), np.inf)
    np.minimum.at(debut, entries.item, entries.first_on)
    span = now_days - float(entries.first_on.min(initial=now_days))
    fresh = debut[entries.item] > now_days - min(DEBUT_DAYS, span / 3.0)
    counted = entries.item[fresh & (entries.first_on < debut[entries.item] + WINDOW_DAYS)]
    rate = np.full(len(category), len(counted) / max(int(is_new.sum()), 1))
    for codes in (department, category):
        count = int(codes.max(initial=0)) + 1
        tried = count_by(codes[counted], None, count)[codes]
        there = count_by(codes, is_new.astype(np.float64), count)[codes]
        rate = (tried + ARRIVAL_EVIDENCE * rate) / (there + ARRIVAL_EVIDENCE)
    return (WINDOW_DAYS / DEBUT_DAYS) * rate + 1e-6


def _sampled(count: int) -> NDArray[np.int64]:
    """The shoppers that the regression is made on."""
    if count <= SHOPPERS:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, SHOPPERS, replace=False))


def _weights(lines: Lines, entries: Entries, until: float) -> Doubles:
    """(E,) the weight of each entry at a moment; 0 for entries of the future."""
    past = lines.days < until
    orders = np.bincount(entries.of_line[past], minlength=len(entries.item)).astype(np.float64)
    last_on = np.full(len(entries.item), until)
    last_on[entries.of_line[past]] = lines.days[past]  # in order of time: the last one stays
    weights: Doubles = history_weights(orders, last_on, until).astype(np.float64)
    return weights


def _readings(
    lines: Lines, entries: Entries, shoppers: NDArray[np.int64], now_days: float, count_items: int
) -> tuple[Rows, Floats]:
    """(X,) items and (X, D) the taste that each stands for."""
    owners = count_by(entries.item, None, count_items)
    read = np.flatnonzero(owners >= FEWEST_SHOPPERS)
    width = min(WIDTH, len(read), len(shoppers))
    if not width:
        return np.empty(0, np.int32), np.zeros((0, WIDTH), np.float32)
    rarity = np.sqrt(np.log1p(len(lines.shopper_ids) / owners[read]))  # (X,)
    weights = _weights(lines, entries, now_days)
    bought = _matrix(entries, weights, len(lines.shopper_ids), count_items)[shoppers][:, read] @ sp.diags(rarity)
    lengths = np.sqrt(np.asarray(bought.multiply(bought).sum(axis=1)).ravel())
    unit = sp.csr_matrix(sp.diags(1.0 / np.maximum(lengths, 1e-9)) @ bought)  # (M, X)
    basis, _, _, right = leading_directions(unit, width, np.random.default_rng(SEED), rounds=ITERATIONS)
    found = (basis @ right[:width].T) * rarity[:, None]  # (X, D)
    return read.astype(np.int32), found.astype(np.float32)


def _slopes(
    lines: Lines,
    entries: Entries,
    shoppers: NDArray[np.int64],
    read: Rows,
    readings: Floats,
    listed: Rows,
    now_days: float,
) -> tuple[Floats, Floats]:
    """(N, D) slopes over the items' own rates, (N,) offsets; zeros where there is no window to learn from."""
    width = readings.shape[1]
    gram, cross = np.zeros((width, width)), np.zeros((width, len(listed)))
    total, centre, rate = 0.0, np.zeros(width), np.zeros(len(listed))
    for n, (tastes, tried) in enumerate(_windows(lines, entries, shoppers, read, readings, listed, now_days)):
        weight = FADING**n
        gram += weight * tastes.T @ tastes
        cross += weight * (tried.T @ tastes).T
        total += weight * len(tastes)
        centre += weight * tastes.sum(axis=0)
        rate += weight * np.asarray(tried.sum(axis=0)).ravel()
    if not total or not len(listed):
        return np.zeros((len(listed), width), np.float32), np.zeros(len(listed), np.float32)
    centre, rate = centre / total, rate / total
    gram -= total * np.outer(centre, centre)
    cross -= total * np.outer(centre, rate)
    slopes = np.linalg.solve(gram + RIDGE * np.eye(width), cross).T / np.maximum(rate, SMALLEST_RATE)[:, None]
    return slopes.astype(np.float32), (-slopes @ centre).astype(np.float32)


def _windows(
    lines: Lines,
    entries: Entries,
    shoppers: NDArray[np.int64],
    read: Rows,
    readings: Floats,
    listed: Rows,
    now_days: float,
) -> Iterator[tuple[Doubles, sp.csr_matrix]]:
    """(M, D) tastes at a window's start and (M, N) the first purchases within it, the newest window first."""
    if not len(lines) or not len(read):
        return
    span = now_days - float(lines.days.min())
    days = min(WINDOW_DAYS, span / 3.0)
    count_items = int(max(entries.item.max(), read.max(), listed.max(initial=0))) + 1
    for n in range(1, min(WINDOWS, int(span / max(days, 1e-9)) - 1) + 1):
        start = now_days - n * days
        bought = _matrix(entries, _weights(lines, entries, start), len(lines.shopper_ids), count_items)
        tastes = np.asarray(bought[shoppers][:, read] @ readings, np.float64)  # (M, D)
        lengths = np.linalg.norm(tastes, axis=1)
        known = lengths > 0.0
        inside = (entries.first_on >= start) & (entries.first_on < start + days)
        tried = _matrix(entries, inside.astype(np.float64), len(lines.shopper_ids), count_items)[shoppers][:, listed]
        yield tastes[known] / lengths[known, None], sp.csr_matrix(tried[known])


def _matrix(entries: Entries, values: Doubles, count_shoppers: int, count_items: int) -> sp.csr_matrix:
    """(shoppers, items) of the entries' values that are not 0."""
    kept = np.flatnonzero(values)
    places = (entries.shopper[kept], entries.item[kept])
    return sp.csr_matrix((values[kept], places), shape=(count_shoppers, count_items))
