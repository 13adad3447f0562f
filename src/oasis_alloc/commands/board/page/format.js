// Numbers for readers. What is copied is always the exact number.

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  if (size >= 1000) return grouped.format(value).replace("-", "−");
  if (size < 1e-9) return "0";
  const text = Number(value.toPrecision(digits)).toString();
  return (text.includes("e") ? value.toExponential(1) : text).replace("-", "−");
}

export const signed = (value, digits = 4) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : value > 0 ? `+${number(value, digits)}` : number(value, digits);

export function percent(share, digits = 2) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  return `${(100 * share).toFixed(digits)} %`;
}

export function gap(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1e-8) return "< 1e−6 %";
  return `${Number((100 * value).toPrecision(2))} %`;
}

export const plural = (count, noun) => `${grouped.format(count)} ${noun}${count === 1 ? "" : "s"}`;

export function capital(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : text;
}

// Round steps of 1, 2 or 5 for an axis, about `count` of them.
export function ticks(low, high, count = 5) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough) * power;
  const first = Math.ceil(low / step - 1e-9);
  const out = [];
  for (let k = first; k * step <= high + 1e-9 * step; k += 1) out.push(Number((k * step).toPrecision(12)));
  return out;
}
