/**
 * The demo shop: pages by the address after "#", a cart, and the recommendations of each page.
 * Everything it knows of recommending is in recommender.js; everything it draws is in view.js.
 */

import { forgetEvents, showAnswer, showEvents } from "./console.js";
import { showExperiment } from "./experiment.js";
import { createRecommender } from "./recommender.js";
import { h, leaf, price, rail, tile, title } from "./view.js";

const PLACEMENTS = {
  home: ["home_hero", "home_continue", "home_trending"],
  category: ["category_top"],
  search: ["search_fallback"],
  product: ["pdp_bought_together", "pdp_similar", "pdp_also_viewed", "pdp_recently_viewed"],
  cart: ["atc_drawer", "cart_cross_sell"],
  order: ["order_next"],
};
const DEFAULT_EXPERIMENT = "exp_default"; // until an answer names the one in force
const NEW_VISITOR = "new";
const EXPERIMENT_EVERY_MS = 10_000;

const $ = (id) => document.getElementById(id);
const known = new Map(); // item id -> facts, as far as this page has seen them
const shown = new Map(); // placement -> item ids it last showed
let recommender, config, shopper, cart, page, turn = 0, experiment = DEFAULT_EXPERIMENT;

const nameOf = (id) => (known.has(id) ? title(known.get(id).title) : undefined);
const lines = () => [...cart].map(([id, quantity]) => ({ item_id: id, quantity, price: known.get(id)?.price }));

async function start() {
  config = await (await fetch("/shop-config.json")).json();
  for (const item of config.items) known.set(item.item_id, item);
  $("shopper").append(
    h("option", { value: NEW_VISITOR }, "New visitor"),
    h("optgroup", { label: "Households" }, config.households.map((id) => h("option", { value: id }, `Household ${id}`))),
  );
  const link = (category) => h("a", { href: `#/category/${encodeURIComponent(category)}` }, leaf(category));
  $("categories").append(...config.categories.map(link));
  $("shopper").addEventListener("change", ({ target }) => enter(target.value));
  $("search").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const term = $("term").value.trim();
    if (term) location.hash = `#/search/${encodeURIComponent(term)}`;
  });
  $("refresh").addEventListener("click", report);
  addEventListener("hashchange", open);
  setInterval(() => document.visibilityState === "visible" && report(), EXPERIMENT_EVERY_MS);
  enter(sessionStorage.shopper ?? NEW_VISITOR);
}

/** Become this household, or somebody nobody has seen; either begins a visit with an empty cart. */
async function enter(who) {
  await recommender?.flush();
  shopper = who;
  cart = new Map();
  shown.clear();
  forgetEvents();
  sessionStorage.shopper = $("shopper").value = who;
  const user = who === NEW_VISITOR ? undefined : who;
  recommender = createRecommender({
    key: config.publishable_key,
    visitorId: `v_${crypto.randomUUID()}`,
    userId: user,
    consent: "full",
    onSent: (batch, answer) => showEvents(batch, answer, nameOf),
  });
  countCart();
  if (location.hash.length > 2) location.hash = "#/";
  else open();
}

/** The page that the address names, with what it tells the recommender. */
function open() {
  const [, type = "home", argument = ""] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const pages = { "": home, category, product, search, cart: cartPage, order };
  scrollTo(0, 0);
  if (type !== "search") $("term").value = "";
  return (pages[type] ?? home)(argument);
}

function home() {
  page = { type: "home" };
  const who = shopper === NEW_VISITOR ? "Welcome" : "Welcome back";
  const hint =
    shopper === NEW_VISITOR
      ? "Nobody has seen this visitor before. Open a product and watch the lists follow."
      : `Household ${shopper} has shopped here for a year.`;
  draw(h("div", { class: "intro" }, h("h1", {}, who), h("p", {}, hint)));
}

function category(path) {
  page = { type: "category", category: path };
  draw(h("div", { class: "intro" }, h("h1", {}, leaf(path)), h("p", {}, path.split(" > ").map(title).join(" › "))));
}

function search(term) {
  page = { type: "search", search_term: term };
  $("term").value = term;
  recommender.track("search", { search_term: term });
  draw(h("div", { class: "intro" }, h("h1", {}, `“${term}”`)));
}

