import { Fragment, type ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { averaged, following, given, judged, type Graph, type Design, type Figures, type Trials, type Truths } from "./model";
import { Player } from "./player";
import { METRICS, asCsv, asToml, fromHash, toHash, type Pin, type State } from "./state";

export type Set = (change: Partial<State>) => void;

export const percent = (p: number): string => `${(100 * p).toFixed(1)}%`;
const tenth = (rate: number): number => Number((100 * rate).toFixed(4));

/** Return an operating characteristic as one number: of those by dose, the sum. */
const total = (value: number | number[]): number => (typeof value === "number" ? value : value.reduce((a, b) => a + b, 0));

export function App({ trials }: { trials: Trials }) {
  const [state, setState] = useState<State>(() => fromHash(location.hash, trials));
  const set: Set = (change) => setState((old) => ({ ...old, ...change }));
  useEffect(() => {
    const changed = () => setState(fromHash(location.hash, trials));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  useEffect(() => {
    const later = setTimeout(() => {
      // Within the frame of a notebook a page has no address of its own.
      try { history.replaceState(null, "", toHash(state)); } catch { /* nothing is lost but the address */ }
    }, 150);
    return () => clearTimeout(later);
  }, [state]);

  const prior = trials.priors.find((one) => one.name === state.prior);
  const truths: Truths = useMemo(() => {
    if (!prior) return { rates: [state.rates], weights: [1] };
    return state.updated ? given(prior.truths, state.cohorts) : prior.truths;
  }, [prior, prior && state.updated ? state.cohorts : null, prior ? null : state.rates]);
  const exact = trials.designs.filter((design) => design.states && (state.cap === null || design.cap === state.cap));
  const results = useMemo(() => new Map(exact.map((design) => [design.name, averaged(trials, design, truths)])), [truths, state.cap]);
  const chosen = trials.designs.find((design) => design.name === state.design)!;
  return (
    <>
      <a class="skip" href="#rates-title" onClick={(event) => { event.preventDefault(); document.getElementById("rates-title")!.focus(); }}>Skip to the DLT rates</a>
      <header>
        <h1>{trials.protocol}: explore the designs</h1>
        <p class="subtitle">{trials.title}</p>
        <p class="faint">Set the true DLT rate of each dose; all results are exact, without simulation. Target DLT rate {percent(trials.target.rate)}, overdose above {percent(trials.target.overdose)}.</p>
      </header>
      <main>
        <Rates trials={trials} state={state} set={set} />
        <Answer trials={trials} exact={exact} results={results} truths={truths} prior={state.prior} />
        <Comparison trials={trials} state={state} set={set} exact={exact} results={results} />
        <Pinned trials={trials} state={state} set={set} exact={exact} />
        <OneDesign trials={trials} design={chosen} set={set} figures={results.get(chosen.name) ?? (chosen.states ? averaged(trials, chosen, truths) : null)} />
        <Player trials={trials} state={state} set={set} truths={truths} />
        <About trials={trials} />
      </main>
    </>
  );
}

function Rates({ trials, state, set }: { trials: Trials; state: State; set: Set }) {
  const truth = judged(state.rates, trials.target);
  // True DLT rates do not decrease with the dose: a rate takes those that it passes along.
  const move = (dose: number, rate: number) => {
    if (!Number.isFinite(rate)) return;
    const own = Math.min(1, Math.max(0, rate));
    set({ prior: "", rates: state.rates.map((other, d) => (d === dose ? own : d < dose ? Math.min(other, own) : Math.max(other, own))) });
  };
  const same = (rates: number[]) => !state.prior && rates.every((rate, d) => rate === state.rates[d]);
  return (
    <section aria-labelledby="rates-title">
      <h2 id="rates-title" tabIndex={-1}>True DLT rates</h2>
      <div class="buttons" role="group" aria-label="Scenarios of the config">
        {trials.scenarios.map((one) => (
          <button type="button" aria-pressed={same(one.rates)} onClick={() => set({ rates: [...one.rates], prior: "" })}><bdi>{one.name}</bdi></button>
        ))}
      </div>
      {trials.amounts.map((amount, d) => {
        const id = `rate-${d}`, mark = state.prior ? "" : d === truth.mtd ? "true MTD" : truth.overdose[d] ? "overdose" : "";
        return (
          <div class="rate" key={id}>
            <label for={id}>Level {d + 1} <span class="faint">({amount})</span></label>
            <input id={id} type="range" min="0" max="100" step="0.5" value={tenth(state.rates[d])}
              aria-valuetext={`${tenth(state.rates[d])}%`} onInput={(event) => move(d, event.currentTarget.valueAsNumber / 100)} />
            <span class="number"><input type="number" min="0" max="100" step="0.1" value={tenth(state.rates[d])} aria-label={`True DLT rate of level ${d + 1} in percent`}
              onChange={(event) => move(d, event.currentTarget.valueAsNumber / 100)} />%</span>
            <span class={`mark ${mark === "overdose" ? "bad" : "good"}`}>{mark}</span>
          </div>
        );
      })}
      <p class="faint">Rates do not decrease with the dose: a rate takes those that it passes along.</p>
      <div class="buttons">
        <button type="button" disabled={!!state.prior} onClick={() => set({ pins: [...state.pins, { name: `pinned ${state.pins.length + 1}`, rates: [...state.rates] }] })}>Pin these rates</button>
      </div>
      {trials.priors.length > 0 && (
        <div class="buttons" role="group" aria-label="Average over a prior">
          <span>Or average over the prior of a curve:</span>
          {trials.priors.map((one) => (
            <button type="button" aria-pressed={state.prior === one.name} onClick={() => set({ prior: state.prior === one.name ? "" : one.name })}><bdi>{one.name}</bdi></button>
          ))}
          {state.prior && (
            <label><input type="checkbox" checked={state.updated} onChange={(event) => set({ updated: event.currentTarget.checked })} /> updated by the outcomes entered below (posterior)</label>
          )}
        </div>
      )}
    </section>
  );
}

const LIMIT = (cap: number): string => (cap ? `At most ${cap} patients per dose` : "No limit per dose");

function Answer({ trials, exact, results, truths, prior }: {
  trials: Trials; exact: Design[]; results: Map<string, Figures>; truths: Truths; prior: string;
}) {
  const truth = judged(truths.rates[0], trials.target);
  const caps = [...new Set(exact.map((design) => design.cap))].sort((a, b) => (a || Infinity) - (b || Infinity));
  const primary = exact.find((design) => design.primary);
  const told = (name: string, design: Design): string => {
    const { unit, digits } = trials.quantities[name], value = total(results.get(design.name)![name]);
    return unit === "%" ? percent(value) : value.toFixed(name === "dlts" ? 1 : digits);
  };
  const right = prior || truth.mtd >= 0 ? "the true MTD" : "no dose, which is right here,";
  return (
    <section class="answer" role="status" aria-label="Answer">
      <p class="lead">
        {prior ? <>Averaged over the prior of <bdi>{prior}</bdi></> : truth.mtd < 0 ? "No dose is the MTD: level 1 is too toxic" : `The true MTD is level ${truth.mtd + 1}`}
        {prior ? "." : `, where the true DLT rate is ${percent(truths.rates[0][Math.max(truth.mtd, 0)])}.`}
      </p>
      <ul>
        {caps.map((cap) => {
          const group = exact.filter((design) => design.cap === cap);
          const score = (design: Design) => Math.round(1e4 * total(results.get(design.name)!.correct));
          const best = [...group].sort((a, b) => score(b) - score(a) || total(results.get(a.name)!.mean_n) - total(results.get(b.name)!.mean_n))[0];
          const other = primary && primary !== best ? primary : null;
          const beside = (name: string) => (other ? ` (${told(name, other)})` : "");
          return (
            <li key={cap}>
              <strong>{LIMIT(cap)}:</strong> <bdi>{best.name}</bdi> selects {right} {group.length > 1 ? "most often, " : ""}in {told("correct", best)} of trials
              {other && <> (primary design, <bdi>{other.name}</bdi>: {told("correct", other)})</>}, with an overdose selected in {told("overdose_selected", best)}{beside("overdose_selected")},
              {" "}{told("mean_n", best)} patients{beside("mean_n")} and {told("dlts", best)} DLTs{beside("dlts")}.
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function shownAs(trials: Trials, name: string, value: number | number[]): string {
  const { unit, digits } = trials.quantities[name], number = total(value);
  if (Number.isNaN(number)) return "-";
  return unit === "%" ? percent(number) : number.toFixed(digits);
}

const FIRST = ["correct", "overdose_selected", "mean_n", "dlts", "above_mtd", "any_dlt", "days"];

function Comparison({ trials, state, set, exact, results }: {
  trials: Trials; state: State; set: Set; exact: Design[]; results: Map<string, Figures>;
}) {
  const all = trials.designs.filter((design) => design.states), caps = [...new Set(all.map((design) => design.cap))].sort((a, b) => (a || Infinity) - (b || Infinity));
  const metrics = METRICS.filter((name) => name in trials.quantities), columns = FIRST.includes(state.metric) ? FIRST : [...FIRST, state.metric];
  const heads = ["design", ...columns.map((name) => trials.quantities[name].label)];
  const rows = exact.map((design) => [design.name, ...columns.map((name) => shownAs(trials, name, results.get(design.name)![name]))]);
  return (
    <section aria-labelledby="comparison-title">
      <h2 id="comparison-title">Comparison of designs</h2>
      <div class="buttons" role="group" aria-label="Limit of patients per dose">
        <button type="button" aria-pressed={state.cap === null} onClick={() => set({ cap: null })}>All designs</button>
        {caps.length > 1 && caps.map((cap) => <button type="button" aria-pressed={state.cap === cap} onClick={() => set({ cap })}>{LIMIT(cap)}</button>)}
      </div>
      <p>
        <label for="metric">Operating characteristic of the chart: </label>
        <select id="metric" value={state.metric} onChange={(event) => set({ metric: event.currentTarget.value })}>
          {metrics.map((name) => <option value={name}>{trials.quantities[name].label}</option>)}
        </select>
      </p>
      <Bars trials={trials} metric={state.metric} exact={exact} results={results} />
      <Data caption="Operating characteristics at these DLT rates" heads={heads} rows={rows} file="designs.csv" strong={columns.indexOf(state.metric) + 1} />
    </section>
  );
}

/** The charts hold their own colours, so that a saved picture is complete. */
function Bars({ trials, metric, exact, results }: { trials: Trials; metric: string; exact: Design[]; results: Map<string, Figures> }) {
  const { label, unit, definition } = trials.quantities[metric];
  const values = exact.map((design) => total(results.get(design.name)![metric]));
  const largest = unit === "%" ? 1 : Math.max(1e-9, ...values.filter((value) => !Number.isNaN(value)));
  const row = 26, left = 120, width = 600, height = row * exact.length + 8, id = "chart";
  const words = `${label}: ${exact.map((design) => `${design.name} ${shownAs(trials, metric, results.get(design.name)![metric])}`).join(", ")}`;
  const short = (name: string) => (name.length > 16 ? `${name.slice(0, 15)}\u2026` : name);
  return (
    <figure>
      <svg id={id} role="img" aria-label={words} viewBox={`0 0 ${width} ${height}`} xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13">
        <rect class="ground" width={width} height={height} fill="#ffffff" />
        {exact.map((design, i) => {
          const share = Number.isNaN(values[i]) ? 0 : values[i] / largest, y = 4 + i * row;
          return (
            <g key={design.name}>
              <text class="ink" x={left - 8} y={y + 17} text-anchor="end" fill="#1a1a1a">{short(design.name)}</text>
              <rect class="bar" x={left} y={y + 3} height={row - 8} width={Math.max(0, share * (width - left - 70))} fill={design.primary ? "#a33a00" : "#005a94"} />
              <text class="ink" x={left + share * (width - left - 70) + 6} y={y + 17} fill="#1a1a1a">{shownAs(trials, metric, values[i])}</text>
            </g>
          );
        })}
      </svg>
      <figcaption>{label}: {definition}. {exact.some((design) => design.primary) ? "Red: the primary design." : ""} <button type="button" onClick={() => savePicture(id, `${metric}.svg`)}>Save as SVG</button></figcaption>
    </figure>
  );
}

function savePicture(id: string, name: string): void {
  saveAs(name, "image/svg+xml", new XMLSerializer().serializeToString(document.getElementById(id)!));
}

function saveAs(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export function Data({ caption, heads, rows, file, strong, children }: {
  caption: string; heads: string[]; rows: string[][]; file?: string; strong?: number; children?: ComponentChildren;
}) {
  return (
    <div class="table">
      <div class="scroll" role="region" tabIndex={0} aria-label={caption}>
        <table>
          <caption>{caption}</caption>
          <thead><tr>{heads.map((head) => <th scope="col"><bdi>{head}</bdi></th>)}</tr></thead>
          <tbody>
            {rows.map((row) => (
              <tr>{row.map((cell, c) => (c ? <td class={c === strong ? "strong" : undefined}>{cell}</td> : <th scope="row"><bdi>{cell}</bdi></th>))}</tr>
            ))}
          </tbody>
        </table>
      </div>
      {children}
      {file && <p class="tools"><button type="button" onClick={() => saveAs(file, "text/csv", asCsv([heads, ...rows]))}>Save as CSV</button></p>}
    </div>
  );
}

function Pinned({ trials, state, set, exact }: { trials: Trials; state: State; set: Set; exact: Design[] }) {
  const [copied, setCopied] = useState(false);
  const { pins, metric } = state;
  const rows = useMemo(() => exact.map((design) => [design.name, ...pins.map((pin) =>
    shownAs(trials, metric, averaged(trials, design, { rates: [pin.rates], weights: [1] })[metric]))]), [pins, metric, state.cap]);
  const rename = (at: number, name: string) => set({ pins: pins.map((pin, k) => (k === at ? { ...pin, name } : pin)) });
  const copy = async () => {
    const area = document.getElementById("toml") as HTMLTextAreaElement;
    area.select();
    try { await navigator.clipboard.writeText(area.value); setCopied(true); } catch { setCopied(false); }
  };
  const heads = ["design", ...pins.map((pin: Pin) => `${pin.name} (${pin.rates.map((rate) => `${tenth(rate)}%`).join(", ")})`)];
  return (
    <section aria-labelledby="pinned-title">
      <h2 id="pinned-title">Pinned scenarios</h2>
      {pins.length === 0 ? <p class="faint">None yet: "Pin these rates" keeps the rates above here, so that scenarios can be compared side by side.</p> : (
        <>
          <ul class="pins">
            {pins.map((pin, k) => (
              <li key={k}>
                <input type="text" value={pin.name} maxLength={80} aria-label={`Name of pinned scenario ${k + 1}`} onInput={(event) => rename(k, event.currentTarget.value)} />
                {" "}{pin.rates.map((rate) => `${tenth(rate)}%`).join(", ")}{" "}
                <button type="button" aria-label={`Show ${pin.name}`} onClick={() => set({ rates: [...pin.rates], prior: "" })}>Show</button>
                <button type="button" aria-label={`Remove ${pin.name}`} onClick={() => set({ pins: pins.filter((_, other) => other !== k) })}>Remove</button>
              </li>
            ))}
          </ul>
          <Data caption={`${trials.quantities[metric].label} in the pinned scenarios`} heads={heads} rows={rows} file="pinned.csv" />
          <details><summary>As TOML for the config</summary>
            <textarea id="toml" readOnly rows={pins.length + 2} aria-label="Pinned scenarios as TOML" value={asToml(pins)} />
            <p class="tools"><button type="button" onClick={() => void copy()}>Copy as TOML</button> <span role="status">{copied ? "Copied." : ""}</span></p>
          </details>
        </>
      )}
    </section>
  );
}

function OneDesign({ trials, design, figures, set }: { trials: Trials; design: Design; figures: Figures | null; set: Set }) {
  const by = (name: string, digits: number) => (figures![name] as number[]).map((value) => value.toFixed(digits));
  const stopped = figures ? design.reasons.map((reason, c) => ({ reason, p: (figures.stopped as number[])[c] })).filter(({ p }) => p >= 5e-4) : [];
  const doses = trials.amounts.map((_, d) => `level ${d + 1}`);
  return (
    <section aria-labelledby="design-title">
      <h2 id="design-title">One design</h2>
      <p><label for="design">Design: </label>
        <select id="design" value={design.name} onChange={(event) => set({ design: event.currentTarget.value })}>
          {trials.designs.map((one) => <option value={one.name}>{one.name}</option>)}
        </select> {design.title}{design.primary ? ", the primary design" : ""}</p>
      {figures ? (
        <>
          <Data caption={`${design.name}: results by dose at these DLT rates`} heads={["result", "none", ...doses]} file="doses.csv" rows={[
            [trials.quantities.selected.label, ...(figures.selected as number[]).map(percent)],
            [trials.quantities.patients.label, "", ...by("patients", 1)],
            [trials.quantities.dlts.label, "", ...by("dlts", 2)],
          ]} />
          <Data caption={`${design.name}: reasons to stop`} heads={["reason", "% of trials"]} rows={stopped.map(({ reason, p }) => [reason, percent(p)])} />
        </>
      ) : <p>{trials.left_out.find((one) => one.name === design.name)?.reason}</p>}
      <details><summary>Decision table</summary>
        <Data caption={`Decision table of ${design.name}`} heads={design.table.heads} rows={design.table.rows} file="decisions.csv">
          {design.table.notes.map((note) => <p class="faint">{note}</p>)}
        </Data>
      </details>
      {design.graph && (
        <details><summary>Flow of the first cohorts</summary>
          <ul class="flow"><li><strong>{design.graph.texts[design.graph.words[0]]}</strong><Flow graph={design.graph} node={0} cohorts={2} /></li></ul>
        </details>
      )}
      <details><summary>Rules</summary><ul>{design.rules.map((rule) => <li>{rule}</li>)}</ul></details>
    </section>
  );
}

/** What follows from a decision, as a list within a list. */
function Flow({ graph, node, cohorts }: { graph: Graph; node: number; cohorts: number }) {
  const next = cohorts ? following(graph, node) : null;
  if (!next) return null;
  return (
    <ul>
      {next.map((child, dlts) => (
        <li key={dlts}>{dlts} of {graph.size[node]} with a DLT: <strong>{graph.texts[graph.words[child]]}</strong><Flow graph={graph} node={child} cohorts={cohorts - 1} /></li>
      ))}
    </ul>
  );
}

function About({ trials }: { trials: Trials }) {
  const shown = METRICS.filter((name) => name in trials.quantities);
  return (
    <section aria-labelledby="about-title">
      <h2 id="about-title">Methods and versions</h2>
      {trials.left_out.length > 0 && (
        <><p>Designs without exact operating characteristics in this file:</p>
          <ul>{trials.left_out.map((one) => <li><bdi>{one.name}</bdi>: {one.reason}</li>)}</ul></>
      )}
      <p>Every trial that a design can lead to is enumerated; a final state with n patients and y DLTs at each dose has the probability multiplicity × Π p<sup>y</sup>(1 − p)<sup>n − y</sup>. Averages over a prior use {trials.priors[0]?.truths.weights.length ?? 0} true curves for each.</p>
      <p>{trials.config.assumed} settings of the config are assumptions, not stated in the protocol (list: dosefind compare --details). Config {trials.config.file ?? ""} {trials.config.sha256 ? `(SHA-256 ${trials.config.sha256.slice(0, 12)})` : ""}; {Object.entries(trials.versions).map(([name, version]) => `${name} ${version}`).join(", ")}.</p>
      <details><summary>Definitions</summary>
        <dl>{shown.map((name) => <Fragment key={name}><dt>{trials.quantities[name].label}</dt><dd>{trials.quantities[name].definition}</dd></Fragment>)}</dl>
      </details>
    </section>
  );
}
