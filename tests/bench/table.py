"""Prints the tables of a run of tests/bench/run: each figure, and how many times ours it is."""

import json
import sys

UNITS = {
    "cpu_ms": "CPU ms a collection",
    "resident_mb": "resident MB",
    "cpu_s_a_million": "CPU s per M points",
    "bytes_a_point": "bytes a point",
    "peak_mb": "peak MB",
    "raw_day_ms": "(a) raw day, ms",
    "five_minutes_ms": "(b) 5 min, ms",
    "fleet_ten_ms": "(c) fleet's ten, ms",
}


def ours(who):
    """Whether the others are compared with this one."""
    return who in ("tidemark", "tidemark (with owners)")


def number(value):
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def cell(figure, base):
    """A figure and its ratio; n/a where there is none, never zero."""
    if figure is None:
        return "as above"
    if figure["value"] is None:
        return "n/a"
    if ours(figure["who"]) or not base or not base["value"]:
        return number(figure["value"])
    return f"{number(figure['value'])} ({figure['value'] / base['value']:.2g}x)"


def table(rows):
    """Rows as a table of Markdown with columns that line up."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def part(figures, columns):
    """One row a program, ours first; one column a scene and measure."""
    names = sorted({figure["who"]: None for figure in figures}, key=lambda who: not who.startswith("tidemark"))
    found = {(figure["who"], figure["scene"], figure["measure"]): figure for figure in figures}
    base = next(who for who in names if ours(who))
    head = [UNITS[measure] if scene is None else f"{scene}: {UNITS[measure]}" for scene, measure in columns]
    rows = [["times ours in brackets", *head]]
    for who in names:
        scene_of = lambda scene: scene or figures[0]["scene"]
        cells = [
            cell(found.get((who, scene_of(scene), measure)), found.get((base, scene_of(scene), measure)))
            for scene, measure in columns
        ]
        rows.append([who, *cells])
    return table(rows)


def main():
    """Prints both parts, and why a figure is missing."""
    with open(sys.argv[1], encoding="utf-8") as file:
        run = json.load(file)
    machine = run["machine"]
    print(f"\n{run['date']}, commit {run['commit']}: {machine['cores']} cores, {machine['cpu']}, Linux {machine['kernel']}, "
          f"load {machine['load_before']} before the run, nice {machine['nice']}")
    print(", ".join(f"{name} {version or 'unknown'}" for name, version in run["versions"].items()))
    agent = [figure for figure in run["figures"] if figure["part"] == "agent"]
    server = [figure for figure in run["figures"] if figure["part"] == "server"]
    if agent:
        scenes = list(dict.fromkeys(figure["scene"] for figure in agent))
        columns = [(scene, "cpu_ms") for scene in scenes] + [(scenes[-1], "resident_mb")]
        print(f"\nAgent, sockets in one network namespace\n\n{part(agent, columns)}")
    if server:
        measures = ["cpu_s_a_million", "bytes_a_point", "peak_mb", "raw_day_ms", "five_minutes_ms", "fleet_ten_ms"]
        print(f"\nServer, {server[0]['scene']}\n\n{part(server, [(None, measure) for measure in measures])}")
    missing = dict.fromkeys(f"{figure['who']}: {figure['how']}" for figure in run["figures"] if figure["value"] is None)
    if missing:
        print("\nn/a: " + "; ".join(missing))


main()
