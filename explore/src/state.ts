/** What a reader has set, and the address that keeps it. */

import type { Cohort, Trials } from "./model";

export interface Pin { name: string; rates: number[] }
export interface State {
  rates: number[];
  /** Name of a prior to average over; empty for the rates. */
  prior: string;
  /** Whether the weights of the prior take in the cohorts of the player. */
  updated: boolean;
  metric: string;
  /** Maximum number of patients per dose of the designs shown, 0 for designs without one; null for all designs. */
  cap: number | null;
  design: string;
  pins: Pin[];
  player: string;
  cohorts: Cohort[];
}

export const METRICS = [
  "correct", "overdose_selected", "mean_n", "dlts", "above_mtd", "any_dlt", "over_60", "over_80", "correct_highest", "acceptable",
  "under_selected", "over_selected", "not_reached", "days",
];

const MOST_PINS = 12, MOST_COHORTS = 200;

export function initial(trials: Trials): State {
  const primary = trials.designs.find((design) => design.primary) ?? trials.designs[0];
  const player = primary.graph ? primary : trials.designs.find((design) => design.graph) ?? primary;
  const middle = trials.scenarios[Math.floor((trials.scenarios.length - 1) / 2)];
  return {
    rates: [...middle.rates], prior: "", updated: false, metric: "correct", cap: null, design: primary.name, pins: [],
    player: player.name, cohorts: [],
  };
}

const numbers = (text: string): number[] => text.split(",").map(Number);
const written = (rates: number[]): string => rates.map((rate) => String(Number(rate.toFixed(6)))).join(",");
export const inOrder = (rates: number[], doses: number): boolean =>
  rates.length === doses && rates.every((rate, d) => rate >= 0 && rate <= 1 && (d === 0 || rate >= rates[d - 1]));

export function toHash(state: State): string {
  const parts = new URLSearchParams({ rates: written(state.rates), metric: state.metric, design: state.design, player: state.player });
  if (state.prior) parts.set("prior", state.prior);
  if (state.updated) parts.set("updated", "1");
  if (state.cap !== null) parts.set("cap", String(state.cap));
  if (state.cohorts.length) parts.set("cohorts", state.cohorts.map((one) => [one.level, one.n, one.dlts].join(".")).join(","));
  for (const pin of state.pins) parts.append("pin", `${written(pin.rates)} ${pin.name}`);
  return `#${parts}`;
}

/** Return the state of an address; whatever is not possible in this file is as at first. */
export function fromHash(hash: string, trials: Trials): State {
  const state = initial(trials), parts = new URLSearchParams(hash.slice(1)), named = new Set(trials.designs.map((one) => one.name));
  const rates = numbers(parts.get("rates") ?? "");
  if (inOrder(rates, trials.doses)) state.rates = rates;
  const [metric, design, player, prior] = ["metric", "design", "player", "prior"].map((name) => parts.get(name) ?? "");
  if (METRICS.includes(metric)) state.metric = metric;
  if (named.has(design)) state.design = design;
  if (trials.designs.some((one) => one.name === player && one.graph)) state.player = player;
  if (trials.priors.some((one) => one.name === prior)) state.prior = prior;
  state.updated = parts.get("updated") === "1";
  const cap = parts.get("cap");
  if (cap !== null && trials.designs.some((one) => one.states && one.cap === Number(cap))) state.cap = Number(cap);
  const cohorts = (parts.get("cohorts") ?? "").split(",").filter(Boolean).slice(0, MOST_COHORTS).map((one) => one.split(".").map(Number));
  const possible = ([level, n, dlts]: number[]): boolean =>
    [level, n, dlts].every(Number.isInteger) && level >= 1 && level <= trials.doses && n >= 1 && n <= 1000 && dlts >= 0 && dlts <= n;
  if (cohorts.every(possible)) state.cohorts = cohorts.map(([level, n, dlts]) => ({ level, n, dlts }));
  for (const pin of parts.getAll("pin").slice(0, MOST_PINS)) {
    const [own, ...name] = pin.split(" "), row = numbers(own);
    if (inOrder(row, trials.doses)) state.pins.push({ name: name.join(" ").slice(0, 80), rates: row });
  }
  return state;
}

/** Return scenarios as a table of a config. */
export function asToml(pins: Pin[]): string {
  return ["[scenarios]", ...pins.map(({ name, rates }) => `${tomlText(name)} = [${rates.map((rate) => String(Number(rate.toFixed(6)))).join(", ")}]`), ""].join("\n");
}

/** Return a TOML basic string: JSON's escapes are among TOML's, but for the delete character. */
const tomlText = (text: string): string => JSON.stringify(text).replaceAll("\u007f", "\\u007f");

/** Return rows as CSV; a text that a spreadsheet would take for a formula is given as text. */
export function asCsv(rows: string[][]): string {
  const cell = (text: string): string => {
    const plain = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return /[",\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
