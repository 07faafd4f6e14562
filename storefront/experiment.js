/** The experiment in the side panel: what is decided, what may be claimed, and how traffic moved. */

import { h } from "./view.js";

const SHOWN_BARS = 20;
const DECISIONS = { ship: "ships", keep_control: "stays", killed: "serves, because of a kill", undecided: "undecided" };
const count = (number) => new Intl.NumberFormat("en-US").format(number);
const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
const signed = (lift) => `${lift < 0 ? "−" : "+"}${Math.abs(lift * 100).toFixed(Math.abs(lift) < 1 ? 1 : 0)} %`;
const days = (number) => Number(number.toFixed(1));

/** Read the report and show it for the placements of this page. */
export async function showExperiment(id, placements) {
  const panel = document.getElementById("experiment");
  const response = await fetch(`/console/v1/experiments/${encodeURIComponent(id)}`).catch(() => null);
  if (!response?.ok) {
    panel.replaceChildren(h("p", { class: "quiet" }, response ? "No experiment runs." : "The report cannot be read."));
    return;
  }
  const open = [...panel.querySelectorAll("details")].map((details) => details.open); // a refresh leaves them as they are
  panel.replaceChildren(...parts(await response.json(), placements));
  panel.querySelectorAll("details").forEach((details, n) => (details.open = open[n] ?? details.open));
}

/** The elements of a report, most important first. */
export function parts(report, placements) {
  const { decision } = report;
  const shown = report.placements.filter(({ placement }) => placements.includes(placement));
  return [
    report.simulated && h("p", { class: "flag" }, "Simulated shoppers"),
    h("p", { class: "headline" }, report.headline),
    h(
      "p",
      { class: "quiet" },
      `${report.experiment_id} · rule ${decision.rule} · day ${days(report.days)}` +
        (decision.next_look_day === null ? "" : `, next look on day ${days(decision.next_look_day)}`) +
        ` · ${count(report.exposures)} exposures · ${count(report.clicks)} clicks`,
    ),
    ...report.killed.map((flag) => h("p", { class: "flag" }, `Killed: ${flag}`)),
    claims("May be claimed", report.may_claim, report.may_claim.length > 0),
    claims("So far, estimates that claim nothing", report.so_far, false),
    claims("May not be claimed", report.may_not_claim, false),
    ...shown.map((entry) => table(entry, report)),
  ].filter(Boolean);
}

function claims(title, sentences, open) {
  return h(
    "details",
    { class: "claims", open },
    h("summary", {}, `${title} (${sentences.length})`),
    sentences.length ? h("ul", { tabindex: "0" }, sentences.map((sentence) => h("li", {}, sentence))) : h("p", {}, "Nothing."),
  );
}

function table({ placement, variants, epochs }, report) {
  const row = (arm, k) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, arm.variant),
      h("td", { class: "share" }, bars(weights(placement, epochs, report).map((shares) => shares[k] ?? 0), arm), percent(arm.weight)),
      h("td", {}, percent(arm.probability_best)),
      h("td", {}, k === 0 ? "–" : lift(arm)),
    );
  const head = ["Variant", "Traffic", "P(best)", "Lift"].map((name) => h("th", { scope: "col" }, name));
  return h(
    "table",
    {},
    h("caption", {}, placement, h("span", { class: "quiet" }, ` ${state(report.decision.placements[placement])}`)),
    h("thead", {}, h("tr", {}, head)),
    h("tbody", {}, variants.map(row)),
  );
}

/** A lift is shown with its interval, and not at all while too little is known. */
function lift({ lift_median, lift_low, lift_high }) {
  return lift_median === null ? "–" : `${signed(lift_median)} (${signed(lift_low)} to ${signed(lift_high)})`;
}

function state({ status, variant, day, by }) {
  if (status === "undecided") return DECISIONS.undecided;
  return `${variant} ${DECISIONS[status]}${by === "operator" ? ", by hand" : ` since day ${days(day ?? 0)}`}`;
}

/** The weights over time: those of the history, and of single epochs where it has only begun. */
function weights(placement, epochs, report) {
  const told = report.history.map((row) => row.placements[placement]?.weights ?? []);
  return (told.length > 2 ? told : epochs.map((epoch) => epoch.weights)).slice(-SHOWN_BARS);
}

/** A bar for each moment: how the share of traffic moved. */
function bars(shares, { variant, weight }) {
  const moved = shares.length > 1 ? `${percent(shares[0])} to ${percent(weight)}` : percent(weight);
  return h(
    "span",
    { class: "spark", role: "img", "aria-label": `Traffic of ${variant} over time: ${moved}` },
    shares.map((share) => h("i", { style: `--share: ${share}` })),
  );
}
