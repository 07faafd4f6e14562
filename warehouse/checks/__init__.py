"""The checks of a day, by concern: deliveries, marts, behaviour."""

from __future__ import annotations

from typing import Final

from warehouse.checks import behaviour, deliveries, marts
from warehouse.checks.check import Check

CHECKS: Final[tuple[Check, ...]] = (*deliveries.CHECKS, *marts.CHECKS, *behaviour.CHECKS)
