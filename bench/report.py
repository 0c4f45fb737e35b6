"""The table and the chart of a benchmark's results."""

from collections.abc import Iterator
from typing import Any

TITLES = {
    "floor": "bare WSGI",
    "fastapi": "FastAPI + SQLAlchemy",
    "drf": "DRF + simplejwt",
    "project": "this project",
    "service": "its service alone",
    "unmeasured": "its service without metrics",
}
# Of the targets in the chart; readable on light and dark pages.
COLOURS = {"floor": "#8b949e", "fastapi": "#2f81f7", "drf": "#d29922", "project": "#3fb950"}


def table(summary: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    head = "| call | connections | target | requests/s | of bare | p50 ms | p99 ms | errors | CPU µs per request |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for row in summary["rows"]:
        cpu = ", ".join(f"{kind} {value:.0f}" for kind, value in sorted(row["cpu_us"].items()) if value >= 1)
        ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else "–"
        lines.append(
            f"| {row['operation']} | {row['connections']} | {TITLES[row['target']]} | {row['rps']:,.0f} | {ratio}"
            f" | {row['p50_ms']:.2f} | {row['p99_ms']:.2f} | {row['errors']} | {cpu} |"
        )
    lines += ["", "| target | memory in MB |", "|---|---|"]
    for name, kinds in summary["memory_bytes"].items():
        sizes = ", ".join(f"{kind} {size / 1e6:.0f}" for kind, size in sorted(kinds.items()))
        lines.append(f"| {TITLES[name]} | {sizes} |")
    return "\n".join([*lines, *_cost_of_metrics(summary)])


def _cost_of_metrics(summary: dict[str, Any]) -> Iterator[str]:
    """Yield a table of the metrics' cost per request, if the service ran with and without them."""
    if not {"service", "unmeasured"} <= {row["target"] for row in summary["rows"]}:
        return
    yield from ("", "| call | connections | service, CPU µs | without metrics | their cost |", "|---|---|---|---|---|")
    cpu = {(row["operation"], row["connections"], row["target"]): row["cpu_us"]["service"] for row in summary["rows"]}
    for operation, connections in dict.fromkeys(key[:2] for key in cpu):
        measured, without = (cpu[operation, connections, target] for target in ("service", "unmeasured"))
        yield f"| {operation} | {connections} | {measured:.0f} | {without:.0f} | {measured - without:.0f} |"


def chart(summary: dict[str, Any]) -> str:
    """Return an SVG bar chart of the throughput at the fewest connections, relative to the bare function."""
    first = summary["rows"][0]["connections"]
    rows = [row for row in summary["rows"] if row["connections"] == first and row["target"] in COLOURS]
    bars, height = "", 12
    for operation in dict.fromkeys(row["operation"] for row in rows):
        group = [row for row in rows if row["operation"] == operation]
        bars += f'<text x="0" y="{height + 9 * len(group)}" class="name">{operation}</text>\n'
        for bar in _bars(group, height):
            bars += bar
        height += 18 * len(group) + 12
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img">\n'
        "<title>Requests per second, relative to a bare WSGI function</title>\n"
        "<style>text { font: 12px sans-serif; fill: #8b949e } .name { font-weight: bold }</style>\n"
        f"{bars}</svg>\n"
    )


def _bars(group: list[dict[str, Any]], top: int) -> Iterator[str]:
    most = max(row["rps"] for row in group)
    for number, row in enumerate(group):
        y, width = top + 18 * number, 380 * row["rps"] / most
        ratio = f" · {row['ratio']:.2f}" if row["ratio"] is not None else ""
        yield (
            f'<rect x="70" y="{y}" width="{width:.0f}" height="14" fill="{COLOURS[row["target"]]}"/>\n'
            f'<text x="{width + 78:.0f}" y="{y + 11}">{TITLES[row["target"]]}: {row["rps"]:,.0f}/s{ratio}</text>\n'
        )
