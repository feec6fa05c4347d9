"""What the page of `explore` is answered, as JSON has it."""

import base64
import binascii
import collections
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np

from sagan_tf import config, errors
from sagan_tf.gan import noise
from sagan_tf.images import pixels
from sagan_tf.viewing import attention_maps, explore, explore_commands, explore_places

FRAMES = 16  # Of an interpolation.
_SPREAD = 100  # Classes of "all classes" where there are too many.
_GENERATOR = ("step", "use_ema")
_GRID = (*_GENERATOR, "classes", "seeds", "sheet")

Fields = Mapping[str, Any]


class Answers:
    """The answers of one page. Every method takes what the page has sent, as JSON has it.

    Every method raises `errors.UserError` where the page asks for what there is not.

    Args:
      explorer: what is looked at.
      started: the settings that the command was started with.
    """

    def __init__(self, explorer: explore.Explorer, started: config.ExploreConfig):
        self._explorer = explorer
        self._started = started

    def about(self, _: Fields) -> dict[str, Any]:
        """What there is to look at: classes, steps, networks, and how the page begins."""
        # Open the generator that the command names.
        explorer = self._explorer
        explorer.require()
        started = self._started
        network = explorer.generator(started)
        model_config = network.card.model_config
        classes = network.classes
        labels = range(model_config.number_classes)
        texts = map(classes.full_text, labels)
        names = names_to_choose(list(map(classes.name, labels)))

        # Say what the page can ask for.
        return {
            "source": network.source,
            "is_run": explorer.is_run,
            "step": network.card.step,
            "steps": explorer.steps(),
            "image_size": model_config.image_size,
            "classes": [{"value": name, "text": text} for name, text in zip(names, texts)],
            "first_class": names[0],
            "all_classes": all_classes(model_config.number_classes),
            "has_average": explorer.has_average(),
            "use_ema": network.card.use_ema,
            "truncation": network.card.sampling.truncation,
            "standing_statistics": started.standing_statistics,
            "frames": FRAMES,
            "notes": self._notes(),
        }

    def steps(self, _: Fields) -> dict[str, Any]:
        """The steps of the checkpoints that are there now: training writes and drops them."""
        self._explorer.require()
        return {"steps": self._explorer.steps()}

    def images(self, fields: Fields) -> dict[str, Any]:
        """A grid of images, each with its label and its seed, and which network made them."""
        request = self._grid(fields)
        batch, columns = self._explorer.images(request)
        network = self._explorer.generator(request)

        # Describe each image.
        images = []
        labels = batch.labels.tolist()
        seeds = batch.seeds.tolist()
        for image, label, seed in zip(batch.pixels, labels, seeds):
            described = {
                "png": data_url(image),
                "label": label,
                "seed": seed,
                "caption": network.caption(label, seed),
            }
            images.append(described)
        return {
            "images": images,
            "columns": columns,
            "step": network.card.step,
            "sampling": network.card.sampling.words,
            **self._told("sample", request),
        }

    def between(self, fields: Fields) -> dict[str, Any]:
        """The images between two ends."""
        request = self._interpolation(fields)
        images = self._explorer.between(request)
        return {"images": list(map(data_url, images)), **self._told("sample", request)}

    def attention(self, fields: Fields) -> dict[str, Any]:
        """An image, where the place under a pixel looks, and what a discriminator says."""
        # Look at the image.
        request, picture = self._single(fields)
        seen = self._explorer.seen(request, picture)
        place = seen.look(*_pixel(fields))
        answer = {
            "png": data_url(seen.image),
            "size": len(seen.image),
            "caption": seen.caption,
            "scores": scores_as_json(seen.scores),
            "look": look_as_json(place),
        }

        # Say how strongly attention acts, or why there is none.
        if place is None:
            why = str(self._explorer.no_attention(request))
            return {**answer, "why": tell(why), "command": "", "notes": self._notes()}
        found = seen.found
        shown = self._at(request, place)
        return {
            **answer,
            "share": found.share,
            "sigma_ratio": found.sigma_ratio,
            "remark": attention_maps.remark_on(found),
            **self._told("attention-maps", shown),
        }

    def save(self, fields: Fields) -> tuple[str, bytes]:
        """The PNG of what is shown, as its command writes it: a name for the file, and its bytes.

        `what` is "images", "between" or "attention"; other fields are as for these.
        """
        what = fields.get("what")
        if what == "images":
            return "samples.png", self._explorer.save_images(self._grid(fields))
        if what == "between":
            return "interpolation.png", self._explorer.save_between(self._interpolation(fields))
        if what != "attention":
            raise errors.UserError(f"--what={what}: expected images, between or attention")

        # The figure shows the place that the page shows.
        request, picture = self._single(fields)
        place = self._explorer.seen(request, picture).look(*_pixel(fields))
        if place is None:
            raise self._explorer.no_attention(request)
        shown = self._at(request, place)
        return "attention.png", self._explorer.save_attention(shown, picture)

    def _told(self, command: str, request: Any) -> dict[str, Any]:
        """The command line of an answer, and remarks on the network that made it."""
        return {"command": explore_commands.line(command, request), "notes": self._notes()}

    def _notes(self) -> list[str]:
        return [tell(note) for note in self._explorer.notes]

    def _sampling(self, fields: Fields) -> dict[str, Any]:
        return explore_commands.sampling(self._started, fields)

    def _grid(self, fields: Fields) -> config.SampleConfig:
        self._explorer.require()
        asked = _chosen(fields, _GRID)
        known = {"run": self._explorer.path, **self._sampling(fields)}
        return explore_commands.read(config.SampleConfig, asked, **known)

    def _interpolation(self, fields: Fields) -> config.SampleConfig:
        self._explorer.require()
        asked = _chosen(fields, (*_GENERATOR, "classes", "seeds"))
        known = {"run": self._explorer.path, **self._sampling(fields)}
        known.update(interpolate=True, frames=FRAMES, out="interpolation.png")
        return explore_commands.read(config.SampleConfig, asked, **known)

    def _single(self, fields: Fields) -> tuple[config.AttentionConfig, bytes]:
        """The config of one image and the bytes of an own picture, if there is one."""
        self._explorer.require()
        known = {"run": self._explorer.path, "smooth": False}

        # An own picture is for the discriminator.
        if "picture" in fields:
            content = _decoded(fields["picture"])
            name = str(fields.get("name", "")).replace(",", "_") or "picture"
            known.update(network="discriminator", images=name)
            asked = _chosen(fields, ("step",))
            return explore_commands.read(config.AttentionConfig, asked, **known), content

        # An image has one class and one seed.
        asked = _chosen(fields, (*_GENERATOR, "network"))
        known.update(self._sampling(fields))
        for name, field in (("classes", "label"), ("seeds", "seed")):
            value = fields.get(field)
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if not is_number or value < 0:
                raise errors.UserError(f"--{field}={value}: expected a whole number from 0 on")
            known[name] = str(value)
        return explore_commands.read(config.AttentionConfig, asked, **known), b""

    def _at(
        self, request: config.AttentionConfig, place: explore_places.Look
    ) -> config.AttentionConfig:
        """The same config for one place."""
        return explore_commands.replaced(request, queries=explore_places.middle_of(place))


