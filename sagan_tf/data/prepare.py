"""Preparation of records from pictures, shard by shard: a killed run loses one shard at most.

While it runs, `<out>/.prepare` holds the settings, the facts of each finished shard, and the shard
that is being written. A shard gets its name when it is whole and its facts are on the disk.
"""

import collections
import contextlib
import dataclasses
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Optional, TextIO

import numpy as np
import PIL
import tqdm

from sagan_tf import errors, plurals
from sagan_tf.config import PrepareConfig
from sagan_tf.data import class_names, dataset_info, preprocessing, resume, shards, sources
from sagan_tf.data.damage import Damaged, DamageLimit
from sagan_tf.runtime import files, process_pool

_RECORDS_PER_SHARD = 1250
_MOST_SHARDS = 1024
REPORT = "report.txt"
_NAMED = 3  # Files that are no pictures of which the first line says the names.


def prepare(config: PrepareConfig, stream: Optional[TextIO] = None) -> dataset_info.DatasetInfo:
    """Writes `config.source` to `config.out` as records with `dataset.json`.

    Started again after whatever ended it, it makes the shards that are missing. The bytes are those
    of an unbroken run, and do not depend on the number of workers.

    Args:
      config: what to do.
      stream: where it says what it does; standard output by default. The progress bar goes to
        standard error.
    Returns:
      What was written as `dataset.json` of the training split.
    Raises:
      errors.UserError: the source or the directory cannot be used, or too much is damaged.
    """
    # Open the source.
    classes = _read_classes(config.classes) if config.classes else None
    resume.refuse_other_data(config.out)
    resume.refuse_out_in_source(config)
    source = sources.open_source(config.source, classes, limit_per_class=config.limit_per_class)

    limit = DamageLimit(len(source), config.max_bad, is_shuffled=source.is_shuffled)
    with resume.writing(config.out), contextlib.ExitStack() as stack:
        # Find what an earlier run has finished.
        preparations = []
        for split in _splits(config, source):
            work = stack.enter_context(resume.locked(split.out))
            preparations.append(_Preparation(config, split, work, limit))
        _say(stream, _beginning(config, source, preparations))

        # Write what is missing; the training split last: it says that all is there.
        for preparation in reversed(preparations):
            preparation.write_shards()
            info = preparation.finish()
            _say(stream, _summary(info))
    return info


@dataclasses.dataclass(frozen=True)
class _Split:
    """A part of the pictures, and where its records go.

    Attributes:
      out: the directory.
      source: of its pictures.
      settings: all that decides the bytes of the records.
    """

    out: str
    source: sources.Source
    settings: dict[str, Any]


def _splits(config: PrepareConfig, source: sources.Source) -> list[_Split]:
    """The training split, and the validation split if one is asked for."""
    if not config.validation:
        return [_Split(config.out, source, _settings(config, source))]

    # Share out the pictures.
    found = []
    training, validation = source.split(config.validation, seed=config.seed)
    validation_out = os.path.join(config.out, dataset_info.VALIDATION)
    for name, out, part in (
        (dataset_info.TRAINING, config.out, training),
        (dataset_info.VALIDATION, validation_out, validation),
    ):
        # Refuse a split without pictures.
        if not len(part):
            raise errors.UserError(
                f"--validation={config.validation:g}: of {len(source)} pictures none is left for "
                f"the {name} split; give another share, another --seed, or no --validation"
            )
        own = {"validation": config.validation, "split": name}
        found.append(_Split(out, part, {**own, **_settings(config, part)}))
    resume.refuse_other_data(validation_out)
    return found


def _say(stream: Optional[TextIO], lines: Sequence[str]) -> None:
    print(*map(_printable, lines), sep="\n", file=stream or sys.stdout, flush=True)


def _beginning(
    config: PrepareConfig, source: sources.Source, preparations: Sequence["_Preparation"]
) -> list[str]:
    """What is said before the work."""
    # Say what becomes of the pictures.
    lines = []
    classes = plurals.counted(len(source.class_names), "class", "classes")
    for preparation in preparations:
        split = preparation.split
        finished = split.settings["shards"] - len(preparation.missing())
        before = f", {finished} of them there already" if finished else ""
        lines.append(
            f"{config.source}: {plurals.counted(len(split.source), 'picture')} of {classes} -> "
            f"{plurals.counted(split.settings['shards'], 'shard')} in {split.out}{before}"
        )

    # Say what else is there.
    reasons = collections.Counter(why for _, why in source.left_out)
    for reason, count in sorted(reasons.items()):
        named = [key for key, why in source.left_out if why == reason][:_NAMED]
        listed = ", ".join(named) + (", ..." if count > _NAMED else "")
        lines.append(f"left out: {plurals.counted(count, 'file')}, reason: {reason} ({listed})")
    return lines


