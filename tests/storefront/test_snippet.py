"""The snippet at work, under the Node that synthesis uses, with a recording API in place of fetch."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from recommender.contracts.fields import read_time

from cdk.node import use_bundled_node

SNIPPET = Path(__file__).parents[2] / "storefront" / "recommender.js"

BROWSER = """
const calls = [], statuses = STATUSES;
globalThis.localStorage = {};
Object.defineProperty(globalThis, "navigator", { value: NAVIGATOR, configurable: true });
globalThis.addEventListener = () => {};
globalThis.fetch = async (url, { body, headers, keepalive = false }) => {
  calls.push({ url, body: JSON.parse(body), key: headers["x-publishable-key"], keepalive });
  const status = url.endsWith("/v1/events") ? statuses.shift() ?? 202 : 200;
  if (!status) throw new TypeError("network");
  const answer = { placements: [], accepted: 0, rejected: [], detail: "" };
  return { ok: status < 400, status, json: async () => answer, headers: { get: () => "total;dur=1" } };
};
const { createRecommender } = await import(SNIPPET);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
"""


def run(script: str, *, statuses: str = "[]", navigator: str = "{}") -> list[dict[str, Any]]:
    """Run a script in the recording browser and return the calls that it made."""
    environment = dict(os.environ)
    use_bundled_node(environment)
    browser = BROWSER.replace("STATUSES", statuses).replace("NAVIGATOR", navigator)
    done = subprocess.run(
        [environment.get("JSII_NODE", "node"), "--input-type=module"],
        input=browser.replace("SNIPPET", json.dumps(SNIPPET.as_uri()))
        + script
        + "\nconsole.log(JSON.stringify(calls)); process.exit(0);",
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    calls: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return calls


def test_an_event_travels_with_the_next_request_and_is_kept_under_the_same_id() -> None:
    inline, kept = run("""
        const shop = createRecommender({ key: "pk", userId: "h_1" });
        shop.track("view_item", { items: [{ item_id: "a" }] });
        await shop.recommend({ type: "home" }, ["home_hero"], { cart_item_ids: ["b"] });
        await shop.flush();
    """)

    assert inline["url"] == "/v1/recommendations"
    assert inline["body"]["placements"] == [{"placement": "home_hero"}]
    assert inline["body"]["context"] == {"cart_item_ids": ["b"], "consent": "full"}
    assert inline["body"]["user_id"] == "h_1"
    assert inline["key"] == "pk"
    assert kept["url"] == "/v1/events"
    assert kept["keepalive"] is True
    (event,) = kept["body"]["events"]
    assert event == inline["body"]["events"][0]
    assert event["event_name"] == "view_item"
    assert event["session_id"] == inline["body"]["session_id"] == kept["body"]["session_id"]


def test_an_acknowledged_event_is_not_sent_again() -> None:
    calls = run("""
        const shop = createRecommender({ key: "pk" });
        shop.track("view_cart");
        await shop.flush();
        await shop.flush();
        await shop.recommend({ type: "home" }, ["home_hero"]);
    """)
    assert [call["url"] for call in calls] == ["/v1/events", "/v1/recommendations"]
    assert calls[1]["body"]["events"] == []


@pytest.mark.parametrize("trouble", ["0", "503", "429"])
def test_an_event_that_was_not_acknowledged_is_sent_again_with_its_id(trouble: str) -> None:
    first, second = run(
        """
        const shop = createRecommender({ key: "pk" });
        shop.track("view_cart");
        await shop.flush();
        await shop.flush();
        """,
        statuses=f"[{trouble}]",
    )
    assert first["body"]["events"] == second["body"]["events"]


def test_a_refused_event_is_dropped() -> None:
    calls = run(
        """
        const shop = createRecommender({ key: "pk" });
        shop.track("view_cart");
        await shop.flush();
        await shop.flush();
        """,
        statuses="[400]",
    )
    assert len(calls) == 1


def test_events_of_a_moment_go_together_in_small_batches() -> None:
    calls = run("""
        const shop = createRecommender({ key: "pk" });
        for (let n = 0; n < 25; n++) shop.track("view_cart");
        await pause(900);
    """)
    assert [len(call["body"]["events"]) for call in calls] == [20, 5]
    ids = [event["event_id"] for call in calls for event in call["body"]["events"]]
    assert len(set(ids)) == 25


QUICK = """
    const waits = [], slowly = setTimeout;
    globalThis.setTimeout = (act, ms) => (waits.push(ms), slowly(act, 0));
    const settled = () => new Promise((done) => slowly(done, 200));
    const shop = createRecommender({ key: "pk" });
    const track = (count) => { for (let n = 0; n < count; n++) shop.track("view_cart"); };
