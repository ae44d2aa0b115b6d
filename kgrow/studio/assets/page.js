// The two views, runs and one run, and what the studio says of them once a second.

import { prepare } from "./begin.js";
import { $, address, ask, complain, made, say, show } from "./dom.js";
import { trying } from "./trying.js";

const ASK_MS = 1000, FRAME_MS = 4000;
const PHASES = {
  searching: "Searching.",
  stopping: "Stopping. The best network so far is being exported.",
  reporting: "The search has ended. Its report is being written.",
};
let state = { current: null, runs: [] }, framed = { run: null, report: null, at: 0 };

const opened = () => location.hash.startsWith("#run=") ? decodeURIComponent(location.hash.slice(5)) : null;
const isRunning = (search) => search !== null && search.phase in PHASES;
const quoted = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;

function drawRuns() {
  const own = isRunning(state.current) ? state.current.run : null;
  const runs = own === null || state.runs.some(({ name }) => name === own) ? state.runs : [{ name: own }, ...state.runs];
  const rows = runs.map((run) => [run.name, run.name === own ? "Running now" : words(run)]);
  const key = JSON.stringify(rows);
  if ($("runs").dataset.key === key) return; // a list that is drawn anew loses the focus
  $("runs").dataset.key = key;
  $("runs").replaceChildren(...rows.map(([name, text]) => {
    const item = made("li"), link = made("a", "", { href: `#run=${encodeURIComponent(name)}` });
    link.append(made("strong", name), made("span", text, { class: "quiet" }));
    item.append(link);
    return item;
  }));
  show($("no-runs"), rows.length === 0);
}

function words(run) {
  if (run.state === "done") return run.answer;
  return run.state === "unfinished" ? "Not finished. It can go on." : `Cannot be read: ${run.error}`;
}

function drawRun(name) {
  const run = state.runs.find((each) => each.name === name) ?? { name };
  const search = state.current?.run === name ? state.current : null, running = isRunning(search);
  say($("name"), name);
  const isDone = run.state === "done" && (!running || search.phase === "reporting");
  say($("answer"), isDone ? run.answer : "");
  show($("answer"), isDone);
  say($("note"), isDone && !run.complete ? "The search was ended before all its trials." : "");
  show($("note"), isDone && !run.complete);
  show($("live"), running);
  if (running) drawLive(search);
  show($("unfinished"), run.state === "unfinished" && !running);
  show($("again"), Boolean(run.command));
  say($("unfinished-words"), run.command
    ? "This search was interrupted. It goes on where it stopped."
    : "The images of this search were held in memory. Give the Python call that began it again.");
  const unknown = !run.state && search === null ? "There is no such run." : "";
  complain($("run-problem"), running ? "" : search?.error || run.error || unknown || problemOf(name));
  const command = search?.command ?? run.command;
  show($("typed"), Boolean(command));
  say($("command"), command ? command.map(quoted).join(" ") : "");
  show($("try"), isDone);
  show($("take"), isDone);
  $("bundle").setAttribute("href", address(name, "bundle"));
  if (isDone) trying(name); else trying(null);
  drawReport(name, run.report ?? null, running);
}

let problem = { run: null, text: "" };
const problemOf = (name) => problem.run === name ? problem.text : "";

function drawLive(search) {
  const { phase, trial, number, trials, epoch, epochs, best, left, news } = search;
  say($("status"), phase === "searching" && epoch === null ? "Starting. The images are being read." : PHASES[phase]);
  say($("news"), news);
  say($("trial"), trial === null ? "–" : number === null ? trial : `${number} of ${trials}`);
  say($("epoch"), epoch === null ? "–" : `${epoch} of ${epochs}`);
  say($("best"), best === null ? "–" : `${best.toFixed(1)} %`);
  say($("left"), phase === "searching" && left ? left.replace(/ left$/, "") : "–");
  if (phase === "searching" && epoch !== null) $("done").value = epoch / epochs;
  else $("done").removeAttribute("value");
  show($("stop"), phase === "searching");
}

// The new page is loaded behind the old one, which it then replaces: nothing flashes.
function drawReport(name, report, running) {
  show($("report"), report !== null);
  if (framed.run !== name) {
    $("frames").replaceChildren();
    framed = { run: name, report: null, at: 0 };
  }
  const isSoon = running && Date.now() - framed.at < FRAME_MS;
  if (report === null || report === framed.report || isSoon) return;
  framed = { run: name, report, at: Date.now() };
  const source = `${address(name, "report")}?${report}`;
  const frame = made("iframe", "", { src: source, class: "coming", title: `Report of ${name}`, sandbox: "allow-scripts" });
  frame.addEventListener("load", () => {
    frame.classList.remove("coming");
    for (const other of [...$("frames").children]) if (other !== frame && !other.classList.contains("coming")) other.remove();
  });
  $("frames").append(frame);
  $("whole").setAttribute("href", address(name, "report"));
}

let shown;
function draw() {
  const name = opened();
  show($("home"), name === null);
  show($("run"), name !== null);
  document.title = name === null ? "kgrow studio" : `${name} – kgrow studio`;
  if (name === null) { drawRuns(); trying(null); } else drawRun(name);
  if (shown !== undefined && shown !== name) {
    scrollTo(0, 0);
    (name === null ? document.querySelector("#home h1") : $("name")).focus();
  }
  shown = name;
}

async function refresh() {
  try {
    state = await ask("state");
    show($("gone"), false);
    draw();
  } catch {
    show($("gone"), true);
  }
}

async function act(name, address_) {
  problem = { run: name, text: "" };
  try {
    await ask(address_, "");
  } catch (found) {
    problem = { run: name, text: found.message };
  }
  await refresh();
}

$("stop").addEventListener("click", () => act(opened(), "stop"));
$("again").addEventListener("click", () => act(opened(), address(opened(), "again")));
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText($("command").textContent);
  say($("copy"), "Copied");
  setTimeout(() => say($("copy"), "Copy"), 2000);
});
addEventListener("hashchange", refresh);
addEventListener("dragover", (event) => event.preventDefault()); // a picture beside the field does not leave the page
addEventListener("drop", (event) => event.preventDefault());

await prepare().catch(() => show($("gone"), true));
for (;;) {
  await refresh();
  await new Promise((later) => setTimeout(later, ASK_MS));
}
