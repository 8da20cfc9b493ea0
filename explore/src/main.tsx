import { render } from "preact";
import { App } from "./app";
import { loaded, unpacked, type Facts } from "./model";

export * from "./model";
export * from "./state";

async function start(): Promise<void> {
  const text = (id: string): string => document.getElementById(id)!.textContent!;
  const trials = loaded(JSON.parse(text("facts")) as Facts, await unpacked(text("blob")));
  const app = document.getElementById("app")!;
  app.textContent = "";
  render(<App trials={trials} />, app);
}

// Tests take the functions from here without a page.
if (typeof document !== "undefined") void start();
