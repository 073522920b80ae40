"""Charts as SVG text: small enough to be read on a phone, coloured by the page's style sheet, so that it can be dark.

Every chart has a title and a description for those who can't see it. All lengths are in the SVG's own units, which are
pixels where it is shown 360 wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from markupsafe import Markup, escape

from podium.evaluation import CalibrationBin

__all__ = ["Dot", "Line", "calibration_chart", "line_chart", "nice_ticks", "percent", "scatter_chart"]

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 12, 36
MOST_POINTS = 300
"""Of a line; of more, means are drawn."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: for the legend.
        points: (x, y), x ascending; at least one.
    """

    name: str
    points: Points


@dataclass(frozen=True)
class Dot:
    """A dot of a chart.

    Attributes:
        x, y: where.
        says: what it tells who points at it.
        kind: 0: as most; 1: the one that stands out; 2: one that counts less.
    """

    x: float
    y: float
    says: str
    kind: int = 0


@dataclass(frozen=True)
class _Axes:
    """Maps values to places in the SVG."""

    x: tuple[float, float]
    y: tuple[float, float]
    bottom: float = HEIGHT - BOTTOM

    def left_of(self, value: float) -> float:
        low, high = self.x
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def top_of(self, value: float) -> float:
        low, high = self.y
        return self.bottom - (value - low) / (high - low) * (self.bottom - TOP)


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values from at or below `low` to at or above `high`, evenly spaced by 1, 2 or 5 times a power of ten."""
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, 1e-30):  # one value, or as good as one
        pad = 0.1 * largest if largest > 1e-30 else 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    about: str,
    x_label: str,
    form: Callable[[float], str],
    from_zero: bool = False,
) -> Markup:
    """Lines over a common x.

    Args:
        lines: at least one; the second is dashed, so that colours aren't needed.
        title: for those who can't see it; the page has its own heading.
        about: the same in a sentence.
        x_label: what x is.
        form: how y is written.
        from_zero: whether the axis begins at 0.
    """
    drawn = [Line(line.name, _thinned(line.points)) for line in lines]
    xs = [x for line in drawn for x, _ in line.points]
    ys = [y for line in drawn for _, y in line.points]
    y_ticks = nice_ticks(0.0 if from_zero else min(ys), max(ys))
    x_ticks = [x for x in nice_ticks(min(0.0, *xs), max(xs), 6) if min(0.0, *xs) <= x <= max(xs) * (1 + 1e-9)]
    axes = _Axes((min(0.0, *xs), max(xs) if max(xs) > min(0.0, *xs) else 1.0), (y_ticks[0], y_ticks[-1]))
    parts = [_grid(axes, x_ticks, y_ticks, lambda x: f"{x:g}", form), _x_label(x_label)]
    for number, line in enumerate(drawn):
        places = [f"{axes.left_of(x):.1f},{axes.top_of(y):.1f}" for x, y in line.points]
        if len(places) == 1:
            left, top = places[0].split(",")
            parts.append(f'<circle class="dot line-{number}" cx="{left}" cy="{top}" r="3"/>')
        parts.append(f'<polyline class="line line-{number}" points="{" ".join(places)}"/>')
        x, y = line.points[-1]
        parts.append(
            f'<circle class="dot line-{number}" cx="{axes.left_of(x):.1f}" cy="{axes.top_of(y):.1f}" r="3.5">'
            f"<title>{escape(line.name)}: {escape(form(y))}</title></circle>"
        )
    return _svg(title, about, parts)


def scatter_chart(
    dots: Sequence[Dot],
    *,
    title: str,
    about: str,
    x_label: str,
    x_form: Callable[[float], str] = "{:g}".format,
    form: Callable[[float], str],
    log_x: bool = False,
    x_names: Sequence[str] = (),
    line: Points = (),
) -> Markup:
    """Dots over a common x, and perhaps a line through it.

    Args:
        dots: at least one.
        title: as of `line_chart`.
        about: as of `line_chart`.
        x_label: as of `line_chart`.
        x_form: how x is written.
        form: as of `line_chart`.
        log_x: whether x, all above 0, is on a log scale.
        x_names: of x = 0, 1, …, where these stand for choices.
        line: (x, y), x ascending.
    """
    xs = [one.x for one in dots] + [x for x, _ in line]
    ys = [one.y for one in dots] + [y for _, y in line]
    to = math.log10 if log_x else float
    low, high = min(map(to, xs)), max(map(to, xs))
    pad = 0.04 * (high - low) or 0.5
    y_ticks = nice_ticks(min(ys), max(ys))
    axes = _Axes((low - pad, high + pad), (y_ticks[0], y_ticks[-1]))
    x_ticks: list[float] = list(range(len(x_names)))
    if not x_names:
        x_ticks = [x for x in _log_ticks(low, high) if low <= x <= high] if log_x else nice_ticks(low, high, 5)
        x_ticks = [x for x in x_ticks if axes.x[0] <= x <= axes.x[1]]

    def written(x: float) -> str:
        return str(x_names[round(x)]) if x_names else x_form(10**x if log_x else x)

    parts = [_grid(axes, x_ticks, y_ticks, written, form), _x_label(x_label)]
    if line:
        places = [f"{axes.left_of(to(x)):.1f},{axes.top_of(y):.1f}" for x, y in line]
        parts.append(f'<polyline class="line line-1" points="{" ".join(places)}"/>')
    for one in sorted(dots, key=lambda one: (2, 0, 1).index(one.kind)):  # what stands out lies on top
        look, size = (("dot line-0", 3), ("dot line-1", 5), ("count", 3))[one.kind]
        parts.append(
            f'<circle class="{look}" cx="{axes.left_of(to(one.x)):.1f}" cy="{axes.top_of(one.y):.1f}" r="{size}">'
            f"<title>{escape(one.says)}</title></circle>"
        )
    return _svg(title, about, parts)


