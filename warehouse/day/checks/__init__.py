"""The checks of a day, by concern: arrivals, deliveries, marts, behaviour."""

from __future__ import annotations

from typing import Final

from warehouse.day.checks import arrivals, behaviour, deliveries, marts
from warehouse.day.checks.check import Check

CHECKS: Final[tuple[Check, ...]] = (*arrivals.CHECKS, *deliveries.CHECKS, *marts.CHECKS, *behaviour.CHECKS)
