import { render } from "preact";

import { Problem, getMap } from "./api";
import { App } from "./app";
import { Page } from "./page";
import { Fault } from "./start";
import "./style.css";
import { listenToKeys } from "./transport";

const root = document.getElementById("page")!;

try {
  const page = new Page(await getMap());
  document.title = `${page.map.name} · CVLNet`;
  listenToKeys(page);
  void page.route();
  render(<App page={page} />, root);
} catch (error) {
  const problem = Problem.of(error);
  render(
    <main class="refused">
      <h1>CVLNet</h1>
      <Fault problem={problem} />
      <button onClick={() => location.reload()}>Try again</button>
    </main>,
    root,
  );
}
