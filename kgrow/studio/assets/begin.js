// The form of a new search.

import { $, ask, complain, droppable, made, say, show } from "./dom.js";
import { chosen, dropped, packed, sent } from "./sending.js";

let choices = null, sending = null;

const kilobytes = (bytes) => bytes < 1e6 ? `${Math.round(bytes / 1e3)} KB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;

export async function prepare() {
  choices = await ask("choices");
  say($("out"), choices.out);
  for (const { name, what } of choices.devices) $("device").append(made("option", what, { value: name }));
  for (const data of choices.data) $("known").append(made("option", "", { value: data }));
}

function tellDevice() {
  const found = choices.devices.find(({ name }) => name === $("device").value);
  say($("device-words"), found
    ? `${kilobytes(found.flash)} of flash, ${kilobytes(found.ram)} of RAM. The network uses at most half of both.`
    : "The network may be of any size.");
}

async function give(found) {
  complain($("new-problem"), "");
  $("classes").replaceChildren();
  const ours = { isCancelled: false, request: null };
  sending?.request?.abort();
  sending = ours;
  show($("sending"), true);
  say($("sending-words"), "Reading the files");
  $("sent").removeAttribute("value");
  $("start").disabled = true;
  try {
    const zip = await packed(await found, choices.limits, () => ours.isCancelled);
    if (!zip || ours.isCancelled) return;
    say($("sending-words"), `Sending ${zip.name}`);
    const { request, answer } = sent(zip, (share) => {
      $("sent").value = share;
      if (share === 1) { say($("sending-words"), "Unpacking"); $("sent").removeAttribute("value"); }
    });
    ours.request = request;
    const got = await answer;
    if (got && !ours.isCancelled) tellClasses(got);
  } catch (problem) {
    if (!ours.isCancelled) complain($("new-problem"), problem.message);
  } finally {
    if (sending === ours) {
      sending = null;
      show($("sending"), false);
      $("start").disabled = false;
    }
  }
}

function tellClasses({ data, classes }) {
  const names = Object.keys(classes), total = Object.values(classes).reduce((sum, count) => sum + count, 0);
  $("data").value = data;
  $("known").append(made("option", "", { value: data }));
  const list = made("ul", "", { class: "chips" });
  for (const name of names) list.append(made("li", `${name} ${classes[name]}`));
  $("classes").replaceChildren(made("p", `${total} files in ${names.length} ${names.length === 1 ? "folder" : "folders"}`, { class: "found" }), list);
}

async function start(event) {
  event.preventDefault();
  complain($("new-problem"), "");
  const data = $("data").value.trim(), amount = $("amount").value.trim();
  if (!data) { complain($("new-problem"), "Give images first: drop a folder, or type its path or the name of a data set."); $("data").focus(); return; }
  if (!$("amount").checkValidity()) { complain($("new-problem"), "The time must be a whole number, 1 or more. Empty means as long as it takes."); $("amount").focus(); return; }
  $("start").disabled = true;
  try {
    const wanted = { data, device: $("device").value, max_time: amount && amount + $("unit").value };
    const { run } = await ask("searches", JSON.stringify(wanted));
    $("classes").replaceChildren();
    location.hash = `run=${encodeURIComponent(run)}`;
  } catch (problem) {
    complain($("new-problem"), problem.message);
  } finally {
    $("start").disabled = false;
  }
}

$("new").addEventListener("submit", start);
$("device").addEventListener("change", tellDevice);
$("choose-folder").addEventListener("click", () => $("folder").click());
$("choose-zip").addEventListener("click", () => $("zip").click());
for (const id of ["folder", "zip"])
  $(id).addEventListener("change", () => {
    const found = chosen($(id));
    $(id).value = ""; // the same one may be chosen again
    if (found.length) give(found);
  });
$("cancel").addEventListener("click", () => {
  if (!sending) return;
  sending.isCancelled = true;
  sending.request?.abort();
  show($("sending"), false);
});
droppable($("drop"), (transfer) => give(dropped(transfer)));
