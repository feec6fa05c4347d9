import re

import pytest
from tensorboard.plugins.custom_scalar import layout_pb2

from sagan_tf.runs import tensorboard_layout


def charts_of(content, tag):
    """Titles of the charts that show a tag, as TensorBoard matches: at the tag's beginning."""
    layout = layout_pb2.Layout.FromString(content)
    return [
        chart.title
        for category in layout.category
        for chart in category.chart
        if any(re.match(pattern, tag) for pattern in chart.multiline.tag)
    ]


@pytest.mark.parametrize(
    ("tag", "titles"),
    [
        ("g_loss", ["losses of G and D"]),
        ("d_loss", ["losses of G and D"]),
        ("d_loss_real", ["loss of D for real and for generated images"]),
        ("d_loss_fake", ["loss of D for real and for generated images"]),
        ("logit_real", ["logits of D"]),
        ("logit_fake", ["logits of D"]),
        ("d_learning_rate", ["learning rates"]),
        ("model/g_non_local/sigma_ratio", ["sigma_ratio of attention"]),
        ("sigma/g_block1/snconv1", ["generator"]),
        ("sigma/d_sn_linear", ["discriminator"]),
        ("peak_memory_mb", ["memory, MB"]),
        ("health/generator_largest_norm", ["largest singular value of normalised weights"]),
        ("g_class_loss", []),
        ("ada/p", []),
        ("eval/fid", ["FID"]),
    ],
)
def test_each_quantity_of_training_has_one_chart(tag, titles):
    assert charts_of(tensorboard_layout.of_training(), tag) == titles


@pytest.mark.parametrize(
    ("tag", "title"),
    [
        ("g_class_loss", "losses of the class"),
        ("d_class_loss_real", "losses of the class"),
        ("class_accuracy_real", "share of classes that D guesses"),
    ],
)
def test_losses_of_the_class_have_a_chart_where_there_are_such(tag, title):
    content = tensorboard_layout.of_training(has_classifier=True)
    assert charts_of(content, tag) == [title]
    assert charts_of(content, "d_loss") == ["losses of G and D"]


def test_adaptive_augmentation_has_a_chart_where_it_is():
    content = tensorboard_layout.of_training(is_adaptive=True)
    assert [charts_of(content, tag) for tag in ("ada/p", "ada/r", "g_class_loss")] == [
        ["adaptive augmentation"],
        ["adaptive augmentation"],
        [],
    ]


@pytest.mark.parametrize(
    ("tag", "titles"),
    [
        ("eval/fid", ["FID"]),
        ("eval/fid5k", ["FID"]),
        ("eval/fid1797-truncation-0.7", ["FID"]),
        ("eval/intra_fid162", ["FID"]),
        ("eval/incscore5k", ["Inception Score"]),
        ("eval/incscore5k_10_splits", ["Inception Score"]),
        ("eval/incscore5k_10_splits_deviation", []),
        ("eval/kid5k", ["KID"]),
        ("eval/kid5k_error", []),
        ("eval/recall1797", ["precision, recall, density, coverage"]),
        ("d_loss", []),
    ],
)
def test_each_score_has_one_chart_and_spreads_have_none(tag, titles):
    assert charts_of(tensorboard_layout.of_scores(), tag) == titles
