// Pictures and frames of the camera for the network of a run.

import { $, address, ask, complain, droppable, made, say, show } from "./dom.js";

const PAUSE_MS = 150, LONGEST_SIDE = 640;
let run = null, stream = null;

export function trying(name) {
  if (name === run) return;
  run = name;
  leaveCamera();
  for (const id of ["picture", "video"]) show($(id), false);
  show($("picture-words"), true);
  complain($("try-problem"), "");
  say($("said"), "");
  say($("took"), "");
  $("labels").replaceChildren();
}

function tell({ labels, ms }) {
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  say($("said"), labels[0].label);
  say($("took"), `${ms.toFixed(ms < 1 ? 3 : 1)} ms with resizing, on this computer`);
  $("labels").replaceChildren(...labels.map(({ label, probability }) => {
    const row = made("li"), bar = made("progress", "", { max: 1, value: probability, "aria-label": `Probability of ${label}` });
    row.append(made("span", label), bar, made("span", percent(probability)));
    return row;
  }));
}

async function classify(picture) {
  const asked = run;
  try {
    const answer = await ask(address(asked, "answers"), picture);
    if (asked !== run) return true;
    complain($("try-problem"), "");
    tell(answer);
    return true;
  } catch (problem) {
    say($("said"), "");
    say($("took"), "");
    $("labels").replaceChildren();
    complain($("try-problem"), problem.message);
    return false;
  }
}

async function give(file) {
  if (!file) return;
  leaveCamera();
  const before = $("picture").src;
  $("picture").src = URL.createObjectURL(file);
  if (before) URL.revokeObjectURL(before);
  show($("video"), false);
  show($("picture-words"), false);
  show($("picture"), await classify(file));
  show($("picture-words"), $("picture").hidden);
}

function leaveCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("video").srcObject = null;
  show($("video"), false);
  $("camera").setAttribute("aria-pressed", "false");
  say($("camera"), "Use the camera");
}

async function useCamera() {
  if (stream) {
    leaveCamera();
    show($("picture-words"), true);
    return;
  }
  complain($("try-problem"), "");
  try {
    if (!navigator.mediaDevices) throw new Error("this browser gives none to this page");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (problem) {
    complain($("try-problem"), `The camera cannot be used: ${problem.message}.`);
    return;
  }
  $("camera").setAttribute("aria-pressed", "true");
  say($("camera"), "Leave the camera");
  for (const id of ["picture", "picture-words"]) show($(id), false);
  show($("video"), true);
  $("video").srcObject = stream;
  look(stream);
}

async function look(mine) {
  const video = $("video"), canvas = document.createElement("canvas");
  while (stream === mine) {
    if (video.videoWidth) {
      const scale = Math.min(1, LONGEST_SIDE / Math.max(video.videoWidth, video.videoHeight));
      canvas.width = Math.round(scale * video.videoWidth);
      canvas.height = Math.round(scale * video.videoHeight);
      canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
      const frame = await new Promise((found) => canvas.toBlob(found, "image/png"));
      if (stream !== mine) return;
      if (!await classify(frame)) return leaveCamera();
    }
    await new Promise((later) => setTimeout(later, PAUSE_MS));
  }
}

$("choose-picture").addEventListener("click", () => $("picture-file").click());
$("picture-file").addEventListener("change", () => { give($("picture-file").files[0]); $("picture-file").value = ""; });
$("camera").addEventListener("click", useCamera);
droppable($("picture-drop"), (transfer) => give(transfer.files[0]));
