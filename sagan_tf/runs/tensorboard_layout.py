"""The charts of TensorBoard's tab "Custom Scalars": tags that belong together, in one chart.

The tags are as they were; a layout only names them.
"""

from collections.abc import Mapping, Sequence

from tensorboard.plugins.custom_scalar import layout_pb2, metadata

TAG = metadata.CONFIG_SUMMARY_TAG
PLUGIN = metadata.PLUGIN_NAME

# Category -> title of a chart -> regular expressions of its tags, as `re.match` takes them.
_Charts = Mapping[str, Mapping[str, Sequence[str]]]
# A tag ends with the number of images ("5k"), and with the truncation where there is one.
_END = r"\d*k?(-.*)?$"
_SCORES: _Charts = {
    "Scores": {
        "FID": (f"eval/(intra_)?fid{_END}",),
        "Inception Score": (f"eval/incscore{_END}", r"eval/incscore\d*k?_\d+_splits(-.*)?$"),
        "KID": (f"eval/kid{_END}",),
        "precision, recall, density, coverage": (
            f"eval/(precision|recall|density|coverage){_END}",
        ),
    }
}
_TRAINING: _Charts = {
    "Losses": {
        "losses of G and D": ("g_loss$", "d_loss$"),
        "loss of D for real and for generated images": ("d_loss_real$", "d_loss_fake$"),
        "logits of D": ("logit_real$", "logit_fake$"),
    },
    **_SCORES,
    "Networks": {
        "gradient norms": ("[gd]_gradient_norm$",),
        "sigma_ratio of attention": ("model/.*/sigma_ratio$",),
        "variety of samples (health)": ("health/variety.*",),
        "largest singular value of normalised weights": ("health/.*_largest_norm$",),
        "learning rates": ("[gd]_learning_rate$",),
    },
    "Sigma of the weights": {
        "generator": ("sigma/g_.*",),
        "discriminator": ("sigma/d_.*",),
    },
    "Speed and memory": {
        "images per second": ("images_per_second$",),
        "share of time that waits for images": ("input_stall$",),
        "memory, MB": ("memory_mb$", "peak_memory_mb$"),
    },
}
_CLASSES: _Charts = {
    "Losses": {
        "losses of the class": ("g_class_loss$", "d_class_loss_.*"),
        "share of classes that D guesses": ("class_accuracy_.*",),
    }
}
_ADAPTIVE: _Charts = {"Networks": {"adaptive augmentation": ("ada/.*",)}}


def of_training(*, has_classifier: bool = False, is_adaptive: bool = False) -> bytes:
    """The charts of a run's losses, scores, networks and speed.

    Args:
      has_classifier: whether there are losses of the class.
      is_adaptive: whether the augmentation is.
    Returns:
      A serialised `tensorboard.plugins.custom_scalar.layout_pb2.Layout`.
    """
    charts = {name: dict(of_category) for name, of_category in _TRAINING.items()}
    for more, is_there in ((_CLASSES, has_classifier), (_ADAPTIVE, is_adaptive)):
        for name, of_category in more.items() if is_there else ():
            charts[name].update(of_category)
    return _serialised(charts)


def of_scores() -> bytes:
    """The charts of scores, for a directory without training. TensorBoard shows each chart once."""
    return _serialised(_SCORES)


def _serialised(charts: _Charts) -> bytes:
    """The layout as TensorBoard reads it."""
    layout = layout_pb2.Layout()
    for name, of_category in charts.items():
        category = layout.category.add(title=name)
        for title, tags in of_category.items():
            lines = layout_pb2.MultilineChartContent(tag=tags)
            category.chart.add(title=title, multiline=lines)
    return layout.SerializeToString()
