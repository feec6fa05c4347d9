import math

from sagan_tf.evaluation import scores, tables
from tests.evaluation.protocol_test import record


def test_table_has_a_score_a_line_and_a_set_a_column():
    one = scores.Scores("step 7", 5000, 5000, 9.5, (10, 9.25, 0.125), fid=1.5, kid=0.5)
    real = scores.Scores("real images", 5000, None, 10.0, (10, 9.75, 0.25))
    assert tables.table([one, real]).splitlines() == [
        "                           step 7       real images",
        "IS5k                       9.5000           10.0000",
        "IS5k, 10 splits  9.2500 +- 0.1250  9.7500 +- 0.2500",
        "FID5k                      1.5000                 -",
        "KID5k                     0.50000                 -",
    ]


def test_column_whose_heading_says_its_images_stands_in_the_lines_of_the_first():
    one = scores.Scores("step 7", 5000, 5000, 9.5, (1, 9.5, 0.0), fid=1.5, kid=0.5)
    nothing = (0, math.nan, math.nan)
    half = scores.Scores(
        "real, held out", 2499, 2500, math.nan, nothing, fid=0.25, sides="2499 against 2500"
    )
    assert tables.table([one, half]).splitlines() == [
        "                          step 7     real, held out",
        "                                  2499 against 2500",
        "IS5k                      9.5000                  -",
        "IS5k, 1 splits  9.5000 +- 0.0000                  -",
        "FID5k                     1.5000             0.2500",
        "KID5k                    0.50000                  -",
    ]


def test_citation_is_one_line_with_all_that_counts():
    one = scores.Scores(
        "step 7",
        50_000,
        50_000,
        52.523,
        (10, 52.1, 0.52),
        fid=18.651,
        kid=0.0123456,
        kid_error=0.0001,
    )
    assert tables.citation(one, record(departures={"seed": 3}, checkpoint_sha256="a" * 64)) == (
        "step 7 (sha256:aaaaaaaaaaaa): IS 52.52 (10 splits 52.10 +- 0.52), FID 18.65, "
        "KID 0.01235 +- 0.00010; protocol reference, seed 3: 50000 images (uniform random "
        "labels); against 60 train images crc32c:0123456789ab; classifier sha256:ffffffffffff at "
        "299 px, legacy resize, float32; seed 0; tensorflow 2.21.0"
    )


def test_classes_are_listed_worst_first():
    one = scores.Scores("s", 4, 4, 1.0, (1, 1.0, 0.0), intra_fids={0: 1.0, 2: 3.5})
    assert tables.intra_table(one, ["cat", "dog", "car, truck"]).splitlines() == [
        "class,name,fid",
        '2,"car, truck",3.5000',
        "0,cat,1.0000",
    ]
