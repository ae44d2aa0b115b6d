// A zip of files as they are, without compression: images do not get smaller.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});
const UTF8 = 0x800, VERSION = 20, DAY = 0x21; // 1980-01-01, the first day of the format

function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 0xff] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function record(mark, fields, ...rest) {
  const length = 4 + fields.reduce((sum, [size]) => sum + size, 0);
  const view = new DataView(new ArrayBuffer(length));
  view.setUint32(0, mark, true);
  let place = 4;
  for (const [size, value] of fields) {
    if (size === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += size;
  }
  return [view, ...rest];
}

// Returns a Blob. The files stay on the disk: one at a time is read for its checksum.
export async function zipped(entries, isCancelled) {
  const parts = [], list = [];
  let offset = 0, listLength = 0;
  for (const { path, file } of entries) {
    if (isCancelled()) return null;
    const name = new TextEncoder().encode(path);
    const sum = checksum(new Uint8Array(await file.arrayBuffer()));
    const common = [[2, VERSION], [2, UTF8], [2, 0], [2, 0], [2, DAY], [4, sum], [4, file.size], [4, file.size], [2, name.length], [2, 0]];
    parts.push(...record(0x04034b50, common, name, file));
    list.push(...record(0x02014b50, [[2, VERSION], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]], name));
    offset += 30 + name.length + file.size;
    listLength += 46 + name.length;
  }
  const end = record(0x06054b50, [[2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, listLength], [4, offset], [2, 0]]);
  return new Blob([...parts, ...list, ...end], { type: "application/zip" });
}
