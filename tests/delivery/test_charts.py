import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.delivery.report.charts import MOST_POINTS, Line, calibration_chart, line_chart, nice_ticks
from podium.evaluation import CalibrationBin


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_ticks_are_round_even_and_hold_all_values(one, other):
    low, high = min(one, other), max(one, other)
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    slack = 1e-6 * max(high - low, 1e-300)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    step = ticks[1] - ticks[0]
    mantissa = float(f"{step:e}".partition("e")[0])
    assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 1e-3


def test_ticks_by_hand():
    assert nice_ticks(0.53, 0.97) == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert nice_ticks(0, 36, 6) == [0, 10, 20, 30, 40]
    assert nice_ticks(0, 0) == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0])


def drawn(points, **options):
    svg = line_chart([Line("a", points)], title="t", about="d", x_label="x", form="{:g}".format, **options)
    path = re.search(r'<polyline class="line line-0" points="([^"]*)"', svg).group(1)
    return svg, [tuple(map(float, place.split(","))) for place in path.split()]


def test_places_are_proportional_and_up_is_more():
    _, places = drawn([(0, 0), (5, 50), (10, 100)])
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.11)
    assert y2 < y0
    assert (x0, y0) == (46, 194)  # the axes' corner


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=50))
def test_all_points_lie_within_the_picture(points):
    _, places = drawn(sorted(points))
    assert len(places) == len(points)
    assert all(0 <= x <= 360 and 0 <= y <= 230 for x, y in places)


def test_a_long_line_is_thinned_to_means_and_keeps_its_end():
    svg, places = drawn([(n, float(n % 2)) for n in range(10_001)])
    assert len(places) <= MOST_POINTS
    assert "a: 0</title>" in svg  # the last value
    inner = {y for _, y in places[:-1]}
    assert max(inner) - min(inner) < 10  # means of zeros and ones


def test_names_are_escaped():
    svg = line_chart([Line("<b>", [(0, 1)])], title="<i>", about="&", x_label="<u>", form="<{:g}>".format)
    assert not re.search(r"<[biu]>|<1>|& ", svg)


def test_a_bin_lies_on_the_diagonal_if_confidence_is_accuracy():
    bins = [CalibrationBin(0.4, 0.5, 10, 0.45, 0.45, (0.2, 0.7)), CalibrationBin(0.9, 1.0, 30, 0.95, 0.5, (0.3, 0.7))]
    svg = calibration_chart(bins, 40, title="t", about="d")
    diagonal = re.search(r'class="diagonal" x1="([\d.]+)" y1="([\d.]+)" x2="([\d.]+)" y2="([\d.]+)"', svg)
    x1, y1, x2, y2 = map(float, diagonal.groups())
    dots = [tuple(map(float, found)) for found in re.findall(r'<circle [^>]*cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert dots[0][1] == pytest.approx(y1 + (dots[0][0] - x1) / (x2 - x1) * (y2 - y1), abs=0.2)
    assert dots[1][1] > y1 + (dots[1][0] - x1) / (x2 - x1) * (y2 - y1)  # below it: less right than sure
    heights = [float(height) for height in re.findall(r'class="count"[^>]*height="([\d.]+)"', svg)]
    assert heights == [7.5, 22.5]
