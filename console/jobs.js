/** For staff: the jobs, their latest runs, and the state of each part of the system. */

import { Problem, request } from "./api.js";
import { byId, clock, clone, count, h, seconds, svg, time } from "./dom.js";
import { panel } from "./panel.js";
import { call } from "./session.js";
import { attempt, say } from "./status.js";

const RUNS_SHOWN = 30;
const EACH_SECOND = 1000;
// Time for a due run to start and finish.
const GRACE = 4000;
const LONGEST_PAUSE = 60_000;

const TONES = { succeeded: "good", failed: "bad", missed: "bad" };
const PART_TONES = { ok: "good", degraded: "waiting" };
const ENDED = new Set(Object.keys(TONES));
const CHART_HEIGHT = 56;
const BAR_HEIGHT = 44;
const STEP_PERCENT = 100 / RUNS_SHOWN;

const rows = new Map();
let jobs, timer;

export function startJobs() {
  jobs = panel("jobs", { load, show, closed: () => clearTimeout(timer) });
  document.addEventListener("visibilitychange", () => jobs.isOpen() && !document.hidden && jobs.reload());
}

async function load() {
  const [list, state] = await Promise.all([call("GET", "/api/jobs"), readiness()]);
  const runs = await Promise.all(list.data.map(({ name }) => call("GET", runsOf(name))));
  return { jobs: list.data, runs: runs.map(({ data }) => data), state };
}

const runsOf = (name) => `/api/jobs/runs?job=${encodeURIComponent(name)}&limit=${RUNS_SHOWN}`;

/** Read /readyz, whose problem document shows what is not ready. */
async function readiness() {
  try {
    return (await request("GET", "/readyz")).data;
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status === 0) throw problem;
    return { ...problem.body, status: "unavailable" };
  }
}

function show({ jobs: list, runs, state }) {
  showParts(state);
  const shown = new Set(list.map(({ name }) => name));
  for (const [name, { root }] of rows) if (!shown.has(name)) root.remove();
  list.forEach((job, index) => {
    if (!rows.has(job.name)) rows.set(job.name, row(job.name));
    const { root, update } = rows.get(job.name);
    if (!root.isConnected) byId("jobs-list").append(root);
    update(job, runs[index]);
  });
  scheduleReload(list);
}

/** Reload when the next run should have finished, or each second while one is in progress. */
function scheduleReload(list) {
  clearTimeout(timer);
  if (document.hidden) return;
  const active = list.some(({ last_run: run }) => run && !ENDED.has(run.state));
  const due = Math.min(...list.map(({ next_due }) => Date.parse(next_due) - Date.now())) + GRACE;
  timer = setTimeout(jobs.reload, active ? EACH_SECOND : Math.min(Math.max(due, GRACE), LONGEST_PAUSE));
}

/** Return a job's row, which is updated in place: its button may have the focus. */
function row(name) {
  const { root, title, description, schedule, last, next, unhealthy, trouble, chart, table, run } = clone("job");
  title.textContent = name;
  title.id = `job-${name}`;
  run.setAttribute("aria-describedby", title.id);
  run.onclick = () => runNow(name, run);

  function update(job, runs) {
    description.textContent = job.description;
    schedule.textContent = job.schedule;
    last.replaceChildren(...(job.last_run ? outcome(job.last_run) : ["never"]));
    next.replaceChildren(time(job.next_due));
    unhealthy.hidden = job.healthy !== false;
    trouble.textContent = job.trouble ?? "";
    chart.replaceChildren(...drawChart(runs));
    table.replaceChildren(...runs.map(tableRow));
  }
  return { root, update };
}

async function runNow(name, button) {
  button.ariaBusy = "true";
  await attempt(async () => {
    const { headers } = await call("POST", `/api/jobs/${encodeURIComponent(name)}/runs`);
    say("Run queued.");
    await jobs.reload();
    const run = await ended(new URL(headers.get("Location"), location.href).pathname);
    say(`Run ${run.state}.`);
    await jobs.reload();
  })();
  button.ariaBusy = "false";
}

