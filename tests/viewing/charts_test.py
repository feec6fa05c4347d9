"""Long runs are drawn as few points that hide no peak; charts can stand in one page."""

import re

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
    assert len(curve.steps) == len(curve.values) == charts.MAX_POINTS == 500
    assert np.flatnonzero(curve.high).tolist() == [61_234 // 200]
    assert curve.high.max() == 7
    np.testing.assert_allclose(curve.values.max(), 7 / 200)


def test_no_rows_make_no_points():
    curve = charts.thin("x", np.zeros(0), values=np.zeros(0))
    assert len(curve.steps) == len(curve.values) == 0


def test_svg_has_ids_of_its_own_and_the_colour_of_the_page():
    curve = charts.thin("x", np.arange(1000.0), values=np.arange(1000.0))
    svgs = [charts.draw_svg([curve], name) for name in ("one", "two")]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in svgs]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip(svgs, ids):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= own
        assert svg.startswith("<svg")
        assert "currentColor" in svg
        assert not re.search(r"<style|<metadata|<\?xml|font-family", svg)


def test_svg_is_the_same_each_time():
    curve = charts.thin("x", np.arange(3.0), values=np.arange(3.0))
    assert charts.draw_svg([curve], "one") == charts.draw_svg([curve], "one")


def test_values_that_no_axis_can_show_are_left_out():
    for values in ([0.0, -1.0], [np.nan, np.nan], []):
        curve = charts.thin("x", np.arange(float(len(values))), values=np.array(values))
        for options in ({"log": True}, {"from_zero": True}, {}):
            assert "<svg" in charts.draw_svg([curve], "one", **options)


def test_published_points_are_the_papers():
    """Tables 1 and 2: FID 18.28 and IS 51.43 with attention at 32, 18.65 and 52.52 at 64."""
    found = {curve.label: curve.values.tolist() for curve in charts.published("fid")}
    assert found["paper, attention at 32"] == [18.28]
    assert found["paper, attention at 64"] == [18.65]
    found = {curve.label: curve.values.tolist() for curve in charts.published("inception_score")}
    assert found["paper, attention at 32"] == [51.43]
    assert found["paper, attention at 64"] == [52.52]
