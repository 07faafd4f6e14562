"""Run every check against a running stack; each is tried even when an earlier one failed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.processes import is_alive
from local.check import counting, faults, pages
from local.check import faults as simulated
from local.check import pages as models
from local.check import pages as refusals
from local.check.shopping import CheckFailed, expect
from local.settings import LocalRunError
from local.stack import Stack

# What a client meets when an answer is absent or has another shape than it should.
MISBEHAVIOUR: Final = (
    OSError,
    HTTPException,
    BotoCoreError,
    ClientError,
    ValueError,
    LookupError,
    TypeError,
    StopIteration,
)

Check = Callable[[], Any]
Result = dict[str, Any]


def acceptance(stack: Stack) -> dict[str, Check]:
    """The checks by name, in the order in which they run; faults last."""
    api, report = stack.api, stack.report
    events = {
        "same_event_three_times_counts_once": lambda: counting.same_event_three_times_counts_once(api, report),
        "click_moves_its_own_cell": lambda: counting.click_moves_its_own_cell(api, report, stack.reallocate),
        "forged_token_is_refused": lambda: counting.forged_token_is_refused(api),
        "replayed_token_is_refused": lambda: counting.replayed_token_is_refused(api),
    }
    shown = {
        "new_visitor_gets_every_placement": lambda: pages.new_visitor_gets_every_placement(api),
        "one_view_changes_the_next_answer": lambda: pages.one_view_changes_the_next_answer(api),
        "known_household_gets_user": lambda: pages.known_household_gets_user(api, stack.households[0]),
        "no_item_twice_on_a_page": lambda: pages.no_item_twice_on_a_page(api),
        "looking_at_lists_forgets_nothing": lambda: pages.looking_at_lists_forgets_nothing(api),
        "one_placement_by_get": lambda: pages.one_placement_by_get(api),
    }
    refused = {
        check.__name__: _bind(check, api)
        for check in (
            refusals.unknown_placement,
            refusals.unknown_field,
            refusals.unknown_item,
            refusals.malformed_json,
            refusals.event_from_the_future,
            refusals.too_many_events,
            refusals.missing_key,
        )
    }
    loop = {  # after the other counting: it ends the default experiment, and its epoch begins tomorrow
        "simulated_shoppers_move_traffic": lambda: simulated.simulated_shoppers_move_traffic(
            api.port, api.publishable_key, stack.bundle_id, stack.settings.state, stack.administrator
        )
    }
    broken = {
        "onnx_agrees_with_pytorch": lambda: models.onnx_agrees_with_pytorch(stack.settings.state),
        "tampered_bundle_is_refused": lambda: faults.tampered_bundle_is_refused(
            api, stack.access.client("s3"), stack.names.artifacts_bucket
        ),
        "cold_functions_have_lists": lambda: faults.cold_functions_have_lists(
            api, stack.access.client("s3"), stack.names.artifacts_bucket, stack.kill_recommenders
        ),
        "database_hangs": lambda: faults.database_hangs(api, stack.engine),
        "database_dies": lambda: faults.database_dies(api, stack.engine),
    }
    return {**shown, **events, **refused, **loop, **broken}


def run_checks(checks: Mapping[str, Check], *, progress: Callable[[str], None]) -> dict[str, Result]:
    """Each check's outcome: ok, seconds, and what it found or what is wrong."""
    results = {}
    for name, check in checks.items():
        results[name] = run_check(check)
        progress(f"{'pass' if results[name]['ok'] else 'FAIL'}  {name}: {results[name]['detail']}")
    return results


def run_check(check: Check) -> Result:
    """One check. What it raises because the system misbehaves is its finding, not the end of the run."""
    started = time.monotonic()
    try:
        ok, detail = True, check()
    except (*MISBEHAVIOUR, CheckFailed, LocalRunError) as error:
        ok, detail = False, f"{type(error).__name__}: {error}"
    return {"ok": ok, "seconds": round(time.monotonic() - started, 2), "detail": detail}


def nothing_is_left(ports: Sequence[int], children: Sequence[int]) -> str:
    """After the stop no port answers and no child lives."""
    for port in ports:
        with socket.socket() as probe:
            probe.settimeout(2)
            expect(probe.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still listens")
    living = [pid for pid in children if is_alive(pid)]
    expect(not living, f"processes {living} still live")
    return f"{len(children)} processes ended, no port listens"


def _bind(check: Callable[[Any], Any], api: Any) -> Check:
    return lambda: check(api)
