// The board's JSON. An error is a message that says what to do.

async function answered(response) {
  let document;
  try {
    document = await response.json();
  } catch {
    throw new Error(`the board answered ${response.status} without JSON.`);
  }
  if (!response.ok) throw new Error(document.error || `the board answered ${response.status}.`);
  return document;
}

async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the board does not answer. Is `oasis-alloc board` still running?");
  }
  return answered(response);
}

export function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given).toString();
  return asked(`/api/${path}${text ? `?${text}` : ""}`, { signal });
}

export const post = (path, body, signal = undefined) =>
  asked(`/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
