// Requests to the server, and files for the person who looks.

/**
 * Fire with an answer: `ok`, `status`, `url`, `headers`, and `text`, or `content` when it is ok and is read by `read`.
 * `cache` is the mode of the browser's cache.
 */
export async function ask(address, { read, cache = "default" } = {}) {
  try {
    const response = await fetch(address, { cache });
    const { ok, status, url, headers } = response;
    return { ok, status, url, headers, ...(ok && read ? { content: await read(response) } : { text: await response.text() }) };
  } catch {
    return { ok: false, status: 0, text: "" };
  }
}

/** Have the browser save a blob as a file. */
export function save(content, filename) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = filename;
  link.click();
  // Not at once: the browser has yet to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
