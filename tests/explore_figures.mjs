// Runs the script of a page to explore without a browser: node explore_figures.mjs PAGE QUESTIONS; answers are printed as JSON.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const [page, asked] = process.argv.slice(2);
const html = readFileSync(page, "utf8");
const within = (id) => html.match(new RegExp(`<script[^>]* id="${id}">([^]*?)</script>`))[1];
const script = html.match(/<script>([^]*?)<\/script>/)[1];
const context = vm.createContext({ atob, Blob, Response, DecompressionStream, Uint8Array, Uint16Array, Uint32Array, Float64Array, URLSearchParams });
vm.runInContext(`${script}\nglobalThis.page = dosefindExplore;`, context);
const { loaded, unpacked, averaged, followed, conclusion } = context.page;
const trials = loaded(JSON.parse(within("facts")), await unpacked(within("blob")));
const { truths, paths } = JSON.parse(readFileSync(asked, "utf8"));

const at = (rates) => ({ rates: [rates], weights: [1] });
const byDesign = (wanted, of) => Object.fromEntries(trials.designs.filter(wanted).map((design) => [design.name, of(design)]));
const figures = byDesign((design) => design.states, (design) => truths.map((rates) => averaged(trials, design, at(rates))));
const ends = byDesign((design) => design.states && design.graph, (design) => truths.slice(0, 50).map((rates) => conclusion(design.graph, 0, at(rates), trials.doses)));
const priors = Object.fromEntries(trials.priors.map(({ name, truths }) =>
  [name, byDesign((design) => design.states, (design) => averaged(trials, design, truths).selected)]));
const decisions = byDesign((design) => paths[design.name], (design) => paths[design.name].map((cohorts) => {
  const { node, off } = followed(design.graph, cohorts), { dose, size, words, reason, texts } = design.graph;
  return { off, level: dose[node], size: size[node], words: texts[words[node]], reason: texts[reason[node]] };
}));
console.log(JSON.stringify({ figures, ends, priors, decisions }));
