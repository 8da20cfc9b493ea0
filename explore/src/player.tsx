import { Data, percent, type Set } from "./app";
import { conclusion, followed, following, given, outcomes, type Trials, type Truths } from "./model";
import type { State } from "./state";

/** What each design does after outcomes that are entered cohort by cohort. */
export function Player({ trials, state, set, truths }: { trials: Trials; state: State; set: Set; truths: Truths }) {
  const played = trials.designs.filter((design) => design.graph), design = played.find((one) => one.name === state.player);
  if (!design?.graph) return null;
  const graph = design.graph, cohorts = state.cohorts, { node, off } = followed(graph, cohorts);
  // Of a prior that is not updated already.
  const now = state.prior && state.updated ? truths : given(truths, cohorts);
  const next = off === null ? following(graph, node) : null, size = graph.size[node], dose = graph.dose[node];
  const chances = next ? outcomes(now, dose, size) : [];
  const end = off === null ? conclusion(graph, node, now, trials.doses) : null;
  const labels = trials.amounts.map((_, d) => `level ${d + 1}`);
  return (
    <section aria-labelledby="player-title" class="player">
      <h2 id="player-title">What if: the next decisions</h2>
      <p class="warning" role="note"><strong>For planning, not for conduct.</strong> In a trial, who is evaluable, pending outcomes and deviations count too: use dosefind next.</p>
      <p><label for="player">Follow the design: </label>
        <select id="player" value={design.name} onChange={(event) => set({ player: event.currentTarget.value, cohorts: [] })}>
          {played.map((one) => <option value={one.name}>{one.name}</option>)}
        </select></p>
      <ol class="cohorts" aria-label="Outcomes entered">
        {cohorts.map((one) => <li>level {one.level}: {one.dlts} of {one.n} with a DLT</li>)}
      </ol>
      <div class="decision" role="status">
        {off === null
          ? <><p class="lead">{graph.texts[graph.words[node]]}</p><p>{graph.texts[graph.reason[node]]}{node >= graph.explained ? " (the rule; counts are stated for the first cohorts only)" : ""}</p></>
          : <p>These outcomes are not those of a trial that follows this design.</p>}
      </div>
      {next && (
        <div class="buttons" role="group" aria-label={`DLTs among the next ${size} patients at level ${dose}`}>
          <span>DLTs among the next {size} at level {dose}:</span>
          {next.map((_, dlts) => <button type="button" onClick={() => set({ cohorts: [...cohorts, { level: dose, n: size, dlts }] })}>{dlts} of {size}</button>)}
        </div>
      )}
      {off === null && dose > 0 && !next && <p>The file follows this design no further: it has too many decisions.</p>}
      <div class="buttons">
        <button type="button" disabled={!cohorts.length} onClick={() => set({ cohorts: cohorts.slice(0, -1) })}>Undo</button>
        <button type="button" disabled={!cohorts.length} onClick={() => set({ cohorts: [] })}>Start again</button>
      </div>
      {next && (
        <Data caption="Paths ahead: the decision after each outcome" heads={["DLTs", "probability", "decision", "why"]}
          rows={next.map((child, dlts) => [`${dlts} of ${size}`, percent(chances[dlts]), graph.texts[graph.words[child]], graph.texts[graph.reason[child]]])} />
      )}
      {end && <Data caption="Dose selected as MTD in the end, from here" heads={["result", "none", ...labels]} rows={[["probability", ...end.map(percent)]]} />}
      <Data caption="All designs after these outcomes" heads={["design", "decision", "why"]} rows={played.map((one) => {
        const at = followed(one.graph!, cohorts), words = one.graph!.texts[one.graph!.words[at.node]];
        return [one.name, at.off === null ? words : "-", at.off === null ? one.graph!.texts[one.graph!.reason[at.node]] : `differs at cohort ${at.off + 1}: ${words}`];
      })} />
      <p class="faint">Probabilities are those at the true DLT rates {state.prior ? `under the prior of ${state.prior}, updated by these outcomes` : "set above"}. Every outcome is taken as known.</p>
    </section>
  );
}
