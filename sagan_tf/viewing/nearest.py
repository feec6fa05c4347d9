"""Generated images beside their nearest training images, and how near they come: copies show."""

import dataclasses
import json
import os
from collections.abc import Iterator
from typing import Optional, TextIO

import numpy as np

from sagan_tf import config, errors, plurals
from sagan_tf.data import dataset, records
from sagan_tf.evaluation import comparison, features, inception, neighbours, real_images
from sagan_tf.evaluation.console import Console
from sagan_tf.evaluation.devices import Devices
from sagan_tf.gan import noise
from sagan_tf.images import pixels
from sagan_tf.runs import directory
from sagan_tf.runtime import files
from sagan_tf.viewing import nearest_picture, trained
from sagan_tf.viewing.nearest_picture import Comparison, Drawn, Training

_CLASSES = 10
_PICTURES = 8  # Generated images that the usual seeds make, at least.
_MAX_PICTURES = 100
_LISTED = 3  # Images of the summary that are named, the nearest ones.
_LEAST_IMAGES = 2  # Training images that have a nearest other one.
_MOST_TWINS = 0.5  # Share of the training images that may be there twice.
_MIRRORED = (
    "the run was trained with --mirror: copies of mirrored training images are not found, "
    "as distances are those to the images as they are"
)


def write_nearest(
    options: config.SampleConfig, network: trained.Trained, stream: Optional[TextIO] = None
) -> list[str]:
    """Writes the picture and its numbers, and prints the summary.

    Args:
      options: which images, what to compare them with, and by what.
      network: makes the images.
      stream: where to print; standard output by default.
    Returns:
      The paths of the files that were written.
    Raises:
      errors.UserError: the training images or the classifier are missing or unfit, there are too
        few images, or too many of the picture, or the output cannot be written.
    """
    # Look for everything before anything takes long.
    console = Console(stream)
    stem = os.path.splitext(options.out or "nearest.png")[0]
    paths = [f"{stem}.png", f"{stem}.json"]
    for path in paths:
        files.require_writable_output("out", path)
    shown, summarised = draw_of(options, network)
    data_dir, found = _open_records(options, network)
    if _was_mirrored(network.source):
        console.say(_MIRRORED)

    # Classify and compare.
    classifying = _Classifying(options, data_dir, console=console)
    training = classifying.training(found)
    compared = classifying.compare(network, shown, summarised=summarised, training=training)

    # Write the picture.
    lines = nearest_picture.summary_lines(compared, network, training=training)
    picture = nearest_picture.draw(
        options, network, compared=compared, training=training, lines=lines[:2]
    )
    files.write_output("out", paths[0], content=pixels.encode_png(picture))

    # Write the numbers, and print the summary.
    facts = nearest_picture.facts(network, training, classifier=classifying.classifier)
    numbers = {**facts, **nearest_picture.numbers(compared, training)}
    text = json.dumps(numbers, indent=2) + "\n"
    files.write_output("out", paths[1], content=text.encode())
    for line in lines:
        console.say(line)
    return paths


def _was_mirrored(run_dir: str) -> bool:
    """Whether a run was trained with mirrored images too; an exported model does not say."""
    if trained.is_exported(run_dir):
        return False
    stored = directory.read_config(run_dir, "train", kind=config.TrainConfig)
    return stored is not None and stored.mirror


