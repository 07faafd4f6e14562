// Events travel with the next request, which they change at once, and to /v1/events, which keeps them.
// An event_id counts once, so what is unsure is sent again. README.md here says how to use it.
const SILENCE_MS = 18e5; // 30 minutes end a visit
const GATHER_MS = 400;
const RETRY_MS = 5000; // doubled by each failure
const MAX_RETRY_MS = 3e5;
const TRIES = 4; // then the batch is halved, and what fails alone steps aside
const DWELL_MS = 500; // in view this long is seen
const BATCH = 20; // keepalive allows 64 kB
const uuid = () => crypto.randomUUID();

const consented = () => (navigator.globalPrivacyControl || navigator.doNotTrack === "1" ? "contextual" : "full");

export function createRecommender({ key, endpoint = "", visitorId, userId, consent = consented(), onSent }) {
  const store = consent === "full" ? localStorage : {};
  const visitor = visitorId ?? (store.rec_visitor ||= `v_${uuid()}`);
  let pending = []; // not yet acknowledged, oldest first
  let timer, busy;
  let size = BATCH, failures = 0;

  function ids() {
    const visit = `rec_visit_${visitor}`;
    let [session, last] = (store[visit] ?? " 0").split(" ");
    if (Date.now() - last > SILENCE_MS) session = `s_${uuid()}`;
    store[visit] = `${session} ${Date.now()}`;
    return { visitor_id: visitor, session_id: session, user_id: userId };
  }

  const post = (path, body, keepalive) =>
    fetch(endpoint + path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-publishable-key": key },
      body: JSON.stringify({ ...ids(), sent_at: new Date(), ...body }),
      keepalive,
    });

  function track(event_name, fields) {
    if (consent !== "full") return;
    const { session_id } = ids();
    pending.push({ event_id: uuid(), event_name, event_time: new Date().toISOString(), session_id, ...fields });
    timer ||= setTimeout(flush, GATHER_MS);
  }

  async function flush() {
    timer = clearTimeout(timer);
    const events = pending.slice(0, size);
    if (busy || !events[0]) return;
    busy = true;
    const response = await post("/v1/events", { events }, true).catch(() => 0);
    busy = false;
    const status = response.status;
    const unheard = !status || status === 429;
    const retry = unheard || status > 499;
    failures = retry ? failures + 1 : 0;
    const stuck = retry ? failures % TRIES === 0 : status === 400 || status === 413;
    if (stuck && events[1]) size = events.length >> 1;
    else if (stuck || !retry) {
      pending = pending.filter((event) => !events.includes(event));
      if (unheard) pending.push(...events);
      else onSent?.(events, await response.json().catch(() => ({})));
      if (response.ok) size = Math.min(BATCH, 2 * size);
    }
    if (pending[0]) timer ||= setTimeout(flush, failures && Math.min(RETRY_MS * 2 ** (failures - 1), MAX_RETRY_MS));
  }

  async function recommend(page, placements, context) {
    const started = performance.now();
    const response = await post("/v1/recommendations", {
      page,
      context: { ...context, consent },
      events: pending.slice(-100),
      placements: placements.map((placement) => ({ placement })),
    });
    const answer = await response.json();
    if (!response.ok) throw Error(answer.detail);
    return { answer, elapsedMs: performance.now() - started, serverTiming: response.headers.get("server-timing") };
  }

  function observe(element, { item_list_id, attribution_token, items }) {
    const ordered = items.map((item) => item.item_id);
    const inView = new Set();
    let wait;
    const report = (name, elements, fields) =>
      track(name, {
        item_list_id, attribution_token, ...fields,
        items: elements.map(({ dataset: { itemId } }) => ({ item_id: itemId, index: ordered.indexOf(itemId) })),
      });
    const seen = () => {
      if (inView.size) report("view_item_list", [...inView], { visible: true });
      inView.forEach((item) => observer.unobserve(item));
      inView.clear();
    };
    const observer = new IntersectionObserver((changes) => {
      for (const { isIntersecting, target } of changes) inView[isIntersecting ? "add" : "delete"](target);
      clearTimeout(wait);
      wait = setTimeout(seen, DWELL_MS);
    }, { threshold: 0.5 });
    for (const item of element.querySelectorAll("[data-item-id]")) observer.observe(item);
    element.addEventListener("click", ({ target }) => {
      const item = target.closest("a")?.closest("[data-item-id]");
      if (item) report("select_item", [item]);
    });
  }

  addEventListener("visibilitychange", flush);
  addEventListener("pagehide", flush);
  return { track, flush, recommend, observe, visitor };
}
