/** The side panel: how the answer was made, and what this visit reported. */

import { h } from "./view.js";

const LEVELS = {
  prior: "prior: what is popular now, in this context",
  session: "session: what this visit shows",
  user: "user: history and this visit",
};
const SHOWN_EVENTS = 12;
const $ = (id) => document.getElementById(id);

/** "state;dur=1.2, total;dur=9" -> [["state", 1.2], ["total", 9]] */
export function timings(header) {
  return (header ?? "").split(",").filter(Boolean).map((part) => {
    const [name, duration] = part.trim().split(";dur=");
    return [name, Number(duration)];
  });
}

export function showAnswer({ answer, elapsedMs, serverTiming }) {
  const stages = timings(serverTiming);
  const total = stages.find(([name]) => name === "total")?.[1];
  const facts = [
    ["Personalization", LEVELS[answer.personalization_level] ?? answer.personalization_level],
    ["Evidence", meter(answer.evidence)],
    ["Round trip", `${elapsedMs.toFixed(0)} ms${total === undefined ? "" : `, of which ${total.toFixed(1)} ms in the function`}`],
    ["Stages", stages.filter(([name]) => name !== "total").map(([name, spent]) => `${name} ${spent.toFixed(1)}`).join(" · ") || "–"],
    ["Model", answer.model_version ?? "none"],
    ["Service", answer.degraded ? `degraded: ${answer.degraded_reason}` : "full"],
  ];
  $("facts").replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function meter(share) {
  const percent = Math.round(Math.min(1, Math.max(0, share ?? 0)) * 100);
  return h(
    "span",
    { class: "meter", role: "img", "aria-label": `${percent} percent` },
    h("span", { style: `width: ${percent}%` }),
    h("b", {}, `${percent} %`),
  );
}

const sent = [];

/** Events that the API answered, newest first. */
export function showEvents(batch, answer, nameOf) {
  const refused = new Map((answer.rejected ?? []).map((wrong) => [wrong.index, wrong]));
  batch.forEach((event, index) => sent.unshift({ event, refused: refused.get(index) }));
  sent.length = Math.min(sent.length, SHOWN_EVENTS);
  $("events").replaceChildren(...sent.map(({ event, refused: wrong }) => line(event, wrong, nameOf)));
}

export function forgetEvents() {
  sent.length = 0;
  $("events").replaceChildren(h("li", { class: "quiet" }, "No events yet."));
}

function line(event, wrong, nameOf) {
  const items = event.items ?? [];
  const about = event.search_term ?? (items.length === 1 ? nameOf(items[0].item_id) ?? items[0].item_id : items.length ? `${items.length} items` : "");
  const where = event.item_list_id ? ` in ${event.item_list_id}` : "";
  return h(
    "li",
    { class: wrong ? "refused" : event.event_name },
    h("time", {}, event.event_time.slice(11, 19)),
    h("span", {}, h("b", {}, event.event_name), ` ${about}${where}`, wrong ? ` refused: ${wrong.code}` : ""),
  );
}
