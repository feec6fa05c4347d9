"""Scores in rows: rows of old releases are read as those of today."""

import json

import pytest

from sagan_tf.evaluation import metrics, rows, scores


@pytest.mark.parametrize(
    ("images", "expected"),
    [(50_000, ""), (60_000, ""), (5000, "5k"), (1797, "1797"), (49_999, "49999")],
)
def test_scores_of_fewer_than_50000_images_say_so(images, expected):
    assert rows.suffix(images) == expected


# As releases wrote rows before version 2.
OLD_ROW = {
    "step": 5,
    "eval/incscore5k_10_splits": 7.0,
    "eval/incscore5k_10_splits_deviation": 0.25,
    "eval/incscore5k": 8.0,
    "eval/intra_fid50": 9.0,
    "eval/fid5k": 20.5,
    "eval/kid1797": 0.5,
    "eval/kid1797_error": 0.125,
    "eval/precision": 0.75,
    "eval/recall": "unknown",
    "images": 5000,
    "protocol": {"name": "quick"},
}


def test_old_rows_are_read():
    assert rows.read_scores(OLD_ROW) == {
        "incscore": rows.Score("incscore", 8.0, 5000),
        "incscore_splits": rows.Score("incscore_splits", 7.0, 5000, splits=10, deviation=0.25),
        "fid": rows.Score("fid", 20.5, 5000),
        "kid": rows.Score("kid", 0.5, 1797, error=0.125),
        "precision": rows.Score("precision", 0.75, None),
        "intra_fid": rows.Score("intra_fid", 9.0, 50),
    }
    labelled = rows.labelled(rows.read_scores(OLD_ROW).values())
    old = {name: value for name, value in OLD_ROW.items() if name.startswith("eval/")}
    del old["eval/recall"]
    assert {"eval/" + name: value for name, value in labelled.items()} == old
    assert rows.value_of({"eval/fid": 18}, "fid") == 18.0


def test_rows_of_today_are_read_and_flat_keys_are_not():
    found = scores.Scores(
        "step 5",
        5000,
        1797,
        8.0,
        (10, 7.0, 0.25),
        fid=20.5,
        kid=0.5,
        manifold=metrics.Manifold(0.5, 0.25, 1.5, 0.75),
        manifold_images=1000,
        intra_fids={0: 8.0, 3: 10.0},
        intra_counts=(10, 20, 50, 60),
    )
    row = {
        "eval/fid5k": 1.0,
        "version": 2,
        "scores": {
            "incscore": {"value": 8.0, "images": 5000},
            "incscore_splits": {"value": 7.0, "images": 5000, "splits": 10, "deviation": 0.25},
            "fid": {"value": 20.5, "images": 1797},
            "kid": {"value": 0.5, "images": 1797},
            "precision": {"value": 0.5, "images": 1000},
            "recall": {"value": 0.25, "images": 1000},
            "density": {"value": 1.5, "images": 1000},
            "coverage": {"value": 0.75, "images": 1000},
            "intra_fid": {"value": 9.0, "images": 50},
        },
    }
    assert rows.to_row(found.each()) == row["scores"]
    read = rows.read_scores(json.loads(json.dumps(row)))
    assert list(read.values()) == found.each()
    assert [score.label for score in read.values()] == [
        "incscore5k",
        "incscore5k_10_splits",
        "fid1797",
        "kid1797",
        "precision1k",
        "recall1k",
        "density1k",
        "coverage1k",
        "intra_fid50",
    ]


@pytest.mark.parametrize(
    "row", [{}, {"scores": None}, {"scores": {"fid": 3.0}}, {"scores": {"fid": {"value": "x"}}}]
)
def test_row_without_a_score_has_none(row):
    assert rows.read_scores(row) == {}
    assert rows.value_of(row, "fid") != rows.value_of(row, "fid")  # NaN


def test_intra_fid_is_labelled_below_5000_images_of_a_class():
    assert rows.Score("intra_fid", 1.0, 4999).label == "intra_fid4999"
    assert rows.Score("intra_fid", 1.0, 5000).label == "intra_fid"