/** Return the run once it has ended or the panel is closed. */
async function ended(path) {
  for (;;) {
    const { data } = await call("GET", path);
    if (ENDED.has(data.state) || !jobs.isOpen()) return data;
    await new Promise((resolve) => setTimeout(resolve, EACH_SECOND));
  }
}

function outcome(run) {
  const took = duration(run);
  const { done, total } = run.progress ?? {};
  const facts = [took !== null && seconds(took), done && (total ? `${done} of ${total}` : `${done} done`), run.outcome];
  return [
    h("span", { class: "state", "data-tone": TONES[run.state] ?? "waiting" }, run.state),
    " ",
    time(run.started_at ?? run.slot),
    ...facts.filter(Boolean).map((fact) => ` · ${fact}`),
  ];
}

function tableRow(run) {
  const took = duration(run);
  return h(
    "tr",
    {},
    h("td", {}, time(run.slot)),
    h("td", {}, h("span", { class: "state", "data-tone": TONES[run.state] ?? "waiting" }, run.state)),
    h("td", {}, took === null ? "–" : seconds(took)),
    h("td", {}, String(run.attempts ?? "")),
  );
}

/** Return the duration in seconds; null for a run that has not both started and finished. */
function duration({ started_at, finished_at }) {
  return started_at && finished_at ? (Date.parse(finished_at) - Date.parse(started_at)) / 1000 : null;
}

/** Draw a bar for each run, newest on the right, as high as its duration, with a dot above if it did not succeed. */
function drawChart(runs) {
  const longest = Math.max(...runs.map((run) => duration(run) ?? 0));
  const bars = runs.map((run, age) => bar(run, 100 - (age + 1) * STEP_PERCENT, longest));
  const failed = runs.filter(({ state }) => TONES[state] === "bad").length;
  const summary = `${count(runs.length, "run")}, the newest on the right. The longest took ${seconds(longest)}; ${failed || "none"} failed.`;
  return [
    svg("svg", { role: "img", "aria-label": "Duration of the recent runs" }, ...bars),
    h("figcaption", { class: "facts" }, runs.length ? summary : "No runs yet."),
  ];
}

function bar(run, x, longest) {
  const took = duration(run);
  const height = Math.max(3, longest ? ((took ?? 0) / longest) * BAR_HEIGHT : 0);
  const tone = TONES[run.state] ?? "waiting";
  const failed = tone === "bad" && svg("circle", { cx: `${x + STEP_PERCENT * 0.35}%`, cy: 4, r: 3, "data-tone": tone });
  return svg(
    "g",
    {},
    svg("title", {}, `${clock(run.slot)}: ${run.state}${took === null ? "" : `, ${seconds(took)}`}`),
    svg("rect", { x: `${x}%`, width: `${STEP_PERCENT * 0.7}%`, y: CHART_HEIGHT - height, height, rx: 2, "data-tone": tone }),
    failed,
  );
}

/** Show each service, and the state of the parts that it needs. */
function showParts(state) {
  const services = state.services ?? { [state.service ?? "gateway"]: state };
  byId("parts").replaceChildren(...Object.entries(services).map(([name, part]) => partRow(name, part)));
}

function partRow(name, { status, checks = {}, measures = {}, detail }) {
  const needs = Object.entries(checks).map(([need, state]) => (state === "ok" ? need : `${need} ${state}`));
  const known = Object.entries(measures).filter(([, value]) => value !== null);
  return h(
    "li",
    {},
    h("span", { class: "state", "data-tone": PART_TONES[status] ?? "bad" }, status === "ok" ? "ready" : String(status)),
    h("strong", {}, name),
    h("span", { class: "facts" }, needs.join(", ") || detail),
    known.length ? h("span", { class: "facts" }, known.map((measure) => figure(...measure)).join(", ")) : false,
  );
}

/** Format a measure: "relay lag 0.4 s", "queued runs 2". */
function figure(measure, value) {
  const words = measure.replaceAll("_", " ");
  return words.endsWith(" seconds") ? `${words.slice(0, -" seconds".length)} ${seconds(value)}` : `${words} ${value}`;
}
