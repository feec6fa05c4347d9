"""What the page of `explore` shows, without the web: images, attention, logits, interpolations.

A page asks with the settings of `sample` and of `attention-maps`. So each answer has the command
line that makes it again.
"""

import collections
import dataclasses
import gc
import hashlib
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.data import preprocessing, records
from sagan_tf.gan import discriminator
from sagan_tf.images import pixels
from sagan_tf.runs import checkpoints, directory, exported
from sagan_tf.runtime import files
from sagan_tf.viewing import attention_maps, explore_places, interpolate, sample, trained
from sagan_tf.viewing.gathered import Gathered

MAX_IMAGES = 144  # Of one grid.
_NETWORKS = 2  # Generators, and discriminators, that are kept in memory.
_ATTENTIONS = 4  # Likewise, of single images.


class Scores(NamedTuple):
    """What a discriminator says of one image.

    Attributes:
      logit: without a class; None where it depends on the class.
      by_class: float32 [classes]; None where the discriminator says nothing of classes.
      kind: of `by_class`: "logit" or "probability"; "" without.
    """

    logit: Optional[float]
    by_class: Optional[np.ndarray]
    kind: str


class Seen(NamedTuple):
    """One image and what a network does with it.

    Attributes:
      image: uint8 [size, size, 3].
      caption: what it is of.
      found: its attention; None where the network has no attention block.
      scores: of a discriminator; else None.
    """

    image: np.ndarray
    caption: str
    found: Optional[attention_maps.NetworkAttention]
    scores: Optional[Scores]

    def look(self, x: Optional[float], y: Optional[float]) -> Optional[explore_places.Look]:
        """Where the place under a pixel looks; without a pixel, the most concentrated place.

        Raises:
          errors.UserError: the pixel is not in the image.
        """
        if self.found is None:
            return None
        attention = self.found.attention[0]
        size = len(self.image)
        if x is None or y is None:
            query = explore_places.first_query(attention)
            return explore_places.look_of(attention, query, image_size=size)
        return explore_places.look(attention, x, y, image_size=size)