def _read_classes(path: str) -> list[str]:
    # Read the file.
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            names = [line.rstrip("\r\n") for line in file if line.strip()]
    except OSError as error:
        raise errors.UserError(
            f"--classes={path}: cannot be read ({error.strerror}); expected a file with the name "
            "of one class a line"
        ) from error

    # Check that it names each class once.
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice or not names:
        what = f"{twice[0]!r} stands there twice" if twice else "it is empty"
        raise errors.UserError(f"--classes={path}: {what}; expected the name of one class a line")
    return names


def _settings(config: PrepareConfig, source: sources.Source) -> dict[str, Any]:
    """All that decides the bytes of the records."""
    # Choose the number of shards.
    usual_shards = min(max(round(len(source) / _RECORDS_PER_SHARD), 1), _MOST_SHARDS)

    return {
        "source": source.fingerprint,
        "classes": list(source.class_names),
        "size": config.size,
        "encoding": config.encoding,
        "resize": config.resize,
        "quality": config.quality if config.encoding == "jpeg" else None,
        "shards": config.shards or usual_shards,
        "limit_per_class": config.limit_per_class,
        "seed": config.seed,
    }


class _Preparation:
    """The work itself: pictures through the workers into shards.

    Args:
      config: what to do.
      split: which pictures, and where to.
      work: the working directory.
      limit: of damaged pictures.

    Attributes:
      split: as given.
    """

    def __init__(self, config: PrepareConfig, split: _Split, work: str, limit: DamageLimit):
        self.split = split
        self._config = config
        self._settings = split.settings
        self._source = split.source
        self._work = work
        self._limit = limit
        self._finished = resume.finished_shards(split.out, work, settings=split.settings)

        # Count what is done.
        for facts in self._finished.values():
            limit.add(facts.damaged, facts.shard.records + len(facts.damaged))

    @property
    def _facts(self) -> list[shards.ShardFacts]:
        """Facts of all shards, when all are finished."""
        return [self._finished[number] for number in range(self._settings["shards"])]

    def write_shards(self) -> None:
        """Makes the shards that are missing."""
        self._check_damaged()
        with self._progress() as bar, contextlib.closing(self._prepared_pictures()) as prepared:
            pending = next(prepared, None)
            for number in self.missing():
                with self._shard_writer(number) as writer:
                    # Take the pictures of this shard; the first of the next ends it.
                    while pending is not None and pending[0][0] == number:
                        (_, picture), image = pending
                        writer.add(picture, image)
                        bar.update()
                        self._limit.add(writer.damaged[-1:] if image.data is None else [])
                        self._check_damaged()
                        pending = next(prepared, None)
                self._finished[number] = writer.publish(self.split.out)

    def missing(self) -> list[int]:
        """Numbers of the shards that are not there yet."""
        count = self._settings["shards"]
        return [number for number in range(count) if number not in self._finished]

    def _progress(self) -> tqdm.tqdm:
        """A bar in a terminal, and nothing elsewhere."""
        done = 0
        for facts in self._finished.values():
            done += facts.shard.records + len(facts.damaged)

        # Count the rest.
        return tqdm.tqdm(
            total=len(self._source),
            initial=done,
            unit=" images",
            smoothing=0.05,
            mininterval=0.5,
            disable=None,
        )

    def _prepared_pictures(self) -> Iterator[tuple]:
        """((number of the shard, picture), its image) of all missing shards, in order."""
        # Say what is to be done with each.
        image_settings = preprocessing.ImageSettings(
            resize=self._settings["resize"],
            size=self._settings["size"],
            encoding=self._settings["encoding"],
            quality=self._settings["quality"],
        )

        # Spread the work over the workers.
        return process_pool.ordered_map(
            preprocessing.prepare_all,
            self._missing_pictures(),
            argument=lambda item: item[1].source,
            settings=(image_settings,),
            workers=self._config.workers or process_pool.available(),
        )

    def _missing_pictures(self) -> Iterator[tuple[int, preprocessing.LabelledPicture]]:
        count = self._settings["shards"]
        for number in self.missing():
            for picture in self._source.shard(number, count, seed=self._config.seed):
                yield number, picture

    def _shard_writer(self, number: int) -> shards.ShardWriter:
        return shards.ShardWriter(self._work, number, settings=self._settings)

    def _check_damaged(self) -> None:
        """Raises errors.UserError if too many pictures are damaged, or will be."""
        if not self._limit.is_broken:
            return
        path = os.path.join(self._config.out, REPORT)
        _write_report(path, ["stopped: too many damaged pictures"], damaged=self._limit.damaged)
        error = self._limit.error(self._config.max_bad, path)
        raise errors.UserError(_printable(str(error)))

    def finish(self) -> dataset_info.DatasetInfo:
        """Writes what stands beside the shards; `dataset.json` last: it says that all is there."""
        # Write the index.
        info = self._info()
        out = self.split.out
        facts = self._facts
        dataset_info.write_index(
            out,
            info.fingerprint,
            counts=np.array([len(one.labels) for one in facts], np.int64),
            offsets=np.concatenate([np.array(one.offsets, np.int64) for one in facts]),
            labels=np.concatenate([np.array(one.labels, np.int32) for one in facts]),
        )

        # Write the report and the description.
        _write_report(
            os.path.join(out, REPORT),
            _summary(info),
            damaged=[(key, why) for _, key, why in info.damaged],
            left_out=self._source.left_out,
        )
        dataset_info.write(out, info)
        shutil.rmtree(self._work)
        return info

    def _info(self) -> dataset_info.DatasetInfo:
        """What `dataset.json` will say."""
        # Sum up the shards.
        facts = self._facts
        entries = tuple(one.shard for one in facts)
        labels = np.concatenate([np.array(one.labels, np.int64) for one in facts])
        counts = np.bincount(labels, minlength=len(self._source.class_names))
        means, deviations = dataset_info.moments(entries, self._settings["size"])
        digests = "".join(shard.sha256 for shard in entries)

        # List what is damaged.
        damaged = []
        for number, one in enumerate(facts):
            damaged += [(number, key, why) for key, why in one.damaged]

        return dataset_info.DatasetInfo(
            source=self._config.source,
            source_kind=self._source.kind,
            image_size=self._settings["size"],
            encoding=self._settings["encoding"],
            quality=self._settings["quality"],
            resize=self._settings["resize"],
            class_names=self._source.class_names,
            class_titles=class_names.imagenet_titles(self._source.class_names),
            class_counts=tuple(counts.tolist()),
            channel_mean=tuple(means),
            channel_deviation=tuple(deviations),
            fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
            shards=entries,
            settings=self._settings,
            damaged=tuple(damaged),
            made_with={"pillow": PIL.__version__, "numpy": np.__version__},
        )