async function product(id) {
  page = { type: "product", item_id: id };
  const wanted = page;
  const item = await facts(id);
  if (page !== wanted) return; // left while the facts were on their way
  if (!item) return draw(h("div", { class: "intro" }, h("h1", {}, "This product is not in the catalogue.")), []);
  page.category = item.category;
  recommender.track("view_item", { items: [{ item_id: id, price: item.price }] });
  const add = () => {
    cart.set(id, (cart.get(id) ?? 0) + 1);
    recommender.track("add_to_cart", { items: [{ item_id: id, quantity: 1, price: item.price }] });
    countCart();
    fill(`${title(item.title)} is in the cart.`);
  };
  draw(
    h(
      "article",
      { class: "product" },
      tile(item.category, "large"),
      h(
        "div",
        {},
        h("h1", {}, title(item.title)),
        item.brand && h("p", { class: "brandname" }, title(item.brand)),
        h("p", { class: "price" }, price(item.price)),
        item.description && h("p", {}, item.description),
        h("a", { href: `#/category/${encodeURIComponent(item.category)}` }, item.category.split(" > ").map(title).join(" › ")),
        h("button", { type: "button", class: "primary", onclick: add }, "Add to cart"),
      ),
    ),
  );
}

function cartPage() {
  page = { type: "cart" };
  recommender.track("view_cart", { items: lines() });
  drawCart();
}

function drawCart() {
  if (!cart.size) return draw(h("div", { class: "intro" }, h("h1", {}, "Your cart is empty")));
  const total = lines().reduce((sum, { quantity, price: each }) => sum + quantity * (each ?? 0), 0);
  const remove = (id, quantity) => {
    cart.delete(id);
    recommender.track("remove_from_cart", { items: [{ item_id: id, quantity }] });
    countCart();
    drawCart();
  };
  const row = ([id, quantity]) =>
    h(
      "li",
      {},
      tile(known.get(id)?.category),
      h("a", { href: `#/product/${encodeURIComponent(id)}` }, nameOf(id) ?? id),
      h("span", {}, `${quantity} × ${price(known.get(id)?.price ?? 0)}`),
      h("button", { type: "button", class: "plain", onclick: () => remove(id, quantity), "aria-label": `Remove ${nameOf(id)}` }, "Remove"),
    );
  draw(
    h(
      "section",
      { class: "basket" },
      h("h1", {}, "Your cart"),
      h("ul", {}, [...cart].map(row)),
      h("p", { class: "total" }, "Total ", h("b", {}, price(total))),
      h("button", { type: "button", class: "primary", onclick: buy }, "Buy"),
    ),
  );
}

function buy() {
  const transaction_id = `T_${crypto.randomUUID()}`;
  recommender.track("purchase", { transaction_id, items: lines() });
  cart.clear();
  countCart();
  location.hash = `#/order/${transaction_id}`;
}

function order(id) {
  page = { type: "order" };
  draw(h("div", { class: "intro" }, h("h1", {}, "Thank you"), h("p", {}, `Order ${id.slice(0, 10)} is on its way, in this demo at least.`)));
}

/** Put the page's own content in place, then fill its placements. */
function draw(content, placements = PLACEMENTS[page.type]) {
  $("page").replaceChildren(content);
  document.title = `${content.querySelector("h1").textContent} · Corner Market`;
  $("rails").replaceChildren();
  $("main").focus({ preventScroll: true });
  return placements.length ? fill() : undefined;
}

/** Ask for the placements of this page and show what changed since they were last shown. */
async function fill(message = "") {
  const mine = ++turn;
  const asked = page;
  $("rails").setAttribute("aria-busy", "true");
  try {
    const result = await recommender.recommend(asked, PLACEMENTS[asked.type], { cart_item_ids: [...cart.keys()] });
    if (mine !== turn) return; // a newer answer is on its way
    showRails(result.answer);
    showAnswer(result);
    say(result.answer.degraded ? "Simpler recommendations for the moment." : message);
  } catch (error) {
    if (mine === turn) say(`No recommendations: ${error.message}`);
  } finally {
    if (mine === turn) $("rails").setAttribute("aria-busy", "false");
  }
  report();
}

function showRails(answer) {
  experiment = answer.placements.find((list) => list.experiment?.id)?.experiment.id ?? experiment;
  for (const { items = [] } of answer.placements) for (const item of items) known.set(item.item_id, { ...known.get(item.item_id), ...item });
  const rails = answer.placements.map((list) => rail(list, shown.get(list.placement), nameOf));
  $("rails").replaceChildren(...rails);
  answer.placements.forEach((list, n) => {
    if (list.error) return;
    shown.set(list.placement, list.items.map((item) => item.item_id));
    if (list.attribution_token) recommender.observe(rails[n], list);
  });
}

async function facts(id) {
  if (!known.get(id)?.brand && !known.get(id)?.description) {
    const response = await fetch(`/shop-items/${encodeURIComponent(id)}`).catch(() => null);
    if (response?.ok) known.set(id, { ...known.get(id), ...(await response.json()) });
  }
  return known.get(id);
}

const report = () => showExperiment(experiment, PLACEMENTS[page?.type] ?? []);

function countCart() {
  $("cart-count").textContent = [...cart.values()].reduce((sum, quantity) => sum + quantity, 0);
}

function say(message) {
  $("notice").textContent = message;
  $("notice").hidden = !message;
}

start().catch((error) => say(`The shop cannot start: ${error.message}`));
