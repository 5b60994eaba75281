// The page of a run: copy commands, follow logs, keep the end of a log in sight.

function showCopying() {
  for (const button of document.querySelectorAll("[data-copy]")) button.hidden = false;
}
showCopying();
document.addEventListener("refreshed", showCopying);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1500);
});

// A row of a closed table is opened when a link leads to it.
function reveal() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const closed = target && target.closest("details:not([open])");
  if (closed) {
    closed.open = true;
    target.scrollIntoView();
  }
}
addEventListener("hashchange", reveal);
reveal();

const MOST = 400000; // letters of a log that stay on the page
const ESCAPES = /\x1b(?:\[[0-9;:?]*[ -\/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;

for (const log of document.querySelectorAll("pre.log")) {
  log.scrollTop = log.scrollHeight;
  if (!log.dataset.follow) continue;
  const source = new EventSource(log.dataset.follow);
  let first = true;
  const add = (event) => {
    const found = JSON.parse(event.data);
    const text = (Array.isArray(found) ? found : [found]).map((one) => (typeof one === "string" ? one : one.text).replace(ESCAPES, "")).join("\n");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    if (first) log.textContent = "";
    first = false;
    log.append((log.textContent ? "\n" : "") + text);
    if (log.textContent.length > MOST) log.textContent = log.textContent.slice(-MOST / 2);
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  source.addEventListener("message", add);
  source.addEventListener("lines", add);
  source.addEventListener("end", () => source.close());
}
