"""The picture of generated images beside their nearest training images, and its numbers."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sagan_tf import config
from sagan_tf.data import dataset, faults, originals, records
from sagan_tf.evaluation import features, inception, neighbours
from sagan_tf.images import grids
from sagan_tf.viewing import trained

_GAP = 12  # Pixels between the generated images and the others.


class Drawn(NamedTuple):
    """Generated images, by what decides them.

    Attributes:
      seeds: int64 [n].
      labels: int32 [n].
    """

    seeds: np.ndarray
    labels: np.ndarray


class Training(NamedTuple):
    """The training images.

    Attributes:
      data_dir: where they are.
      found: their records.
      pool: features of all, float32 [images, features].
      fingerprint: of what they are.
    """

    data_dir: str
    found: records.Records
    pool: features.Pool
    fingerprint: str


class Comparison(NamedTuple):
    """Generated images and their nearest training images.

    Attributes:
      drawn: the images of the picture.
      near: their neighbours.
      summary: how near those of the summary come.
      nearest: those of the summary that come nearest, and their distances, the nearest first.
    """

    drawn: Drawn
    near: neighbours.Neighbours
    summary: neighbours.Closeness
    nearest: list[tuple[int, int, float]]


def pixels_of(network: trained.Trained, drawn: Drawn) -> np.ndarray:
    """The images, uint8 [n, size, size, 3]."""
    z, _ = network.draw(drawn.seeds)
    return network.generate_pixels(z, drawn.labels)


def summary_lines(
    compared: Comparison, network: trained.Trained, *, training: Training
) -> list[str]:
    """The summary in sentences."""
    # Say how near the images come.
    found = compared.summary
    images = f"{len(training.pool):,} training images"
    lines = [
        f"median distance from {found.images:,} generated images to the nearest of {images}: "
        f"{found.median:.3g}; from a training image to the nearest other one: "
        f"{found.real_median:.3g}; ratio {found.ratio:.2f} (new images: about 1)",
        f"nearer than {found.real_least:.3g}, {_limit(found)}: "
        f"{100 * found.copies:.1f} % of the generated images{_usual(found)}",
    ]

    if found.twins:
        lines[1] += (
            f"; left out: {found.twins:,} of {found.real_images:,} training images that are there "
            "twice"
        )

    # Name the nearest ones, so that a user can look at them.
    named = []
    for seed, label, distance in compared.nearest:
        named.append(f"{network.caption(label, seed)}: {_measured(distance, found)}")
    return [*lines, f"nearest of all: {'; '.join(named)}"]


def _has_percent(summary: neighbours.Closeness) -> bool:
    """Whether there are so many training images that 1 % of them is one or more."""
    return summary.real_images - summary.twins >= 100


def _limit(summary: neighbours.Closeness) -> str:
    """What an image that may be a copy is nearer than, in words."""
    if _has_percent(summary):
        return "as 1 % of the training images are to another"
    return "as the most alike training images are to each other (too few for 1 % of them)"


def _usual(summary: neighbours.Closeness) -> str:
    """How many new images would be so near, where it can be said."""
    return " (new images: about 1 %)" if _has_percent(summary) else ""


def _measured(distance: float, summary: neighbours.Closeness) -> str:
    """A distance, and in brackets that distance over the median among training images."""
    return f"{distance:.3g} ({distance / summary.real_median:.2f})"


def draw(
    options: config.SampleConfig,
    network: trained.Trained,
    *,
    compared: Comparison,
    training: Training,
    lines: Sequence[str],
) -> np.ndarray:
    """Generated images to the left, each beside its neighbours, uint8 [height, width, 3]."""
    # Lay out the generated images.
    drawn = compared.drawn
    made = pixels_of(network, drawn)
    captions = [network.caption(label, seed) for seed, label in zip(*drawn)]
    left = grids.labelled_grid(made, captions, columns=1)

    # Lay out their neighbours.
    rows = compared.near.rows.ravel()
    with faults.reading(training.found):
        images, labels = dataset.images_of(training.found, rows)
    captions = []
    for label, distance in zip(labels, compared.near.distances.ravel()):
        measured = _measured(distance, compared.summary)
        is_near = distance < compared.summary.real_least
        name = network.card.classes.text(label)
        captions.append(f"copy? {measured}" if is_near else f"{measured}, {name}")
    right = grids.labelled_grid(images, captions, columns=options.neighbours)

    # Put both side by side, below what they are.
    gap = np.full([len(left), _GAP, 3], 255, np.uint8)
    about = (
        f"step {network.card.step} of {network.source}: generated images (left), each beside its "
        "nearest training images. Below these: distance (over the median distance of a training "
        'image to its nearest other one). "copy?": nearer than '
        f"{compared.summary.real_least:.3g}, {_limit(compared.summary)}."
    )
    whole = np.concatenate([left, gap, right], 1)
    return grids.titled(whole, [about, *lines[:2]])


def facts(
    network: trained.Trained, training: Training, *, classifier: inception.Classifier
) -> dict[str, Any]:
    """What the numbers depend on."""
    card = network.card
    return {
        "run": network.source,
        "step": card.step,
        "checkpoint_sha256": card.checkpoint_sha256,
        "ema": card.use_ema,
        "sampling": dataclasses.asdict(card.sampling),
        "data_dir": training.data_dir,
        "training_images": len(training.pool),
        "fingerprint": training.fingerprint,
        "classifier": classifier.handle,
        "classifier_sha256": classifier.sha256,
    }


def numbers(compared: Comparison, training: Training) -> dict[str, Any]:
    """The summary, its nearest images, and the picture's rows."""
    # Find where the training images are.
    index = training.found.index
    info = training.found.info
    names = None if info is None else originals.Originals(training.data_dir, info)

    def neighbour(row: int, distance: float) -> dict[str, Any]:
        number = int(index.number_in_file[row])
        place = originals.where(index.files[index.file_of[row]], number)
        made_of = names.name_of(place) if names else ""
        return {"distance": distance, "record": place, "picture": made_of}

    # List the rows.
    shown = []
    for seed, label, rows, distances in zip(*compared.drawn, *compared.near):
        found = [neighbour(row, float(distance)) for row, distance in zip(rows, distances)]
        shown.append({"seed": int(seed), "class": int(label), "nearest": found})

    # Put them below the summary.
    fields = ("seed", "class", "distance")
    return {
        "summary": compared.summary._asdict(),
        "nearest_of_all": [dict(zip(fields, one)) for one in compared.nearest],
        "images": shown,
    }
