/** Drawing: elements, money, placeholder tiles, product cards and the rails of a page. No requests here. */

const money = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });

export const price = (amount) => money.format(amount);

/** An element: h("p", { class: "x", onclick }, "text", child). Text is never parsed as HTML. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** The last part of a category path, in sentence case where the source shouts. */
export function leaf(category) {
  return title(category?.split(" > ").at(-1) ?? "");
}

export function title(text) {
  const shouted = text === text.toUpperCase();
  return shouted ? text.charAt(0) + text.slice(1).toLowerCase() : text;
}

/** A stand-in for a product photo: initials of the category on a colour made from its name. */
export function tile(category, size = "small") {
  const words = leaf(category).split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const initials = words.slice(0, 2).map((word) => word[0].toUpperCase()).join("") || "?";
  let hash = 7;
  for (const letter of category ?? "") hash = (hash * 31 + letter.codePointAt(0)) % 3600;
  return h("span", { class: `tile ${size}`, style: `--hue: ${hash / 10}`, "aria-hidden": "true" }, initials);
}

const REASONS = {
  matches_your_taste: () => "Matches your taste",
  bought_before: () => "You bought this before",
  session_affinity: (reason, name) => (name ? `Goes with ${name}` : "Fits this visit"),
  viewed_recently: () => "You looked at this",
  bought_together: (reason, name) => (name ? `Bought with ${name}` : "Often bought together"),
  similar_content: (reason, name) =>
    reason.attribute === "search_term" ? "Close to your search" : name ? `Similar to ${name}` : "Similar item",
  popular_in_category: () => "Popular in its category",
  popular: () => "Popular",
  trending: () => "Trending now",
  segment: () => "Popular with shoppers like you",
  fallback: () => "Shop favourite",
};

/** A reason in the shopper's words; `nameOf` knows the items seen so far. */
export function reasonText(reason, nameOf) {
  const known = reason.seed_item_id ? nameOf(reason.seed_item_id) : undefined;
  const short = known && known.length > 28 ? `${known.slice(0, 27).trimEnd()}…` : known;
  return (REASONS[reason.code] ?? (() => reason.code.replaceAll("_", " ")))(reason, short);
}

/** What happened to an item since its list was last drawn: "new", places moved up, or nothing. */
function change(item, before) {
  if (!before) return null;
  const was = before.indexOf(item.item_id);
  if (was < 0) return { kind: "new", label: "New" };
  if (was > item.index) return { kind: "up", label: `↑ ${was - item.index}` };
  return null;
}

function card(item, before, nameOf) {
  const moved = change(item, before);
  return h(
    "li",
    { class: `card ${moved?.kind ?? ""}`, "data-item-id": item.item_id },
    h(
      "a",
      { href: `#/product/${encodeURIComponent(item.item_id)}` },
      tile(item.category),
      h("span", { class: "name" }, title(item.title)),
      h("span", { class: "price" }, price(item.price)),
      h("span", { class: "reasons" }, item.reasons.map((reason) => reasonText(reason, nameOf)).join(" · ")),
    ),
    moved && h("span", { class: "badge" }, moved.label),
  );
}

/** One placement as a rail of cards, nothing to see where it is hidden; `before` are the item ids it last showed, if it did. */
export function rail(list, before, nameOf) {
  const heading = `rail-${list.placement}`;
  if (list.hidden_reason) return h("section", { hidden: true, "data-hidden-reason": list.hidden_reason });
  if (list.error || !list.items.length) {
    const why = list.error?.detail ?? "Nothing fits here yet.";
    return h("section", { class: "rail" }, h("h2", {}, list.item_list_name ?? list.placement), h("p", { class: "quiet" }, why));
  }
  return h(
    "section",
    { class: "rail", "aria-labelledby": heading },
    h(
      "header",
      {},
      h("h2", { id: heading }, list.item_list_name),
      h("code", { title: "placement and the policy that filled it" }, `${list.placement} · ${list.experiment?.variant ?? ""}`),
    ),
    h("ul", { class: "cards" }, list.items.map((item) => card(item, before, nameOf))),
  );
}