def draw_of(options: config.SampleConfig, network: trained.Trained) -> tuple[Drawn, Drawn]:
    """The images of the picture, every class with every seed, and those of the summary.

    Raises:
      errors.UserError: a class is not there, or the picture would be too large.
    """
    # Choose the classes and the seeds of the picture.
    known = network.card.classes
    chosen = known.find(options.classes) if options.classes else None
    classes = chosen or noise.spread_classes(network.card.model_config.number_classes, _CLASSES)
    seeds = options.seed_numbers if options.seeds else range(-(-_PICTURES // len(classes)))
    count = len(seeds) * len(classes)
    if count > _MAX_PICTURES:
        raise errors.UserError(
            f"--nearest: {count} images, each class with each seed, are too many for a picture; "
            f"give --classes and --seeds that make at most {_MAX_PICTURES}"
        )
    shown = Drawn(np.tile(seeds, len(classes)), np.repeat(np.array(classes, np.int32), len(seeds)))

    # Those of the summary have the classes that their seeds draw, or the chosen ones in turn.
    numbers = np.arange(options.nearest_count)
    if chosen:
        return shown, Drawn(numbers, np.resize(np.array(chosen, np.int32), len(numbers)))
    _, labels = network.draw(numbers)
    return shown, Drawn(numbers, labels.numpy())


def _open_records(
    options: config.SampleConfig, network: trained.Trained
) -> tuple[str, records.Records]:
    """The directory of the training images, and their records."""
    # Find the directory.
    data_dir = options.data_dir
    if not data_dir:
        if trained.is_exported(options.run):
            raise errors.UserError(
                f"--nearest: {options.run} is an exported model, which does not say what it was "
                "trained on; give --data_dir"
            )
        stored = directory.read_config(network.source, "data", kind=config.DataConfig)
        data_dir = stored.data_dir

    # Refuse records that say to be of another model.
    own = network.card.model_config
    opened = dataset.open_directory(data_dir)
    for name, there in opened.settings.items():
        if there != getattr(own, name):
            raise errors.UserError(
                f"--data_dir={data_dir}: its {name} is {there}, and that of {network.source} "
                f"{getattr(own, name)}; give the records that the model was trained on"
            )

    # Open them.
    found = opened.records(own.image_size, number_classes=own.number_classes)
    available = len(found.index.offsets)
    if available < _LEAST_IMAGES:
        raise errors.UserError(
            f"--data_dir={data_dir}: it holds {plurals.counted(available, 'image')}, and how near "
            f"training images are to each other takes {_LEAST_IMAGES}"
        )
    if available <= options.neighbours:
        raise errors.UserError(
            f"--neighbours={options.neighbours}: {data_dir} holds "
            f"{plurals.counted(available, 'image')}; give fewer neighbours than that"
        )
    return data_dir, found


class _Classifying:
    """A classifier, and what is found by its features.

    Args:
      options: of the command.
      data_dir: directory of the training images.
      console: where to print.

    Attributes:
      classifier: that was loaded.
    Raises:
      errors.UserError: the classifier is missing or unfit.
    """

    def __init__(self, options: config.SampleConfig, data_dir: str, *, console: Console):
        # Take the settings of an evaluation of all training images.
        scoring = config.ScoringConfig(
            data_dir=data_dir,
            inception=options.inception,
            stats_dir=options.stats_dir,
            strategy="one_device",
            real_sample_size=0,
        )
        if options.batch_size:
            scoring = dataclasses.replace(scoring, dcgan_generator_batch_size=options.batch_size)
        self._scoring = scoring
        self._options = options
        self._console = console

        # Load the classifier.
        self._devices = comparison.make_devices(scoring)
        with self._devices.strategy.scope():
            self.classifier = inception.load(scoring.inception, resize=scoring.resize)
        if self.classifier.note:
            console.say(f"classifier {self.classifier.note}")
        self._extractor = features.Extractor(
            self.classifier, self._devices, stopwatch=features.Stopwatch(), console=console
        )

    def training(self, found: records.Records) -> Training:
        """The features of all training images, from the cache of evaluations or into it."""
        stats = real_images.obtain(
            self._scoring,
            found,
            count=len(found.index.offsets),
            extractor=self._extractor,
            devices=self._devices,
            stopwatch=features.Stopwatch(),
            note=self._console.say,
        )
        pool = stats.features.pool
        return Training(self._scoring.data_dir, found, pool, stats.about["fingerprint"])

    def compare(
        self,
        network: trained.Trained,
        shown: Drawn,
        *,
        summarised: Drawn,
        training: Training,
    ) -> Comparison:
        """Classifies the generated images and finds their neighbours.

        Raises:
          errors.UserError: the training images do not differ.
        """
        # Find how far training images are from each other.
        pool = training.pool
        with self._console.progress("training images", len(pool)) as progress:
            real = neighbours.to_nearest_other(pool, done=progress.update)
        is_twin = neighbours.are_twins(real, pool)
        if is_twin.mean() > _MOST_TWINS:
            raise errors.UserError(
                f"--data_dir={training.data_dir}: more than half of the images have the features "
                "of another one, so that distances say nothing; look for copies with check-data"
            )

        # Find the neighbours of the summary's images.
        own = self._pool_of(network, summarised)
        with self._console.progress("neighbours", len(pool)) as progress:
            found = neighbours.nearest(own, pool, k=1, done=progress.update)
        distances = found.distances[:, 0]
        first = np.argsort(distances, kind="stable")[:_LISTED]
        nearest = list(zip(*(values[first].tolist() for values in (*summarised, distances))))

        # Find the neighbours of the picture's images.
        own = self._pool_of(network, shown)
        near = neighbours.nearest(own, pool, k=self._options.neighbours)
        summary = neighbours.closeness(distances, real, is_twin=is_twin)
        return Comparison(shown, near, summary, nearest)

    def _pool_of(self, network: trained.Trained, drawn: Drawn) -> np.ndarray:
        """Features of generated images, float32 [n, features]."""
        source = _Source(network, drawn, devices=self._devices)
        return np.asarray(self._extractor.collect(source, splits=1, seed=0).pool)


class _Source:
    """Images that a trained generator makes, rounded as they are shown, to be classified.

    Args:
      network: the generator.
      drawn: which images.
      devices: that classify.

    Attributes:
      name, count, work: as `features.Source`.
    """

    name = "generated images"
    work = "generate and classify"

    def __init__(self, network: trained.Trained, drawn: Drawn, *, devices: Devices):
        self.count = len(drawn.seeds)
        self._network = network
        self._drawn = drawn
        self._devices = devices

    def batches(self) -> Iterator[features.Batch]:
        """The images, a batch of the devices at a time."""
        step = self._devices.global_batch
        for start in range(0, self.count, step):
            part = Drawn(*(values[start : start + step] for values in self._drawn))
            made = nearest_picture.pixels_of(self._network, part)
            (images,) = self._devices.share_out(records.to_float(made).numpy())
            yield images, part.labels, len(part.labels)
