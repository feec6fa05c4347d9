"""Long runs are drawn as few points that hide no peak; curves become Plotly's traces."""

import base64
import json

import numpy as np

from sagan_tf.viewing import charts


def test_few_rows_stay_as_they_are():
    curve = charts.thin("x", np.array([2.0, 4.0, 9.0]), values=np.array([1.0, -3.0, 5.0]), most=3)
    for values in (curve.values, curve.low, curve.high):
        np.testing.assert_array_equal(values, [1, -3, 5])
    np.testing.assert_array_equal(curve.steps, [2, 4, 9])
    assert curve.last == 5


def test_neighbours_become_their_mean_with_least_and_largest():
    steps = np.array([10.0, 20, 30, 40, 50])
    curve = charts.thin("x", steps, values=np.array([1.0, 3, 5, 100, 0]), most=2)
    # Two and three rows: 5 * 1 // 2 = 2.
    np.testing.assert_array_equal(curve.steps, [15, 40])
    np.testing.assert_array_equal(curve.values, [2, 35])
    np.testing.assert_array_equal(curve.low, [1, 0])
    np.testing.assert_array_equal(curve.high, [3, 100])
    assert curve.last == 0


def test_what_is_not_finite_counts_for_nothing_and_a_point_of_it_is_a_gap():
    values = np.array([1.0, np.nan, np.inf, -np.inf, 1e300, np.nan, 4.0, 6.0])
    curve = charts.thin("x", np.arange(8.0), values=values, most=4)
    np.testing.assert_array_equal(curve.values, [1, np.nan, np.nan, 5])
    np.testing.assert_array_equal(curve.low, [1, np.nan, np.nan, 4])
    np.testing.assert_array_equal(curve.high, [1, np.nan, np.nan, 6])
    assert curve.last == 6
    assert np.isnan(charts.thin("x", np.arange(2.0), values=np.full(2, np.nan)).last)


def test_a_hundred_thousand_rows_keep_their_one_peak():
    values = np.zeros(100_000)
    values[61_234] = 7.0
    curve = charts.thin("x", np.arange(100_000.0), values=values)
    assert len(curve.steps) == len(curve.values) == charts.MAX_POINTS == 1000
    assert np.flatnonzero(curve.high).tolist() == [61_234 // 100]
    assert curve.high.max() == 7
    np.testing.assert_allclose(curve.values.max(), 7 / 100)


def test_no_rows_make_no_points():
    curve = charts.thin("x", np.zeros(0), values=np.zeros(0))
    assert len(curve.steps) == len(curve.values) == 0


def numbers(packed):
    """An array of a trace, which Plotly has as base64."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()


def test_range_is_an_outline_behind_its_curve_and_goes_with_it():
    curve = charts.thin("x", np.arange(4.0), values=np.array([1.0, 3.0, np.nan, np.nan]), most=2)
    curve = curve._replace(group="others")
    band, line = charts.Chart("title", "note", [curve]).traces
    # There along the largest value, and back along the least; what is not a number is left out.
    assert (numbers(band["x"]), numbers(band["y"])) == ([0, 0], [3, 1])
    assert (band["fill"], band["hoverinfo"]) == ("toself", "skip")
    np.testing.assert_array_equal(numbers(line["y"]), [2, np.nan])
    assert numbers(line["x"]) == [0, 2]
    assert line["legendgroup"] == band["legendgroup"] == "others"


def test_first_curve_lies_above_the_others_and_few_points_are_marked():
    few, many = (charts.Curve(str(n), np.arange(n), np.zeros(n)) for n in (30, 31))
    traces = charts.Chart("title", "note", [few, many]).traces
    assert [trace["name"] for trace in traces] == ["31", "30"]
    assert [trace["mode"] for trace in traces] == ["lines", "lines+markers"]


def test_styles_are_those_of_matplotlib():
    found = {}
    for style in ("-", "s--", "*", "-."):
        curve = charts.Curve("x", np.zeros(40), np.zeros(40), style=style)
        (trace,) = charts.Chart("title", "note", [curve]).traces
        found[style] = (trace["mode"], trace["line"]["dash"], trace["marker"]["symbol"])
    assert found == {
        "-": ("lines", "solid", "circle"),
        "s--": ("lines+markers", "dash", "square"),
        "*": ("markers", "solid", "star"),
        "-.": ("lines", "dashdot", "circle"),
    }


def test_names_are_no_markup():
    """Plotly takes "<b>" in a name for bold."""
    curve = charts.Curve("<b>&", np.zeros(1), np.zeros(1))
    assert charts.Chart("title", "note", [curve]).traces[0]["name"] == "&lt;b&gt;&amp;"


def test_legend_has_an_entry_for_each_group():
    curves = [charts.Curve(name, np.zeros(1), np.zeros(1)) for name in "abc"]
    lines = [curves[0], *(curve._replace(group="others") for curve in curves[1:])]
    assert [line.entry for line in charts.Chart("", "", lines).legend] == ["a", "others"]


def test_figures_are_json_the_same_each_time_and_need_no_points():
    for values in ([], [0.0, -1.0], [np.nan, np.nan]):
        curve = charts.thin("x", np.arange(float(len(values))), values=np.array(values))
        chart = charts.Chart("title", "note", [curve])
        assert json.dumps(chart.traces) == json.dumps(chart.traces)


def test_published_points_are_the_papers():
    """Tables 1 and 2: FID 18.28 and IS 51.43 with attention at 32, 18.65 and 52.52 at 64."""
    found = {curve.label: curve.values.tolist() for curve in charts.published("fid")}
    assert found["paper, attention at 32"] == [18.28]
    assert found["paper, attention at 64"] == [18.65]
    found = {curve.label: curve.values.tolist() for curve in charts.published("inception_score")}
    assert found["paper, attention at 32"] == [51.43]
    assert found["paper, attention at 64"] == [52.52]
