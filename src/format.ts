import type { TranslationBundle } from '@jupyterlab/translation';

/**
 * A size in binary units, as limits are given: `3.4 GiB`.
 */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return '–';
  }
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let rest = value;
  let unit = 0;
  while (rest >= 1024 && unit < units.length - 1) {
    rest /= 1024;
    unit++;
  }
  const digits = unit === 0 || rest >= 100 ? 0 : 1;
  return `${trimmed(rest, digits)} ${units[unit]}`;
}

/**
 * An amount of memory that is given in MiB.
 */
export function memory(mebibytes: number | null | undefined): string {
  return mebibytes === null || mebibytes === undefined
    ? '–'
    : bytes(mebibytes * 1024 ** 2);
}

/**
 * A count in at most four characters: `1.8k`.
 */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) {
    return '–';
  }
  if (value < 1000) {
    return String(value);
  }
  const [rest, unit] =
    value < 999_500
      ? [value / 1e3, 'k']
      : value < 999_500_000
        ? [value / 1e6, 'M']
        : [value / 1e9, 'G'];
  return `${trimmed(rest, rest < 100 ? 1 : 0)}${unit}`;
}

/**
 * A number as a person would write it: at most `digits` decimals, none that say nothing.
 */
export function trimmed(value: number, digits = 2): string {
  return String(Number(value.toFixed(digits)));
}

/**
 * A measured value: four significant digits, exponents only where they help.
 */
export function measured(value: unknown): string {
  if (typeof value !== 'number') {
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e9) {
    return String(value);
  }
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e7)
    ? value.toExponential(3)
    : String(Number(value.toPrecision(4)));
}

/**
 * A share from 0 to 1 as `62 %`.
 */
export function percent(value: number): string {
  return `${Math.floor(Math.min(1, Math.max(0, value)) * 100)} %`;
}

/**
 * How long something takes or took: `45 s`, `3 min`, `2 h 5 min`.
 */
export function duration(trans: TranslationBundle, seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return trans.__('%1 s', whole);
  }
  const minutes = Math.floor(whole / 60);
  if (minutes < 10 && whole % 60 > 0) {
    return trans.__('%1 min %2 s', minutes, whole % 60);
  }
  if (minutes < 60) {
    return trans.__('%1 min', minutes);
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 24) {
    return minutes % 60 === 0
      ? trans.__('%1 h', hours)
      : trans.__('%1 h %2 min', hours, minutes % 60);
  }
  return trans.__('%1 d %2 h', Math.floor(hours / 24), hours % 24);
}

/**
 * How long something will still take: an estimate, so no more exact than it can be.
 */
export function remaining(trans: TranslationBundle, seconds: number): string {
  return duration(
    trans,
    seconds < 60 ? seconds : Math.max(60, Math.round(seconds / 60) * 60)
  );
}

/**
 * How long ago something happened, coarse enough to stay true for a while.
 */
export function ago(
  trans: TranslationBundle,
  time: string,
  now: number
): string {
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < 45) {
    return trans.__('just now');
  }
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) {
    return trans.__('%1 min ago', minutes);
  }
  const hours = Math.round(minutes / 60);
  if (hours < 24) {
    return trans.__('%1 h ago', hours);
  }
  const days = Math.round(hours / 24);
  if (days < 30) {
    return trans.__('%1 d ago', days);
  }
  return new Date(time).toLocaleDateString();
}

/**
 * The exact time, for tool tips.
 */
export function exact(time: string): string {
  return new Date(time).toLocaleString();
}

/**
 * The seconds between two times, or until now.
 */
export function between(
  start: string,
  end: string | null | undefined,
  now: number
): number {
  return ((end ? Date.parse(end) : now) - Date.parse(start)) / 1000;
}
