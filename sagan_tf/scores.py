"""All scores of a set of images, their names, and the protocol that they carry."""

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import sys
from typing import Any, Optional

import numpy as np
import tensorflow as tf

import sagan_tf
from sagan_tf import config as config_lib
from sagan_tf import features, inception, metrics, order, process, real_stats

# Generated images of each class that an intra-FID is made of where nothing else is said.
FULL_CLASS = 5000


@dataclasses.dataclass(frozen=True)
class Scores:
    """The scores of one set of images; None where the other side has only moments, or none.

    Attributes:
      name: of the set.
      images, real_images: of both sides; `real_images` is None where nobody knows.
      inception_score: of all images in one split.
      inception_score_splits: number of splits; mean and standard deviation over them.
      fid, kid, kid_error: Frechet and kernel distance to the real images, and the latter's standard
        error, which one block of images alone does not have.
      manifold: precision, recall, density, coverage.
      manifold_images: images of each side that they were made of, at most.
      intra_fids: class -> FID of the class by itself.
      intra_counts: smallest and largest number of images a class, real and generated.
    """

    name: str
    images: int
    real_images: Optional[int]
    inception_score: float
    inception_score_splits: tuple[int, float, float]
    fid: Optional[float] = None
    kid: Optional[float] = None
    kid_error: Optional[float] = None
    manifold: Optional[metrics.Manifold] = None
    manifold_images: int = 0
    intra_fids: Optional[dict[int, float]] = None
    intra_counts: Optional[tuple[int, int, int, int]] = None

    @property
    def intra_fid(self) -> Optional[float]:
        """Mean over the classes of the FID of each."""
        return float(np.mean(list(self.intra_fids.values()))) if self.intra_fids else None

    @property
    def _both(self) -> str:
        """`suffix` of a score that compares both sides."""
        return suffix(min(self.images, self.real_images or self.images))

    @property
    def _per_class(self) -> str:
        """"" from 5,000 generated images of each class on; else the smallest number of them."""
        least = self.intra_counts[2] if self.intra_counts else 0
        return "" if least >= FULL_CLASS else str(least)

    def scalars(self) -> dict[str, float]:
        """The scores by name, with the number of images in it where that is below 50,000.

        In the name of intra-FID it is the smallest number of generated images of a class, where
        that is below 5,000.
        """
        both = self._both
        splits, mean, deviation = self.inception_score_splits
        few = suffix(self.manifold_images)
        values = {
            f"incscore{suffix(self.images)}": self.inception_score,
            f"incscore{suffix(self.images)}_{splits}_splits": mean,
            f"incscore{suffix(self.images)}_{splits}_splits_deviation": deviation,
            f"fid{both}": self.fid, f"kid{both}": self.kid, f"kid{both}_error": self.kid_error,
            **{f"{name}{few}": value
               for name, value in (self.manifold._asdict() if self.manifold else {}).items()},
            f"intra_fid{self._per_class}": self.intra_fid}
        return {name: value for name, value in values.items() if value is not None}


def suffix(images: int) -> str:
    """"" from 50,000 images on; "5k" for 5,000, "1797" for 1,797."""
    if images >= config_lib.FULL_SAMPLE:
        return ""
    return str(images) if images % 1000 else f"{images // 1000}k"


def of_real(stats: real_stats.RealStats) -> Optional[Scores]:
    """The real images' own Inception Score; None where only their moments are known."""
    if stats.features is None:
        return None
    whole, *split = stats.features.inception_score
    return Scores("real images", len(stats.features.pool), None, whole,
                  (stats.features.splits, *split))