class Recent:
    """The most recent values of a function, by key.

    Networks point to each other in circles, and a command hardly ever collects those by itself
    (`cli.prepare_process`). So what is dropped is collected here.

    Args:
      size: how many are kept.
    """

    def __init__(self, size: int):
        self._size = size
        self._values: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of a key, made where it is not kept. An error keeps nothing."""
        if key not in self._values:
            if len(self._values) >= self._size:
                self._values.popitem(last=False)  # Before the next one takes memory.
                gc.collect()
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]


class Explorer:
    """A run or an exported model, whose networks are opened when they are asked for.

    It is not for several threads at a time.

    Args:
      path: a run, as of `directory.find_run`, or what `export.export` wrote.
    Raises:
      errors.UserError: it is neither.

    Attributes:
      path: the run's own directory, or as given.
      is_run: whether it is a run, which has a discriminator and several checkpoints.
      notes: lines for users of the network that was opened last.
    """

    def __init__(self, path: str):
        self.is_run = not trained.is_exported(path)
        self.path = directory.find_run(path) if self.is_run else path
        self.notes: list[str] = []
        self._generators = Recent(_NETWORKS)
        self._discriminators = Recent(_NETWORKS)
        self._attentions = Recent(_ATTENTIONS)
        self._gathered = Gathered()

    def require(self) -> None:
        """Raises `errors.UserError` where the run or the model has been deleted meanwhile."""
        if self.is_run:
            there = directory.read_config(self.path, "model", kind=config.ModelConfig) is not None
        else:
            there = trained.is_exported(self.path)
        if not there:
            raise errors.UserError(
                f"{self.path}: it has been deleted or moved; put it back, or start sagan explore "
                "with another one"
            )

    def steps(self) -> list[int]:
        """Steps of the checkpoints, ascending; of an exported model, its step."""
        if self.is_run:
            return checkpoints.Checkpoints(self.path, {}).steps
        return [exported.read_card(self.path).step]

    def _number(self, step: int) -> int:
        """The step that a checkpoint is kept under; -1 means the newest."""
        return (self.steps() or [-1])[-1] if step == -1 else step

    def has_average(self) -> bool:
        """Whether the run keeps a moving average of its generator."""
        if not self.is_run:
            return False
        train = directory.read_config(self.path, "train", kind=config.TrainConfig)
        return train is not None and train.ema_decay > 0

    def generator(self, request: Any) -> trained.Trained:
        """The generator of a config of `sample` or `attention-maps`.

        Raises:
          errors.UserError: as `trained.open_model`.
        """
        key = (self._number(request.step), request.use_ema, request.sampling)

        def open_model():
            notes: list[str] = []
            options = {
                "use_ema": request.use_ema,
                "sampling": request.sampling,
                "gathered": self._gathered,
            }
            network = trained.open_model(self.path, request.step, note=notes.append, **options)
            return network, notes

        network, self.notes = self._generators.get(key, open_model)
        return network

    def discriminator(self, step: int) -> tuple[discriminator.Discriminator, int]:
        """The discriminator of a checkpoint, and its step.

        Raises:
          errors.UserError: the model is exported, or as `trained.open_discriminator`.
        """
        run_dir = attention_maps.run_of_discriminator(self.path)
        return self._discriminators.get(
            self._number(step), lambda: trained.open_discriminator(run_dir, step)
        )

    def images(self, request: config.SampleConfig) -> tuple[sample.Batch, int]:
        """The images of a grid, and its columns.

        Raises:
          errors.UserError: a class is not there, or there are more than `MAX_IMAGES`.
        """
        network = self.generator(request)
        asked = sample.make_request(request, network)
        if len(asked.seeds) > MAX_IMAGES:
            raise errors.UserError(
                f"{len(asked.seeds)} images: the page shows at most {MAX_IMAGES}; ask for fewer "
                "classes or seeds"
            )
        return sample.make(network, asked), asked.columns

    def between(self, request: config.SampleConfig) -> np.ndarray:
        """The images between two ends: uint8 [frames, size, size, 3].

        Raises:
          errors.UserError: a class is not there, or both ends are the same.
        """
        network = self.generator(request)
        labels, seeds = interpolate.find_ends(request, network)
        images = interpolate.interpolate(network, labels, seeds=seeds, frames=request.frames)
        gc.collect()  # The networks between the classes.
        return images

    def seen(self, request: config.AttentionConfig, picture: bytes = b"") -> Seen:
        """The image that a config asks for, its attention, and what a discriminator says of it.

        Args:
          request: for one image.
          picture: with `images`, the bytes of the file of that name.
        Raises:
          errors.UserError: a class is not there, the bytes are not a picture, or the network has
            diverged.
        """
        # Another place of the same image is no other image.
        same = dataclasses.replace(request, queries="concentrated")
        key = (same, hashlib.sha256(picture).digest())
        if request.network == "generator":
            seen = self._attentions.get(key, lambda: self._seen_by_generator(same))
        else:
            seen = self._attentions.get(key, lambda: self._seen_by_discriminator(same, picture))
        require_finite(seen)
        return seen

    def _seen_by_generator(self, request: config.AttentionConfig) -> Seen:
        network = self.generator(request)
        if network.card.model_config.has_attention("generator"):
            found = attention_maps.of_generator(request, network)
            return Seen(found.rows.pixels[0], found.rows.captions[0], found, None)
        rows, _ = attention_maps.generated_rows(request, network)
        return Seen(rows.pixels[0], rows.captions[0], None, None)

    def _seen_by_discriminator(self, request: config.AttentionConfig, picture: bytes) -> Seen:
        network, step = self.discriminator(request.step)

        # Take the picture, or generate an image.
        if request.images:
            size = network.config.image_size
            square = read_picture(picture, request.images, size=size)[None]
            rows = attention_maps.Rows(square, [request.images])
            images = records.to_float(square)
        else:
            rows, images = attention_maps.generated_rows(request, self.generator(request))

        # Look at it.
        scores = score(network, np.asarray(images))
        found = None
        if network.non_local is not None:
            found = attention_maps.of_discriminator(network, step, rows=rows, images=images)
        return Seen(rows.pixels[0], rows.captions[0], found, scores)

    def save_images(self, request: config.SampleConfig) -> bytes:
        """The PNG that `sample` writes of a config."""
        batch, columns = self.images(request)
        network = self.generator(request)
        grid = sample.laid_out(network, batch, columns=columns, sheet=request.sheet)
        return pixels.encode_png(grid)

    def save_between(self, request: config.SampleConfig) -> bytes:
        """The strip that `sample --interpolate` writes of a config."""
        images = self.between(request)
        network = self.generator(request)
        labels, seeds = interpolate.find_ends(request, network)
        return interpolate.strip(images, network.caption, labels=labels, seeds=seeds)

    def save_attention(self, request: config.AttentionConfig, picture: bytes = b"") -> bytes:
        """The figure that `attention-maps` draws of a config.

        Raises:
          errors.UserError: the network has no attention block.
        """
        found = self.seen(request, picture).found
        if found is None:
            raise self.no_attention(request)
        return attention_maps.picture(request, found)

    def no_attention(self, request: config.AttentionConfig) -> errors.UserError:
        """What to raise where the network that a config names has no attention block."""
        if request.network == "generator":
            return attention_maps.no_attention(request, self.generator(request).card.model_config)
        network, _ = self.discriminator(request.step)
        return attention_maps.no_attention(request, network.config)


def require_finite(seen: Seen) -> None:
    """Raises `errors.UserError` where attention or logits are not numbers, as after a failure."""
    parts: list[Any] = []
    if seen.found is not None:
        parts.extend((seen.found.attention, seen.found.share))
    if seen.scores is not None:
        parts.extend(part for part in seen.scores[:2] if part is not None)
    if not all(np.isfinite(part).all() for part in parts):
        raise errors.UserError(
            "The network's values are not finite: its training has failed; choose an earlier "
            "checkpoint"
        )


def read_picture(content: bytes, name: str, *, size: int) -> np.ndarray:
    """The middle square of a picture, uint8 [size, size, 3].

    Raises:
      errors.UserError: the bytes are not a picture; it names the file.
    """
    try:
        return preprocessing.clean(content, size)
    except (OSError, preprocessing.Damaged) as error:
        raise errors.UserError(
            f"{name}: expected a picture such as PNG or JPEG ({files.first_line(error)})"
        ) from error


def score(network: discriminator.Discriminator, images: np.ndarray) -> Scores:
    """What a discriminator says of the first of some images, float32 [n, size, size, 3]."""
    first = tf.constant(images[:1], tf.float32)
    logits = network.logits_by_class(first).numpy()[0]
    if network.embedding is not None:
        return Scores(None, logits, "logit")

    # The logit does not depend on the class.
    if network.sn_classifier is None:
        return Scores(float(logits[0]), None, "")
    _, of_classes = network(first, np.zeros(1, np.int32), return_classes=True)
    return Scores(float(logits[0]), tf.nn.softmax(of_classes[0]).numpy(), "probability")
