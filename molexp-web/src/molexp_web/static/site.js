// Ages of times, written anew each half minute: <time datetime="2026-01-01T00:00:00Z">.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

export function age(text) {
  const seconds = (Date.now() - Date.parse(text)) / 1000;
  if (Number.isNaN(seconds)) return "";
  for (const [unit, length] of UNITS) if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  return seconds < 5 ? "just now" : "less than a minute ago";
}

export function renew(within = document) {
  for (const time of within.querySelectorAll("time[datetime][data-age]")) {
    const text = age(time.dateTime);
    if (text && text !== time.textContent) time.textContent = text;
  }
}

// What became of a form is said once: not again when the page is loaded anew, and not in a link that somebody sends.
const here = new URL(location.href);
if (here.searchParams.has("done")) {
  here.searchParams.delete("done");
  history.replaceState(history.state, "", here);
}

// One menu is open at a time, and Escape closes it.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

// Parts of a page stay up to date as long as an element says which, by their ids, and somebody may look:
// <div data-parts="head tasks">. The browser sends the page's ETag, so a page that is as it was costs a few bytes.
const PERIOD = 3000;
let shown = null;

async function refresh() {
  const parts = document.querySelector("[data-parts]")?.dataset.parts.split(" ");
  if (!parts || document.hidden) return;
  const response = await fetch(location.href).catch(() => null); // the server is away: try again later
  if (!response?.ok || response.headers.get("etag") === shown) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  shown = response.headers.get("etag");
  for (const id of parts) {
    const fresh = page.getElementById(id);
    const old = document.getElementById(id);
    const busy = old?.contains(document.activeElement) || old?.querySelector("details.menu[open]"); // somebody types there
    if (fresh && old && !busy && !old.isEqualNode(fresh)) old.replaceWith(document.adoptNode(fresh));
  }
  renew();
  document.dispatchEvent(new CustomEvent("refreshed", { detail: page }));
}

renew();
setInterval(renew, 30000);
setInterval(refresh, PERIOD);
document.addEventListener("visibilitychange", refresh);
