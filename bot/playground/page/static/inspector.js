/** The inspector: reads the traffic once a second, and sets the switches of Slack's variant. */

import { el, updateChildren } from "./dom.js";

const EVERY_MS = 1000; // between two reads
const list = document.getElementById("exchanges");
const nothing = document.getElementById("nothing");
const search = document.getElementById("search");
const refusedOnly = document.getElementById("refused-only");
const paused = document.getElementById("paused");
const switches = document.getElementById("switches");
const problem = document.getElementById("problem");

let revision = "";
let exchanges = [];
const opened = new Set(); // keys of the exchanges whose payload is open

async function read() {
  if (paused.checked) return;
  const response = await fetch(`/page/traffic?revision=${encodeURIComponent(revision)}`);
  if (response.status === 204) return;
  if (!response.ok) throw new Error("The playground refused to show its traffic.");
  const traffic = await response.json();
  revision = traffic.revision;
  exchanges = traffic.exchanges;
  renderExchanges();
  if (!switches.contains(document.activeElement)) renderSwitches(traffic.switches);
}

function renderExchanges() {
  const words = search.value.trim().toLowerCase();
  const found = (exchange) =>
    (!refusedOnly.checked || exchange.refused) &&
    (!words || `${exchange.name} ${exchange.outcome} ${exchange.payload}`.toLowerCase().includes(words));
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const shown = exchanges.filter(found);
  updateChildren(list, shown.map(row));
  nothing.hidden = shown.length > 0;
  nothing.textContent = exchanges.length ? "Nothing matches." : "Nothing yet. Write to the bot in the workspace.";
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function row(exchange) {
  const key = `${exchange.direction} ${exchange.name} ${exchange.at}`;
  const isIn = exchange.direction === "in";
  const took = exchange.took_ms === null ? "" : `${exchange.took_ms} ms`;
  const attempt = exchange.attempt > 1 ? ` (attempt ${exchange.attempt})` : "";
  const summary = el(
    "summary",
    {},
    el("time", {}, new Date(exchange.at * 1000).toLocaleTimeString()),
    el("span", { class: "direction" }, isIn ? "event →" : "← call"),
    el("code", { class: "name" }, exchange.name + attempt),
    el("span", { class: "outcome" }, exchange.outcome),
    el("span", { class: "took" }, took),
  );
  const details = el("details", { open: opened.has(key) }, summary, el("pre", {}, exchange.payload));
  details.addEventListener("toggle", () => (details.open ? opened.add(key) : opened.delete(key)));
  return el("li", { class: exchange.refused ? "refused" : "", data: { name: exchange.name } }, details);
}

function renderSwitches(all) {
  switches.replaceChildren(
    ...all.map((each) => {
      const id = `switch-${each.name}`;
      const label = el("label", { for: id }, el("code", {}, each.name));
      return el("div", { class: "switch" }, label, control(each, id), el("p", { class: "aside" }, each.about));
    }),
  );
}

function control({ name, value, choices }, id) {
  const onchange = (event) => set(name, choices.length ? event.target.value : Number(event.target.value));
  if (!choices.length) return el("input", { id, type: "number", min: "1", value: String(value), onchange });
  const options = choices.map((choice) => el("option", { value: choice, selected: choice === value }, choice));
  return el("select", { id, onchange }, options);
}

async function set(name, value) {
  const response = await fetch("/page/switch", { method: "POST", body: JSON.stringify({ name, value }) });
  const { ok, error } = await response.json();
  showProblem(ok ? "" : error);
}

function showProblem(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

async function keepReading() {
  try {
    await read();
    if (problem.dataset.lost) showProblem("");
    delete problem.dataset.lost;
  } catch {
    problem.dataset.lost = "yes";
    showProblem("The playground cannot be reached. Is it still running?");
  }
  setTimeout(keepReading, EVERY_MS);
}

search.addEventListener("input", renderExchanges);
refusedOnly.addEventListener("change", renderExchanges);
keepReading();