def _write_report(
    path: str,
    summary: Sequence[str],
    *,
    damaged: Sequence[Damaged],
    left_out: Sequence[tuple[str, str]] = (),
) -> None:
    lines = [*summary, f"damaged pictures: {len(damaged)}"]
    lines += [f"{key}: {why}" for key, why in damaged]
    lines.append(f"other files left out: {len(left_out)}")
    lines += [f"{key}: {why}" for key, why in left_out]
    files.write_whole(path, "".join(_printable(line) + "\n" for line in lines))


def _summary(info: dataset_info.DatasetInfo) -> list[str]:
    # Collect the numbers.
    size = sum(shard.bytes for shard in info.shards)
    means = ", ".join(f"{value:.2f}" for value in info.channel_mean)
    deviations = ", ".join(f"{value:.2f}" for value in info.channel_deviation)
    empty = [name for name, count in zip(info.class_names, info.class_counts) if not count]

    # Write the lines.
    split = f"{info.split} split: " if "split" in info.settings else ""
    lines = [
        f"{split}{plurals.counted(info.records, 'record')} of "
        f"{plurals.counted(info.number_classes, 'class', 'classes')} in "
        f"{plurals.counted(len(info.shards), 'shard')}, {size / 1e6:.1f} MB, "
        f"{plurals.counted(len(info.damaged), 'damaged picture')} left out",
        f"{info.image_size} x {info.image_size}, {info.encoding}, {info.resize}",
        f"channel mean {means}; deviation {deviations}",
        f"fingerprint {info.fingerprint}",
    ]
    if empty:
        lines.append(f"classes without a record: {', '.join(empty)}")
    return lines


def _printable(line: str) -> str:
    """A line that fits everywhere: file names need not be UTF-8, and may hold anything."""
    line = line.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