def _chosen(fields: Fields, names: Sequence[str]) -> dict[str, Any]:
    """The fields of these names that the page has sent."""
    return {name: fields[name] for name in names if name in fields}


def all_classes(count: int) -> str:
    """All classes as `--classes` takes them; where they are too many for a grid, some of them."""
    if count <= explore.MAX_IMAGES:
        return f"0-{count - 1}"
    return ",".join(map(str, noise.spread_classes(count, _SPREAD)))


def names_to_choose(names: Sequence[str]) -> list[str]:
    """For each label a text that `Classes.find` takes for it: its name, or else the label.

    Args:
      names: of each label, in the order of labels.
    """
    counts = collections.Counter(name.lower() for name in names)
    chosen = []
    for label, name in enumerate(names):
        is_plain = "," not in name and not name[:1].isdecimal() and name == name.strip() != ""
        chosen.append(name if is_plain and counts[name.lower()] == 1 else str(label))
    return chosen


def tell(sentence: str) -> str:
    """An error of a command as a sentence for people who gave no flags."""
    # A flag at the beginning blames its value; others are names of what the page has too.
    told = re.sub(r"^--(\w+)=", r"--\1 ", sentence)
    told = re.sub(r"(?<!\S)--(\w+)", lambda found: found[1].replace("_", " "), told)
    if sentence.startswith("--"):
        told = told[:1].upper() + told[1:]
    return told


def data_url(image: np.ndarray) -> str:
    """uint8 [height, width, 3] as the address of an image in a page."""
    return "data:image/png;base64," + base64.b64encode(pixels.encode_png(image)).decode()


def scores_as_json(scores: Optional[explore.Scores]) -> Optional[dict[str, Any]]:
    """Scores, or None, as JSON has them."""
    if scores is None:
        return None
    values = None if scores.by_class is None else scores.by_class.tolist()
    return {"logit": scores.logit, "by_class": values, "kind": scores.kind}


def look_as_json(look: Optional[explore_places.Look]) -> Optional[dict[str, Any]]:
    """Where a place looks, or None, as JSON has it.

    Maps of keys are lists, row by row.
    """
    if look is None:
        return None

    # Name what JavaScript reads.
    row, column = divmod(look.query, look.side)
    return {
        "row": row,
        "column": column,
        "side": look.side,
        "corners": look.corners,
        "keys": len(look.weights),
        "weights": look.weights.reshape(-1).tolist(),
        "heat": look.heat.reshape(-1).tolist(),
        "times_even": look.times_even,
        "is_even": look.is_even,
        "strongest": look.strongest,
    }


def _pixel(fields: Fields) -> tuple[Optional[float], Optional[float]]:
    """The pixel that was clicked on, or two None.

    Raises:
      errors.UserError: it is not two numbers.
    """
    point = (fields.get("x"), fields.get("y"))
    if point == (None, None):
        return point
    if not all(isinstance(value, (int, float)) for value in point):
        raise errors.UserError(f"Pixel {point[0]},{point[1]}: expected two numbers")
    try:
        return tuple(map(float, point))
    except OverflowError as error:
        raise errors.UserError("Pixel: expected two numbers that are not so large") from error


def _decoded(text: Any) -> bytes:
    """The bytes of a picture that the page has sent.

    Raises:
      errors.UserError: they are not in base 64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise errors.UserError("The picture did not arrive whole; choose it again") from error