def compute(name: str, generated: features.Features, real: real_stats.RealStats,
            config: config_lib.ScoringConfig, stopwatch: features.Stopwatch,
            intra: bool = True) -> Scores:
    """Every score that both sides allow.

    Args:
      name: of the generated images.
      generated: their features.
      real: the other side.
      config: numbers of neighbours, sizes, seed.
      stopwatch: takes the time of the arithmetic.
      intra: whether to give each class's FID too.
    """
    with stopwatch.measuring("statistics", 0):
        process.give_back_freed_memory()  # of the networks; FID's matrices take half a gigabyte.
        whole, *split = generated.inception_score
        scores = Scores(
            name, len(generated.pool), real.about.get("images"), whole,
            (generated.splits, *split),
            fid=metrics.frechet_distance(real.moments, metrics.moments(generated.pool)))
        if real.features is None:
            return scores
        pool, labels = real.features.pool, real.features.labels
        kid, error = metrics.kernel_distance(pool, generated.pool, config.kid_block, config.seed)
        some = [metrics.take(side, order.choose(len(side), config.manifold_images, config.seed))
                for side in (pool, generated.pool)]
        scores = dataclasses.replace(
            scores, kid=kid, kid_error=error,
            manifold_images=min(map(len, some)),
            manifold=metrics.manifold_scores(*some, config.precision_k, config.density_k))
        if not intra or labels is None or generated.labels is None:
            return scores
        return with_intra(scores, metrics.intra_frechet_distances(
            pool, labels, generated.pool, generated.labels), labels, generated.labels)


def with_intra(scores: Scores, intra_fids: dict[int, float], real_labels: np.ndarray,
               generated_labels: np.ndarray) -> Scores:
    """The same scores with those of the classes.

    Args:
      scores: without them.
      intra_fids: class -> FID.
      real_labels, generated_labels: int [images] of all images that went into it.
    """
    if not intra_fids:
        return scores
    counts = [np.bincount(labels, minlength=max(intra_fids) + 1)[list(intra_fids)]
              for labels in (real_labels, generated_labels)]
    return dataclasses.replace(
        scores, intra_fids=intra_fids,
        intra_counts=tuple(int(f(side)) for side in counts for f in (np.min, np.max)))


def protocol(config: config_lib.ScoringConfig, real: real_stats.RealStats,
             classifier: inception.Classifier, count: int, **images: Any) -> dict[str, Any]:
    """Everything that decides the scores, for the record.

    Args:
      config: the flags.
      real: the real side.
      classifier: of both sides.
      count: of the generated images.
      **images: what is known of the generated images (moving average or not, ...).
    """
    fields = {field.name for field in dataclasses.fields(config)}
    split = real.about.get("split") if config.real_stats else config.real_split
    return {
        "name": config.protocol, "departures": config.departures(count),
        **{name: getattr(config, name) for name in config_lib.PROTOCOL_FIELDS if name in fields},
        "eval_sample_size": count,
        "real": {"source": config.real_stats or config.real_dir, "images": real.about["images"],
                 "split": split, "fingerprint": real.about.get("fingerprint")},
        "classifier": {"handle": classifier.handle, "sha256": classifier.sha256,
                       "input_size": classifier.input_size, "resize": classifier.resize,
                       "dtype": "float32"},
        **images,
        "versions": versions()}


def versions() -> dict[str, str]:
    """What made the numbers."""
    return {"sagan_tf": sagan_tf.__version__, "python": sys.version.split()[0],
            "tensorflow": tf.__version__, "numpy": np.__version__,
            "tensorflow-gan": importlib.metadata.version("tensorflow-gan")}


