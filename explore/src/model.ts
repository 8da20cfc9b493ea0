/** What the file holds, and the operating characteristics that follow from it: all pure functions. */

export interface Place { type: "u1" | "u2" | "u4" | "f8"; at: number; length: number }
export interface Quantity { label: string; unit: string; digits: number; definition: string; of: string | null }
export interface Target { rate: number; low: number; high: number; margin: number; overdose: number; tie: number }
export interface Scenario { name: string; rates: number[] }
export interface GraphFacts {
  dose: Place; size: Place; choice: Place; words: Place; reason: Place; children: Place; texts: string[]; explained: number;
}
export interface DesignFacts {
  name: string; title: string; primary: boolean; cap: number; reasons: string[]; rules: string[];
  table: { heads: string[]; rows: string[][]; notes: string[] };
  states?: Record<"n" | "y" | "ways" | "choice" | "reason" | "not_reached", Place> & { days?: Place };
  graph: GraphFacts | null;
}
export interface Facts {
  protocol: string; title: string; amounts: string[]; target: Target; shares: Record<string, number>;
  config: { file: string | null; sha256: string | null; assumed: number }; versions: Record<string, string>;
  scenarios: Scenario[]; priors: { name: string; rates: Place; weights: Place }[];
  quantities: Record<string, Quantity>; designs: DesignFacts[]; left_out: { name: string; reason: string }[];
}

type Numbers = Uint8Array | Uint16Array | Uint32Array | Float64Array;
export interface States {
  count: number; largest: number; n: Numbers; y: Numbers; ways: Numbers; choice: Numbers; reason: Numbers;
  notReached: Numbers; days: Numbers | null; total: Uint16Array;
}
export interface Graph {
  dose: Numbers; size: Numbers; choice: Numbers; words: Numbers; reason: Numbers; children: Numbers; first: Uint32Array;
  texts: string[]; explained: number;
}
export interface Design extends Omit<DesignFacts, "states" | "graph"> { states: States | null; graph: Graph | null }
/** True DLT rates with weights that sum to 1: one row for a scenario, many for a prior. */
export interface Truths { rates: number[][]; weights: number[] }
export interface Trials extends Omit<Facts, "designs" | "priors"> {
  doses: number; designs: Design[]; priors: { name: string; truths: Truths }[];
}
export type Figures = Record<string, number | number[]>;

/** Return the bytes behind a base64 text of gzip. */
export async function unpacked(text: string): Promise<ArrayBuffer> {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

const KINDS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f8: Float64Array };

/** Return everything in the file, its arrays in place. */
export function loaded(facts: Facts, bytes: ArrayBuffer): Trials {
  const at = (place: Place): Numbers => new KINDS[place.type](bytes, place.at, place.length);
  const doses = facts.amounts.length;
  const designs = facts.designs.map((design) => {
    const { states, graph } = design;
    return { ...design, states: states ? loadedStates(states, doses, at) : null, graph: graph ? loadedGraph(graph, at) : null };
  });
  const priors = facts.priors.map(({ name, rates, weights }) => {
    const flat = at(rates), own = Array.from(at(weights));
    return { name, truths: { rates: own.map((_, k) => Array.from(flat.subarray(k * doses, (k + 1) * doses))), weights: own } };
  });
  return { ...facts, doses, designs, priors };
}

function loadedStates(places: NonNullable<DesignFacts["states"]>, doses: number, at: (place: Place) => Numbers): States {
  const [n, y, ways, choice, reason] = [at(places.n), at(places.y), at(places.ways), at(places.choice), at(places.reason)];
  const count = choice.length, total = new Uint16Array(count);
  for (let d = 0; d < doses; d++) for (let i = 0; i < count; i++) total[i] += n[d * count + i];
  const largest = total.reduce((most, one) => Math.max(most, one), 0);
  return {
    count, largest, n, y, ways, choice, reason, total,
    notReached: at(places.not_reached), days: places.days ? at(places.days) : null,
  };
}