def _log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2 and 5 times powers of ten, or of these powers only where the first would be too many."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 1.5 else (1, 3) if high - low < 3 else (1,)
    return [power + math.log10(step) for power in powers for step in steps]


def calibration_chart(bins: Sequence[CalibrationBin], num_images: int, *, title: str, about: str) -> Markup:
    """Accuracy over confidence with 95 % intervals, the diagonal where both agree, and how many images there are."""
    axes = _Axes((0.0, 1.0), (0.0, 1.0), bottom=HEIGHT - BOTTOM - 36)
    ticks = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    parts = [_grid(axes, [], ticks, str, percent)]
    base = HEIGHT - BOTTOM
    parts += [_x_tick(axes.left_of(x), percent(x)) for x in ticks]
    parts.append(
        f'<line class="diagonal" x1="{axes.left_of(0):.1f}" y1="{axes.top_of(0):.1f}" '
        f'x2="{axes.left_of(1):.1f}" y2="{axes.top_of(1):.1f}"/>'
    )
    for one in bins:  # how many images: bars below
        left, right = axes.left_of(one.low), axes.left_of(one.high)
        height = max(1.0, 30 * one.num_images / num_images)
        parts.append(
            f'<rect class="count" x="{left + 1:.1f}" y="{base - height:.1f}" width="{right - left - 2:.1f}" '
            f'height="{height:.1f}"><title>{one.num_images:,} images</title></rect>'
        )
    places = [f"{axes.left_of(one.confidence):.1f},{axes.top_of(one.accuracy):.1f}" for one in bins]
    parts.append(f'<polyline class="line line-0" points="{" ".join(places)}"/>')
    for one in bins:
        x = axes.left_of(one.confidence)
        low, high = (axes.top_of(value) for value in one.interval)
        parts.append(f'<line class="whisker" x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}"/>')
        parts.append(
            f'<circle class="dot line-0" cx="{x:.1f}" cy="{axes.top_of(one.accuracy):.1f}" r="3.5"><title>'
            f"confidence {one.confidence:.1%}, right {one.accuracy:.1%}, {one.num_images:,} images</title></circle>"
        )
    parts.append(_x_label("confidence"))
    return _svg(title, about, parts)


def _thinned(points: Points) -> Points:
    """At most MOST_POINTS: means of neighbours; the last point stays."""
    if len(points) <= MOST_POINTS:
        return points
    *others, last = points
    size = math.ceil(len(others) / (MOST_POINTS - 1))
    groups = [others[start : start + size] for start in range(0, len(others), size)]
    return [*((fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups), last]


def _grid(
    axes: _Axes,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_form: Callable[[float], str],
    y_form: Callable[[float], str],
) -> str:
    parts = []
    for y in y_ticks:
        top = axes.top_of(y)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{top:.1f}" x2="{WIDTH - RIGHT}" y2="{top:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{top + 4:.1f}" text-anchor="end">{escape(y_form(y))}</text>')
    parts += [_x_tick(axes.left_of(x), x_form(x)) for x in x_ticks]
    return "".join(parts)


def _x_tick(left: float, text: str) -> str:
    return f'<text x="{left:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{escape(text)}</text>'


def _x_label(text: str) -> str:
    return f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 5}" text-anchor="middle">{escape(text)}</text>'


def _svg(title: str, about: str, parts: Sequence[str]) -> Markup:
    head = f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(title)}</title><desc>{escape(about)}</desc>'
    return Markup(head + "".join(parts) + "</svg>")  # names were escaped above


def percent(value: float) -> str:
    """Without decimals, the sign behind a narrow space that doesn't break."""
    return f"{100 * value:.0f}\u202f%"
