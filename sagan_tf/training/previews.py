"""Pictures of a run's progress: grids of real images and of samples, and attention figures."""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sagan_tf import model
from sagan_tf.config import Sampling, TrainConfig
from sagan_tf.data import dataset, faults
from sagan_tf.data.class_names import Classes
from sagan_tf.data.records import Records
from sagan_tf.gan import noise, standing_statistics
from sagan_tf.images import attention_figure, grids, pixels

REAL_IMAGES = 64
# Rows of a grid of samples: classes, at most.
GRID_CLASSES = 10
ATTENTION_CLASSES = 3
ATTENTION_QUERIES = 2  # More would not be legible at the size of TensorBoard's cards.
# Batches of the standing statistics that pictures of the moving average are made with.
STANDING_BATCHES = 4


class Attention(NamedTuple):
    """A network's attention over some images.

    Attributes:
      maps: float32 [n, side * side, (side / 2)^2], rows summing to 1.
      share: how strongly it acts on these images, as of `non_local.share_of`.
    """

    maps: np.ndarray
    share: float


def read_real_images(
    records: Records, note: Callable[[str], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The first real images, and their labels.

    Args:
      records: what to read.
      note: gets a line when a record cannot be read and the search for it begins.

    Returns:
      uint8 [up to `REAL_IMAGES`, size, size, 3], and int32 of as many.

    Raises:
      errors.UserError: a record cannot be read; the message names it.
    """
    with faults.reading(records, note):
        return dataset.preview(records, REAL_IMAGES)


def real_grid(images: np.ndarray, labels: np.ndarray, *, classes: Classes) -> np.ndarray:
    """Real images, uint8 [n, size, size, 3], each with its class, as one picture."""
    _, columns = grids.squarest_grid(len(images))
    captions = [classes.text(label) for label in labels.tolist()]
    return grids.labelled_grid(images, captions, columns=columns)


def sample_grid(samples: np.ndarray, classes: Classes) -> np.ndarray:
    """Samples of `class_samples`, with the name of its class left of each row, as one picture."""
    rows, columns = samples.shape[:2]
    labels = noise.spread_classes(len(classes.names), rows).tolist()
    return grids.labelled_sheet(
        pixels.to_uint8(samples.reshape(-1, *samples.shape[2:])),
        [classes.text(label) for label in labels],
        column_names=[""] * columns,
    )


def statistics_of_pictures(gan: model.SAGAN) -> Callable[[], contextlib.AbstractContextManager]:
    """A context in which the generator of the pictures has the statistics that it needs.

    The moving average of the generator gets standing statistics there: its own are averages of
    those of many generators, and lag behind. Nothing stays changed.
    """
    sampling = sampling_of_pictures(gan.train_config)
    if not sampling.batches:
        return contextlib.nullcontext
    statistics = standing_statistics.StandingStatistics(gan.averaged, sampling)
    return statistics.in_place


def sampling_of_pictures(config: TrainConfig) -> Sampling:
    """The statistics that a run's pictures are drawn with: standing ones where `use_ema` is on."""
    if not config.use_ema:
        return Sampling()
    return Sampling(batches=STANDING_BATCHES, batch_size=config.group_size, seed=config.seed)


def class_samples(gan: model.SAGAN, *, rows: int = GRID_CLASSES, columns: int = 10) -> np.ndarray:
    """Samples of fixed z, one class a row (at most `rows`, spread evenly over the classes).

    They come from the average where `train_config.use_ema` says so.

    Returns:
      float32 [rows, columns, size, size, 3] in [-1, 1].
    """
    # Draw z of the run's own seed.
    classes = gan.model_config.number_classes
    rows = min(rows, classes)
    z, labels = noise.draw_grid(
        gan.train_config.seed,
        rows,
        columns=columns,
        z_dim=gan.model_config.z_dim,
        number_classes=classes,
    )

    # Generate.
    images = gan.sample(z, labels, use_ema=gan.train_config.use_ema)
    return images.reshape(rows, columns, *images.shape[1:])


def attention_of(gan: model.SAGAN, z, *, labels) -> tuple[np.ndarray, dict[str, Attention]]:
    """A few samples, as of `SAGAN.sample`, and the attention of both networks over them.

    They come from the average where `train_config.use_ema` says so.

    Args:
      gan: whose networks are looked into.
      z: float [n, z_dim].
      labels: int [n].

    Returns:
      float32 images [n, size, size, 3] in [-1, 1], and for "generator" and "discriminator",
      where they have an attention block, its attention.
    """
    z = tf.cast(z, tf.float32)
    labels = tf.cast(labels, tf.int32)
    shown = {"update_sn": False, "return_attention": True, "return_share": True}
    attention = {}

    # Generate, and look into the generator.
    network = gan.averaged if gan.train_config.use_ema else gan.generator
    if network.non_local is None:
        images = network(z, labels, training=False, update_sn=False)
    else:
        images, *attention["generator"] = network(z, labels, training=False, **shown)

    # Look into the discriminator.
    if gan.discriminator.non_local is not None:
        _, *attention["discriminator"] = gan.discriminator(images, labels, **shown)

    # Bring it from the device.
    found = {}
    for name, (maps, share) in attention.items():
        found[name] = Attention(maps.numpy(), float(share.numpy()))
    return images.numpy(), found


def attention_figures(gan: model.SAGAN, step: int, *, classes: Classes) -> dict[str, np.ndarray]:
    """Figures of where both networks look, in samples of fixed z.

    Args:
      gan: whose networks are looked into.
      step: for the title.
      classes: names of the classes.

    Returns:
      uint8 [images, height, width, 3], a figure for each image, by network, "generator" and
      "discriminator"; none of a network without attention.
    """
    # Generate one sample of each of a few classes.
    model_config = gan.model_config
    z, labels = noise.draw_grid(
        gan.train_config.seed,
        min(ATTENTION_CLASSES, model_config.number_classes),
        columns=1,
        z_dim=model_config.z_dim,
        number_classes=model_config.number_classes,
    )
    samples, attention = attention_of(gan, z, labels=labels)
    images = pixels.to_uint8(samples)

    # Draw a figure of each image: TensorBoard's cards are wider than high.
    ratios = model.sigma_ratios(gan)
    captions = [classes.text(label) for label in labels.tolist()]
    figures = {}
    for network, (maps, share) in attention.items():
        ratio = ratios[f"model/{network[0]}_non_local/sigma_ratio"]
        title = attention_figure.title_of(network, step, sigma_ratio=ratio, share=share)
        figures[network] = np.stack(
            [
                _card(image, caption, attention=weights, title=title)
                for image, caption, weights in zip(images, captions, maps)
            ]
        )
    return figures


def _card(image: np.ndarray, caption: str, *, attention: np.ndarray, title: str) -> np.ndarray:
    """The figure of one image, uint8 [height, width, 3]."""
    panel = attention_figure.panel(image, caption, attention=attention, count=ATTENTION_QUERIES)
    layout = attention_figure.CARD
    return pixels.decode_png(attention_figure.draw([panel], title, layout=layout))
