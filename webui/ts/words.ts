// The page's words: the catalogue's "js." strings, put into the page by the server.

const node = document.getElementById("strings");
const words: Record<string, string> = node && node.textContent ? (JSON.parse(node.textContent) as Record<string, string>) : {};
const rule = words["_plural"] || "one";

export type Values = Record<string, string | number>;

/** The string of a key. Text values are set apart from the direction of the sentence. */
export function t(key: string, values?: Values): string {
  let s = words[key];
  if (s === undefined) return key;
  if (values) {
    for (const name of Object.keys(values)) {
      const v = values[name];
      s = s.split("{" + name + "}").join(typeof v === "string" ? "\u2068" + v + "\u2069" : String(v));
    }
  }
  return s;
}

/** The string of a key in the form that a number takes. */
export function tn(key: string, n: number, values?: Values): string {
  return t(key + "." + pluralForm(n), { ...values, n });
}

// The same rules as pluralForm in lang.go: Intl.PluralRules is too new.
function pluralForm(n: number): string {
  const ten = n % 10;
  const hundred = n % 100;
  switch (rule) {
    case "es":
    case "fr":
      if (n === 1 || (n === 0 && rule === "fr")) return "one";
      return n && n % 1e6 === 0 ? "many" : "other";
    case "uk":
      if (ten === 1 && hundred !== 11) return "one";
      return ten >= 2 && ten <= 4 && (hundred < 12 || hundred > 14) ? "few" : "many";
    case "ar":
      if (n < 3) return ["zero", "one", "two"][n] || "other";
      if (hundred >= 3 && hundred <= 10) return "few";
      return hundred >= 11 ? "many" : "other";
    default:
      return n === 1 ? "one" : "other";
  }
}

/** A number of bytes for people, as Size in lang.go writes it. */
export function size(n: number): string {
  if (n < 1000) return t("size.b", { n });
  const units = ["kb", "mb", "gb", "tb"];
  let value = n / 1000;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = value < 9.95 ? value.toFixed(1).replace(/\.0$/, "").replace(".", words["decimal"] || ".") : value.toFixed(0);
  return (words["size." + units[unit]] || "{n}").replace("{n}", digits);
}

/** How long ago a moment was, as Age in lang.go writes it. */
export function age(when: string, now: number): string {
  const minutes = Math.floor((now - Date.parse(when)) / 60000);
  if (!(minutes >= 1)) return t("age.now");
  if (minutes < 60) return t("age.minutes", { n: minutes });
  if (minutes < 48 * 60) return t("age.hours", { n: Math.floor(minutes / 60) });
  return t("age.days", { n: Math.floor(minutes / 1440) });
}

/** The time of day for today's moments, the age for older ones. */
export function clock(when: string, now: number): string {
  const at = Date.parse(when);
  if (now - at > 18 * 3600 * 1000) return age(when, now);
  const d = new Date(at);
  const two = (n: number): string => (n < 10 ? "0" : "") + n;
  return two(d.getHours()) + ":" + two(d.getMinutes());
}
