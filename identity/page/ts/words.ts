// How things are named in words.

/** What people call the device that this page is on, such as "Chrome on Android". */
export function deviceName(agent = navigator.userAgent): string {
  const browsers: [RegExp, string][] = [
    [/Edg(A|iOS)?\//, "Edge"],
    [/OPR\//, "Opera"],
    [/SamsungBrowser\//, "Samsung Internet"],
    [/Firefox\/|FxiOS\//, "Firefox"],
    [/Chrom(e|ium)\/|CriOS\//, "Chrome"],
    [/Safari\//, "Safari"],
  ];
  const systems: [RegExp, string][] = [
    [/iPhone/, "iPhone"],
    [/iPad/, "iPad"],
    [/Android/, "Android"],
    [/CrOS/, "ChromeOS"],
    [/Mac OS X/, "Mac"],
    [/Windows/, "Windows"],
    [/Linux/, "Linux"],
  ];
  const named = (list: [RegExp, string][]): string | undefined => list.find(([pattern]) => pattern.test(agent))?.[1];
  const browser = named(browsers) ?? "Browser";
  const system = named(systems);
  return system ? `${browser} on ${system}` : browser;
}

/** How long something lasts, in nanoseconds: "30 minutes", "8 hours", "30 days". */
export function duration(nanoseconds: bigint): string {
  const minutes = Number(nanoseconds / 60_000_000_000n);
  const units: [number, string][] = [
    [24 * 60, "day"],
    [60, "hour"],
    [1, "minute"],
  ];
  for (const [size, unit] of units) {
    if (minutes < size) continue;
    const n = Math.round(minutes / size);
    const about = n * size === minutes ? "" : "about ";
    return `${about}${n} ${unit}${n === 1 ? "" : "s"}`;
  }
  return "less than a minute";
}

/** The part of an origin that people know it by: without "https://", and with everything else. */
export const host = (origin: string): string => origin.replace(/^https:\/\//, "");

/** A day, in the words of the reader's country. */
export const day = (nanoseconds: bigint): string =>
  new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(Number(nanoseconds / 1_000_000n)));
