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
document.addEventListener("htmx:afterSwap", (event) => renew(event.target));
renew();
setInterval(renew, 30000);
