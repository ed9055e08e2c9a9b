/** Slack's timestamps ("1700000000.000123", in seconds) in the reader's language. */

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** A timestamp as a Date. */
export function moment(ts) {
  return new Date(Number(ts) * 1000);
}

export const timeOf = (ts) => TIME.format(moment(ts));
export const wholeTimeOf = (ts) => WHOLE.format(moment(ts));

/** "Today", "Yesterday", or the date; `now` is a Date. */
export function dayOf(ts, now) {
  const day = moment(ts).toDateString();
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (day === now.toDateString()) return "Today";
  return day === yesterday.toDateString() ? "Yesterday" : DAY.format(moment(ts));
}
