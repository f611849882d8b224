// Numbers for people. Nothing here touches the document.

const missing = "–";

/** A whole number with thin spaces between thousands. */
const whole = (value) =>
  value === null || value === undefined
    ? missing
    : String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

/** A large count in words: 1.3 million. */
const magnitude = (value) => {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} million`;
  return whole(value);
};

/** Millionths as a percentage. */
const percent = (micro) => `${(micro / 1e4).toFixed(1)}\u202f%`;

/** Millionths as a number with three digits after the point. */
const decimal = (micro) => (micro / 1e6).toFixed(3);

/** A share of a whole as a percentage. */
const share = (part, total) => (total > 0 ? `${((100 * part) / total).toFixed(1)}\u202f%` : missing);

/** A duration in its natural unit. */
const duration = (ms) => {
  if (ms < 1000) return `${Math.round(ms)}\u202fms`;
  if (ms < 99500) return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)}\u202fs`;
  if (ms < 5.9e6) return `${Math.round(ms / 6e4)}\u202fmin`;
  if (ms < 1.7e8) return `${Math.round(ms / 3.6e6)}\u202fh`;
  return `${Math.round(ms / 8.64e7)}\u202fd`;
};

/** The first eight digits of an identifier. */
const short = (hex) => hex.slice(0, 8);

const plural = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;
