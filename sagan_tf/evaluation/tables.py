"""Scores as a table and as a sentence to cite."""

import csv
import io
from typing import Any, Optional

from sagan_tf.evaluation import protocol
from sagan_tf.evaluation import scores as evaluation_scores


def citation(scores: evaluation_scores.Scores, record: dict[str, Any]) -> str:
    """One line that says the scores and all that they depend on.

    Args:
      scores: the numbers.
      record: what `protocol` gave, JSON or not.
    """
    splits, mean, deviation = scores.inception_score_splits
    both = scores._both
    numbers = [
        f"IS{evaluation_scores.suffix(scores.images)} {scores.inception_score:.2f} "
        f"({splits} splits {mean:.2f} +- {deviation:.2f})",
        f"FID{both} {scores.fid:.2f}",
    ]
    if scores.kid is not None:
        numbers.append(f"KID{both} {_kid(scores)}")
    if scores.intra_fid is not None:
        numbers.append(
            f"intra-FID{scores._per_class} {scores.intra_fid:.2f} ({_of_classes(scores)})"
        )
    few = evaluation_scores.suffix(scores.manifold_images)
    numbers += [
        f"{name}{few} {value:.3f}"
        for name, value in (scores.manifold._asdict() if scores.manifold else {}).items()
    ]
    real, classifier, made = record["real"], record["classifier"], record["versions"]
    details = [
        f"{scores.images} images ({record['images']})",
        f"against {real['images'] or 'an unknown number of'} {real['split'] or 'unknown'} images "
        f"{_short(real['fingerprint'])}",
        f"classifier {_short('sha256:' + classifier['sha256'])} at {classifier['input_size']} px, "
        f"{classifier['resize']} resize, {classifier['dtype']}",
        f"seed {record['seed']}",
        ", ".join(f"{name} {version}" for name, version in made.items()),
    ]
    name = scores.name
    if "checkpoint_sha256" in record:
        name += f" ({_short('sha256:' + record['checkpoint_sha256'])})"
    return f"{name}: {', '.join(numbers)}; {protocol.protocol_title(record)}: {'; '.join(details)}"


def _short(fingerprint: Optional[str]) -> str:
    """The first digits of a long fingerprint."""
    kind, _, digits = (fingerprint or "of unknown:").partition(":")
    return f"{kind}:{digits[:12]}" if digits else kind


def _kid(scores: evaluation_scores.Scores) -> str:
    error = "" if scores.kid_error is None else f" +- {scores.kid_error:.5f}"
    return f"{scores.kid:.5f}{error}"


def _of_classes(scores: evaluation_scores.Scores) -> str:
    least_real, most_real, least, most = scores.intra_counts
    return (
        f"{len(scores.intra_fids)} classes of {least_real}-{most_real} real and {least}-{most} "
        "generated images"
    )


def table(columns: list[evaluation_scores.Scores]) -> str:
    """The scores of some sets of images side by side, a score a line."""
    rows: dict[str, list[str]] = {}
    for number, scores in enumerate(columns):
        splits, mean, deviation = scores.inception_score_splits
        both = scores._both
        values = {
            f"IS{evaluation_scores.suffix(scores.images)}": f"{scores.inception_score:.4f}",
            f"IS{evaluation_scores.suffix(scores.images)}, {splits} splits": f"{mean:.4f} +- {deviation:.4f}",
        }
        if scores.fid is not None:
            values[f"FID{both}"] = f"{scores.fid:.4f}"
        if scores.kid is not None:
            values[f"KID{both}"] = _kid(scores)
        if scores.intra_fid is not None:
            values[f"intra-FID{scores._per_class}"] = f"{scores.intra_fid:.4f}"
        for name, value in (scores.manifold._asdict() if scores.manifold else {}).items():
            values[name + evaluation_scores.suffix(scores.manifold_images)] = f"{value:.4f}"
        for name, value in values.items():
            rows.setdefault(name, ["-"] * len(columns))[number] = value
    lines = [["", *(scores.name for scores in columns)], *([n, *v] for n, v in rows.items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:])),
            ]
        )
        for line in lines
    )


def intra_table(scores: evaluation_scores.Scores, names: Optional[list[str]] = None) -> str:
    """The FID of each class, worst first, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "name", "fid"])
    for label, fid in sorted(scores.intra_fids.items(), key=lambda item: -item[1]):
        writer.writerow([label, names[label] if names else "", f"{fid:.4f}"])
    return text.getvalue()