def same_protocol(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two records' scores compare: all but paths, handles and versions is the same."""
    return _essence(one) == _essence(other)


def protocol_name(record: dict[str, Any]) -> str:
    """A short name, the same for all records of the same protocol."""
    text = json.dumps(_essence(record), sort_keys=True)
    return f"{record['name']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def protocol_title(record: dict[str, Any]) -> str:
    """The protocol's name, and in what the flags depart from it."""
    return f"protocol {record['name']}" + "".join(
        f", {name} {value}" for name, value in record["departures"].items())


def _essence(record: dict[str, Any]) -> dict[str, Any]:
    record = {**record, "real": {**record["real"], "source": ""},
              "classifier": {**record["classifier"], "handle": ""}}
    return {name: value for name, value in record.items()
            if name not in ("versions", "checkpoint_step", "checkpoint_sha256")}


def citation(scores: Scores, record: dict[str, Any]) -> str:
    """One line that says the scores and all that they depend on.

    Args:
      scores: the numbers.
      record: what `protocol` gave, JSON or not.
    """
    splits, mean, deviation = scores.inception_score_splits
    both = scores._both
    numbers = [f"IS{suffix(scores.images)} {scores.inception_score:.2f} "
               f"({splits} splits {mean:.2f} +- {deviation:.2f})", f"FID{both} {scores.fid:.2f}"]
    if scores.kid is not None:
        numbers.append(f"KID{both} {_kid(scores)}")
    if scores.intra_fid is not None:
        numbers.append(f"intra-FID{scores._per_class} {scores.intra_fid:.2f} "
                       f"({_of_classes(scores)})")
    few = suffix(scores.manifold_images)
    numbers += [f"{name}{few} {value:.3f}"
                for name, value in (scores.manifold._asdict() if scores.manifold else {}).items()]
    real, classifier, made = record["real"], record["classifier"], record["versions"]
    details = [
        f"{scores.images} images ({record['images']})",
        f"against {real['images'] or 'an unknown number of'} {real['split'] or 'unknown'} images "
        f"{_short(real['fingerprint'])}",
        f"classifier {_short('sha256:' + classifier['sha256'])} at {classifier['input_size']} px, "
        f"{classifier['resize']} resize, {classifier['dtype']}", f"seed {record['seed']}",
        ", ".join(f"{name} {version}" for name, version in made.items())]
    name = scores.name
    if "checkpoint_sha256" in record:
        name += f" ({_short('sha256:' + record['checkpoint_sha256'])})"
    return f"{name}: {', '.join(numbers)}; {protocol_title(record)}: {'; '.join(details)}"


def _short(fingerprint: Optional[str]) -> str:
    """The first digits of a long fingerprint."""
    kind, _, digits = (fingerprint or "of unknown:").partition(":")
    return f"{kind}:{digits[:12]}" if digits else kind


def _kid(scores: Scores) -> str:
    error = "" if scores.kid_error is None else f" +- {scores.kid_error:.5f}"
    return f"{scores.kid:.5f}{error}"


def _of_classes(scores: Scores) -> str:
    least_real, most_real, least, most = scores.intra_counts
    return (f"{len(scores.intra_fids)} classes of {least_real}-{most_real} real and {least}-{most} "
            "generated images")


def table(columns: list[Scores]) -> str:
    """The scores of some sets of images side by side, a score a line."""
    rows: dict[str, list[str]] = {}
    for number, scores in enumerate(columns):
        splits, mean, deviation = scores.inception_score_splits
        both = scores._both
        values = {f"IS{suffix(scores.images)}": f"{scores.inception_score:.4f}",
                  f"IS{suffix(scores.images)}, {splits} splits": f"{mean:.4f} +- {deviation:.4f}"}
        if scores.fid is not None:
            values[f"FID{both}"] = f"{scores.fid:.4f}"
        if scores.kid is not None:
            values[f"KID{both}"] = _kid(scores)
        if scores.intra_fid is not None:
            values[f"intra-FID{scores._per_class}"] = f"{scores.intra_fid:.4f}"
        for name, value in (scores.manifold._asdict() if scores.manifold else {}).items():
            values[name + suffix(scores.manifold_images)] = f"{value:.4f}"
        for name, value in values.items():
            rows.setdefault(name, ["-"] * len(columns))[number] = value
    lines = [["", *(scores.name for scores in columns)], *([n, *v] for n, v in rows.items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
    return "\n".join("  ".join([line[0].ljust(widths[0]),
                                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:]))])
                     for line in lines)


def intra_table(scores: Scores, names: Optional[list[str]] = None) -> str:
    """The FID of each class, worst first, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "name", "fid"])
    for label, fid in sorted(scores.intra_fids.items(), key=lambda item: -item[1]):
        writer.writerow([label, names[label] if names else "", f"{fid:.4f}"])
    return text.getvalue()
