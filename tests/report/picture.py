"""The picture of the README: a report's curves and how its gap divides, as SVG, light and dark."""

from __future__ import annotations

from html import escape

from equivcheck.report import accounting
from equivcheck.report.curve_gap import headline
from equivcheck.report.html.charts import charts, legend
from equivcheck.report.html.waterfall import bars
from equivcheck.report.numbers import metric_share, points

WIDTH = 960
STYLE = """
  svg { font: 14px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif; }
  .ground { fill: #ffffff; stroke: #d5dae1; }
  text { fill: #1c2128; }
  .faint { fill: #59636e; }
  .bold { font-weight: 700; }
  .grid { stroke: #d5dae1; }
  path { fill: none; stroke-linejoin: round; }
  .bad { fill: #b42318; }
  .bottleneck { stroke: #1765ad; stroke-width: 8; opacity: .45; }
  .frozen { stroke: #c2410c; stroke-width: 2.5; stroke-dasharray: 10 4; }
  .repaired { stroke: #15803d; stroke-width: 2.5; stroke-dasharray: 3 5; }
  rect.cause { fill: #c2410c; }
  rect.gap { fill: #1c2128; }
  rect.residual { fill: #59636e; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #14181d; stroke: #39424d; }
    text, rect.gap { fill: #e4e8ed; }
    .faint, rect.residual { fill: #a0abb8; }
    .grid { stroke: #39424d; }
    .bad { fill: #ff8a7d; }
    .bottleneck { stroke: #6cb2ff; }
    .frozen { stroke: #ff9d6b; }
    .repaired { stroke: #5fd394; }
    rect.cause { fill: #ff9d6b; }
  }
"""


def picture(report):
    """The picture of a report that has curves and an accounting."""
    chart = charts(report.curves)[0]
    gap = headline(report.curves)
    steps = accounting.steps(report.attribution, report.findings)
    metric, height = report.attribution["metric"], max(chart.height + 116, 130 + 44 * len(steps))
    told = f"{report.verdict}: {report.name}. {chart.description}."
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-labelledby="told">'
        ),
        f'<title id="told">{escape(told)}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        text(24, 38, report.verdict.upper(), "bold bad"),
        text(130, 38, report.name, "bold"),
        text(WIDTH - 24, 38, f"gap of final {chart.title} {points(100 * gap.final)}", "faint", "end"),
        text(24, 76, chart.title, "bold"),
        text(510, 76, "how the gap divides", "bold"),
    ]
    for place, (arm, name) in enumerate(legend([chart])):
        x = 40 + 130 * place
        parts += [f'<path class="{arm}" d="M{x} {height - 20}h30"/>', text(x + 38, height - 15, name)]
    parts.append('<g transform="translate(0 84)">')
    for y, tick in chart.values:
        parts.append(f'<path class="grid" d="M{chart.left} {y}H{chart.right}"/>')
        parts.append(text(chart.left - 8, y + 5, tick, "faint", "end"))
    parts += [text(x, chart.bottom + 18, tick, "faint", "middle") for x, tick in chart.epochs]
    parts.append(text(chart.right, chart.bottom + 35, "epoch", "faint", "end"))
    parts += [f'<path class="{line.arm}" d="{line.path}"/>' for line in chart.lines]
    parts.append("</g>")
    for place, (step, bar) in enumerate(zip(steps, bars(steps), strict=True)):
        y, weight = 108 + 44 * place, "bold" if step.kind == "gap" else ""
        parts.append(text(510, y, f"{step.code} {step.name}".strip(), weight))
        parts.append(text(WIDTH - 24, y, metric_share(metric, step.share), weight, "end"))
        x, width = 510 + 0.33 * bar.x, 0.33 * bar.width
        parts.append(f'<rect class="{step.kind}" x="{x:.1f}" y="{y + 7}" width="{width:.1f}" height="12"/>')
    return "\n".join([*parts, "</svg>", ""])


def text(x, y, said, style="", anchor="start"):
    """One line of text."""
    return f'<text x="{x}" y="{y}" class="{style}" text-anchor="{anchor}">{escape(said)}</text>'