function loadedGraph(facts: GraphFacts, at: (place: Place) => Numbers): Graph {
  const dose = at(facts.dose), size = at(facts.size), first = new Uint32Array(dose.length);
  let next = 0;
  for (let node = 0; node < dose.length; node++) {
    first[node] = next;
    if (dose[node] > 0) next += size[node] + 1;
  }
  return {
    dose, size, first, choice: at(facts.choice), words: at(facts.words), reason: at(facts.reason),
    children: at(facts.children), texts: facts.texts, explained: facts.explained,
  };
}

/** Return the probability of each final state: its multiplicity times the product of p^y (1 - p)^(n - y). */
export function probabilities(states: States, rates: number[]): Float64Array {
  const { count, n, y } = states, found = Float64Array.from(states.ways), width = states.largest + 1;
  rates.forEach((rate, d) => {
    const powers = new Float64Array(width * width);
    for (let k = 0; k < width; k++) for (let j = 0; j <= k; j++) powers[k * width + j] = rate ** j * (1 - rate) ** (k - j);
    for (let i = 0, at = d * count; i < count; i++, at++) found[i] *= powers[n[at] * width + y[at]];
  });
  return found;
}

/** Return the true MTD, the alternative true MTD (dose indices, -1 for none) and what each dose is. */
export function judged(rates: number[], target: Target) {
  const { rate, low, high, margin, overdose, tie } = target;
  const distance = rates.map((p) => Math.abs(p - rate)), closest = Math.min(...distance);
  return {
    mtd: rates[0] > rate + margin + tie ? -1 : distance.findIndex((one) => one <= closest + tie),
    highest: rates.reduce((found, p, d) => (p > rate + tie ? found : d), -1),
    acceptable: rates.map((p) => p >= low - tie && !(p >= high - tie)),
    overdose: rates.map((p) => p > overdose + tie),
  };
}

/** Return all operating characteristics of a design in one scenario. */
export function figures(trials: Trials, design: Design, rates: number[]): Figures {
  const states = design.states;
  if (!states) throw new Error(`${design.name} has no final states here`);
  const { count, n, y, choice, reason, total } = states, { doses, shares } = trials;
  const p = probabilities(states, rates), sums = (length: number): number[] => new Array<number>(length).fill(0);
  const truth = judged(rates, trials.target), safe = truth.overdose.filter((over) => !over).length;
  const selected = sums(doses + 1), patients = sums(doses), dlts = sums(doses), stopped = sums(design.reasons.length);
  const size = sums(states.largest + 1), share = Object.entries(shares), over = sums(share.length);
  let notReached = 0, anyDlt = 0, meanN = 0, days = 0;
  const unsafe = new Uint16Array(count), events = new Uint16Array(count);
  for (let d = 0; d < doses; d++) {
    for (let i = 0, at = d * count; i < count; i++, at++) {
      patients[d] += p[i] * n[at];
      dlts[d] += p[i] * y[at];
      events[i] += y[at];
      if (d >= safe) unsafe[i] += n[at];
    }
  }
  for (let i = 0; i < count; i++) {
    selected[choice[i]] += p[i];
    stopped[reason[i]] += p[i];
    size[total[i]] += p[i];
    meanN += p[i] * total[i];
    if (states.notReached[i]) notReached += p[i];
    if (events[i]) anyDlt += p[i];
    if (states.days) days += p[i] * states.days[i];
    share.forEach(([, tenths], k) => { if (10 * unsafe[i] > tenths * total[i]) over[k] += p[i]; });
  }
  const treatedFrom = patients.map((_, d) => patients.slice(d).reduce((a, b) => a + b, 0));
  const chance = (wanted: (dose: number) => boolean): number => selected.reduce((sum, one, c) => (wanted(c - 1) ? sum + one : sum), 0);
  return {
    selected, patients, dlts, stopped, sample_size: size, treated_from: treatedFrom,
    not_reached: notReached, any_dlt: anyDlt, mean_n: meanN, days: states.days ? days : NaN,
    ...Object.fromEntries(share.map(([name], k) => [name, over[k]])),
    correct: chance((dose) => dose === truth.mtd),
    correct_highest: chance((dose) => dose === truth.highest),
    acceptable: chance((dose) => dose >= 0 && truth.acceptable[dose]),
    under_selected: chance((dose) => dose < truth.mtd),
    over_selected: chance((dose) => dose > truth.mtd),
    overdose_selected: chance((dose) => dose >= 0 && truth.overdose[dose]),
    above_mtd: treatedFrom[truth.mtd + 1] ?? 0,
  };
}