"""


def sizes(calls: list[dict[str, Any]]) -> list[int]:
    return [len(call["body"]["events"]) for call in calls]


def ids_of(*calls: dict[str, Any]) -> list[str]:
    return [event["event_id"] for call in calls for event in call["body"]["events"]]


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_is_halved_until_one_event_is_dropped(status: int) -> None:
    calls = run(QUICK + "track(4); await shop.flush(); await settled();", statuses=f"[{status}, {status}, {status}]")

    assert sizes(calls) == [4, 2, 1, 1, 2]  # one is given up; with each batch that is taken the next one grows
    assert ids_of(*calls[3:]) == ids_of(calls[0])[1:]


def test_a_queue_of_nothing_but_refused_events_is_over_soon() -> None:
    calls = run(QUICK + "track(20); await shop.flush(); await settled();", statuses=str([400] * 99))

    assert sizes(calls) == [20, 10, 5, 2] + [1] * 20


def test_an_event_that_breaks_the_server_again_and_again_does_not_hold_up_those_behind_it() -> None:
    tries = 4
    calls = run(QUICK + "track(2); await shop.flush(); await settled();", statuses=str([500] * (2 * tries)))

    assert sizes(calls) == [2] * tries + [1] * tries + [1]
    assert ids_of(calls[-1]) == ids_of(calls[0])[1:]


def test_tries_come_later_and_later_and_end() -> None:
    *calls, told = run(
        QUICK + "track(1); await shop.flush(); await settled(); calls.push({ waits });", statuses=str([503] * 50)
    )

    gather, *backoff = [wait for wait in told["waits"] if wait]
    assert (gather, backoff) == (400, [5_000, 10_000, 20_000])
    assert len(calls) == 4  # then it is dropped


@pytest.mark.parametrize("status", [0, 429])
def test_what_nobody_heard_is_never_dropped_and_steps_aside(status: int) -> None:
    *calls, told = run(
        QUICK + "track(2); await shop.flush(); await settled(); await settled(); calls.push({ waits });",
        statuses=str([status] * 20),
    )

    assert sorted(set(ids_of(*calls[20:]))) == sorted(ids_of(calls[0]))  # both arrive when the network is back
    assert max(told["waits"]) == 300_000  # five minutes at most
    alone = [ids_of(call)[0] for call in calls[4:20]]
    assert set(alone) == set(ids_of(calls[0]))  # neither stands in the other's way


def test_other_refusals_drop_the_batch_at_once() -> None:
    calls = run(QUICK + "track(4); await shop.flush(); track(1); await settled();", statuses="[401]")

    assert sizes(calls) == [4, 1]


def test_an_answer_that_is_no_json_does_not_stop_the_queue() -> None:
    calls = run(
        QUICK
        + """
        const reply = fetch;
        const json = () => Promise.reject(Error());
        globalThis.fetch = async (...request) => ({ ...(await reply(...request)), json });
        track(25); await settled();
        """
    )

    assert sizes(calls) == [20, 5]


def test_every_request_says_when_it_was_sent() -> None:
    page, batch = run("""
        const shop = createRecommender({ key: "pk" });
        shop.track("view_cart");
        await shop.recommend({ type: "home" }, ["home_hero"]);
        await shop.flush();
    """)

    for call in (page, batch):
        sent_at = read_time(call["body"]["sent_at"], "/sent_at")
        assert sent_at >= read_time(batch["body"]["events"][0]["event_time"], "/event_time")


@pytest.mark.parametrize("signal", ["{ globalPrivacyControl: true }", '{ doNotTrack: "1" }'])
def test_a_browser_that_asks_for_privacy_is_neither_reported_nor_remembered(signal: str) -> None:
    (call,) = run(
        """
        const shop = createRecommender({ key: "pk" });
        shop.track("view_item", { items: [{ item_id: "a" }] });
        await shop.flush();
        await shop.recommend({ type: "home" }, ["home_hero"]);
        if (Object.keys(localStorage).length) throw Error("stored");
        """,
        navigator=signal,
    )
    assert call["body"]["context"]["consent"] == "contextual"
    assert call["body"]["events"] == []


def test_a_visit_keeps_its_session_and_half_an_hour_of_silence_ends_it() -> None:
    first, same, later = run("""
        const shop = createRecommender({ key: "pk", visitorId: "v_1" });
        const ask = () => shop.recommend({ type: "home" }, ["home_hero"]);
        await ask();
        await ask();
        const [session] = localStorage.rec_visit_v_1.split(" ");
        localStorage.rec_visit_v_1 = `${session} ${Date.now() - 31 * 60_000}`;
        await ask();
    """)
    assert first["body"]["session_id"] == same["body"]["session_id"] != later["body"]["session_id"]
    assert {call["body"]["visitor_id"] for call in (first, same, later)} == {"v_1"}


@pytest.mark.parametrize("name", ["recommender.js", "shop.js", "view.js", "console.js", "experiment.js"])
def test_every_module_parses(name: str) -> None:
    environment = dict(os.environ)
    use_bundled_node(environment)
    source = (SNIPPET.parent / name).read_text()
    command = [environment.get("JSII_NODE", "node"), "--check", "--input-type=module"]
    assert subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0
