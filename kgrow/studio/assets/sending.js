// Images on their way to the studio: what was dropped or chosen, as one zip.

import { zipped } from "./zip.js";

const isShown = (path) => !path.split("/").some((name) => name.startsWith(".") || name === "__MACOSX");

async function* below(entry, folder = "") {
  const path = folder + entry.name;
  if (entry.isFile) {
    yield { path, file: await new Promise((found, failed) => entry.file(found, failed)) };
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed)); // at most a hundred at a time
    if (some.length === 0) return;
    for (const each of some) yield* below(each, `${path}/`);
  }
}

// Returns the files of a drop, each with its path. The entries have to be taken before anything is awaited.
export async function dropped(transfer) {
  const items = [...transfer.items].filter(({ kind }) => kind === "file").map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const entries = items.map(([entry]) => entry).filter(Boolean);
  const found = items.filter(([entry]) => !entry).map(([, file]) => ({ path: file.name, file }));
  for (const entry of entries) for await (const each of below(entry)) found.push(each);
  return found;
}

export const chosen = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

// Returns { name, blob } of what was given: a zip as it is, or a zip of the files; null where it was cancelled.
export async function packed(found, limits, isCancelled) {
  if (found.length === 1 && /\.zip$/i.test(found[0].path)) return { name: found[0].file.name, blob: found[0].file };
  const entries = found.filter(({ path }) => isShown(path));
  const bytes = entries.reduce((sum, { file }) => sum + file.size, 0);
  if (!entries.some(({ path }) => path.includes("/")))
    throw new Error("These are files without a folder. Drop the folder that has one sub-folder per class.");
  if (entries.length > limits.files || bytes > limits.bytes)
    throw new Error(`A folder may have ${limits.files} files and ${limits.bytes} bytes, but this one has ${entries.length} and ${bytes}. Type its path below instead.`);
  const tops = new Set(entries.map(({ path }) => path.split("/")[0]));
  const blob = await zipped(entries, isCancelled);
  return blob && { name: tops.size === 1 ? [...tops][0] : "images", blob };
}

// Sends a zip; returns the request, so that it can be aborted, and the answer that will come.
export function sent({ name, blob }, told) {
  const request = new XMLHttpRequest();
  const answer = new Promise((found, failed) => {
    request.upload.onprogress = (event) => told(event.loaded / event.total);
    request.onload = () => {
      let content = {};
      try { content = JSON.parse(request.responseText); } catch { /* a refusal in plain words */ }
      if (request.status === 200) found(content);
      else failed(new Error(content.error || request.responseText));
    };
    request.onerror = () => failed(new Error("The images could not be sent."));
    request.onabort = () => found(null);
  });
  request.open("POST", `uploads?name=${encodeURIComponent(name)}`);
  request.send(blob);
  return { request, answer };
}