/** Return operating characteristics averaged over true rates. */
export function averaged(trials: Trials, design: Design, truths: Truths): Figures {
  const found: Figures = {};
  truths.rates.forEach((rates, k) => {
    const weight = truths.weights[k];
    for (const [name, value] of Object.entries(figures(trials, design, rates))) {
      if (typeof value === "number") found[name] = ((found[name] as number | undefined) ?? 0) + weight * value;
      else {
        const sum = (found[name] ??= value.map(() => 0)) as number[];
        value.forEach((one, c) => { sum[c] += weight * one; });
      }
    }
  });
  return found;
}

/** A cohort that was entered: level (from 1), patients and DLTs. */
export interface Cohort { level: number; n: number; dlts: number }

/** Return the same true rates, their weights multiplied by the likelihood of cohorts. */
export function given(truths: Truths, cohorts: Cohort[]): Truths {
  const likelihood = truths.rates.map((rates) =>
    cohorts.reduce((found, { level, n, dlts }) => found * rates[level - 1] ** dlts * (1 - rates[level - 1]) ** (n - dlts), 1));
  const weights = truths.weights.map((weight, k) => weight * likelihood[k]), sum = weights.reduce((a, b) => a + b, 0);
  return sum > 0 ? { rates: truths.rates, weights: weights.map((weight) => weight / sum) } : truths;
}

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n, k - 1) * (n - k + 1)) / k);

/** Return the probability of each number of DLTs in a cohort. */
export function outcomes(truths: Truths, level: number, size: number): number[] {
  return Array.from({ length: size + 1 }, (_, dlts) => truths.rates.reduce((sum, rates, k) => {
    const p = rates[level - 1];
    return sum + truths.weights[k] * choose(size, dlts) * p ** dlts * (1 - p) ** (size - dlts);
  }, 0));
}

/** Return the node after each number of DLTs, or nothing where the design was not followed further. */
export function following(graph: Graph, node: number): number[] | null {
  if (!graph.dose[node]) return null;
  const from = graph.first[node], until = from + graph.size[node] + 1;
  return until <= graph.children.length ? Array.from(graph.children.subarray(from, until)) : null;
}

/** Where a design is after cohorts: at a node, or off its path at a cohort (from 0), where it would have done what that node says. */
export function followed(graph: Graph, cohorts: Cohort[]): { node: number; off: number | null } {
  let node = 0;
  for (const [number, cohort] of cohorts.entries()) {
    const next = following(graph, node);
    if (!next || graph.dose[node] !== cohort.level || graph.size[node] !== cohort.n) return { node, off: number };
    node = next[cohort.dlts];
  }
  return { node, off: null };
}

/** Return the probability with which the design ends by selecting none, 1, ..., from a node; nothing if it was not followed to its end. */
export function conclusion(graph: Graph, node: number, truths: Truths, doses: number): number[] | null {
  const found = new Array<number>(doses + 1).fill(0);
  for (const [k, rates] of truths.rates.entries()) {
    const p = new Float64Array(graph.dose.length);
    p[node] = truths.weights[k];
    if (!p[node]) continue;
    for (let i = node; i < p.length; i++) {
      if (!p[i]) continue;
      if (!graph.dose[i]) { found[graph.choice[i]] += p[i]; continue; }
      const next = following(graph, i);
      if (!next) return null;
      const chances = outcomes({ rates: [rates], weights: [1] }, graph.dose[i], graph.size[i]);
      next.forEach((child, dlts) => { p[child] += p[i] * chances[dlts]; });
    }
  }
  return found;
}
