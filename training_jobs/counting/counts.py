"""Everything that is counted and not learnt: items, prior, session index, co-purchase, first purchases, histories.

The builders run twice: until the evaluation's cut, so that no evaluated model has seen later data, and until the end of
the data for the bundle that is published.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from recommender.contracts import artifacts
from recommender.domain.models.arrays import Ids, to_npz
from recommender.domain.models.bundle import ItemTable, Neighbours
from recommender.domain.models.discovery import Complements, Discovery
from recommender.domain.models.prior import Prior
from recommender.domain.models.session_knn import SessionIndex, build_index

from training_jobs.counting.catalogue import CatalogueText, build_neighbours, catalogue_text, in_row_order, item_table
from training_jobs.counting.contexts import build_complements, build_item_prior, fallback_lists
from training_jobs.counting.discovery import build_discovery
from training_jobs.counting.lines import Histories, Lines, build_histories, days_since_epoch, read_lines
from training_jobs.counting.visits import Visits, read_visits
from training_jobs.exports import Exports


@dataclass(frozen=True, slots=True)
class Statistics:
    """All counts up to a moment. Rows are those of `item_ids`."""

    until: datetime  # naive UTC
    item_ids: Ids  # (I,) sorted
    items: ItemTable
    catalogue: CatalogueText
    prior: Prior
    session_index: SessionIndex
    co_purchase: Neighbours
    complements: Complements
    discovery: Discovery
    histories: Histories
    fallback: dict[str, list[str]]
    lines: Lines
    visits: Visits


def build_statistics(exports: Exports, *, until: datetime, content_rows: NDArray[np.integer]) -> Statistics:
    """Count the time before `until` (naive UTC); `content_rows` (I,) are the text of each item.

    The catalogue is the export's: it has no past versions.
    """
    item_ids = exports.item_ids
    items = in_row_order(exports.items)
    lines = read_lines(exports, until=until)
    visits = read_visits(exports, lines, until=until)
    table = item_table(items, lines, content_rows)
    prior = build_item_prior(exports, items, lines, until=until)
    return Statistics(
        until=until,
        item_ids=item_ids,
        items=table,
        catalogue=catalogue_text(items),
        prior=prior,
        session_index=build_index(visits.offsets, visits.items, visits.days, count_items=len(item_ids)),
        co_purchase=build_neighbours(lines.item, lines.order, count_items=len(item_ids)),
        complements=build_complements(lines, table.category, count_categories=len(table.categories)),
        discovery=build_discovery(lines, table.category, table.department, now_days=days_since_epoch(until)),
        histories=build_histories(lines, item_ids),
        fallback=fallback_lists(prior, table, item_ids),
        lines=lines,
        visits=visits,
    )


def write_statistics(statistics: Statistics, folder: Path) -> None:
    """Write the files of the bundle that are counted."""
    np.save(folder / artifacts.ITEM_IDS, statistics.item_ids)
    np.save(folder / artifacts.CATALOGUE_OFFSETS, statistics.catalogue.offsets)
    (folder / artifacts.CATALOGUE).write_bytes(statistics.catalogue.content)
    for name, record in (
        (artifacts.ITEM_TABLE, statistics.items),
        (artifacts.PRIOR, statistics.prior),
        (artifacts.SESSION_INDEX, statistics.session_index),
        (artifacts.CO_PURCHASE, statistics.co_purchase),
        (artifacts.COMPLEMENTS, statistics.complements),
        (artifacts.DISCOVERY, statistics.discovery),
    ):
        (folder / name).write_bytes(to_npz(record))
    (folder / artifacts.FALLBACK).write_text(json.dumps(statistics.fallback, indent=1) + "\n")
