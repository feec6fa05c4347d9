"""Scores as a table and as a sentence to cite."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Optional

from sagan_tf import plurals
from sagan_tf.evaluation import protocol, rows
from sagan_tf.evaluation.scores import Scores

# How people write the names of scores.
_TITLES = {
    rows.INCEPTION_SCORE: "IS",
    rows.FID: "FID",
    rows.KID: "KID",
    rows.INTRA_FID: "intra-FID",
}
# The order of a citation and of a table: nearest neighbours come last.
_ORDER = (
    rows.INCEPTION_SCORE,
    rows.SPLITS,
    rows.FID,
    rows.KID,
    rows.INTRA_FID,
    *rows.MANIFOLD,
)


def citation(scores: Scores, record: dict[str, Any]) -> str:
    """One line that says the scores and all that they depend on.

    Args:
      scores: the numbers.
      record: what `protocol` gave, JSON or not.
    """
    # Say the numbers.
    numbers = [
        _cited(score, scores)
        for score in _in_order(scores)
        if score.name != rows.SPLITS  # It stands with the Inception Score.
    ]

    # Say what they depend on.
    versions = [f"{package} {version}" for package, version in record["versions"].items()]
    details = [
        f"{scores.images} images ({record['images']})",
        _real_side(record["real"]),
        _classifier(record["classifier"]),
        f"seed {record['seed']}",
        ", ".join(versions),
    ]
    name = _of_which_model(scores.name, record)
    title = protocol.protocol_title(record)
    return f"{name}: {', '.join(numbers)}; {title}: {'; '.join(details)}"


def _of_which_model(name: str, record: dict[str, Any]) -> str:
    """Whose the scores are, with the digests of the files that the weights are from."""
    # Name the checkpoint.
    digest = record.get("checkpoint_sha256")
    if digest:
        name += f" ({_of_sha256(digest)})"

    # Name the exported model, which has a file of its own.
    model = record.get("exported")
    if model:
        digest = model["sha256"]
        name += f", exported ({_of_sha256(digest)})"
    return name


def _cited(score: rows.Score, scores: Scores) -> str:
    """One score of a citation, the Inception Score with that over splits."""
    title = heading(score)
    digits = 3 if score.name in rows.MANIFOLD else 2
    value = f"{score.value:.{digits}f}"
    if score.name == rows.KID:
        value = _kid(score)

    # Add in brackets what a score is made of.
    if score.name == rows.INCEPTION_SCORE:
        value += f" ({_splits(scores)})"
    if score.name == rows.INTRA_FID:
        value += f" ({_classes(scores)})"
    return f"{title} {value}"


def heading(score: rows.Score) -> str:
    """The name as people write it, with the number of images."""
    name = _TITLES.get(score.name, score.name)
    return name + score.suffix


def column_title(score: rows.Score) -> str:
    """The heading of a table's line or column; the Inception Score over splits has its own."""
    if score.name == rows.SPLITS:
        return f"IS{score.suffix}, {score.splits} splits"
    return heading(score)


def _in_order(scores: Scores) -> list[rows.Score]:
    """The scores that are there, in the order in which they are shown."""
    return sorted(
        scores.each(),
        key=lambda score: _ORDER.index(score.name),
    )


def _splits(scores: Scores) -> str:
    """What the Inception Score over splits is."""
    splits, mean, deviation = scores.inception_score_splits
    spread = f"{mean:.2f} +- {deviation:.2f}"
    return f"{plurals.counted(splits, 'split')} {spread}"


def _kid(score: rows.Score) -> str:
    """KID, and its standard error where it has one."""
    value = f"{score.value:.5f}"
    if score.error is None:
        return value
    return f"{value} +- {score.error:.5f}"


def _classes(scores: Scores) -> str:
    """Of how many classes and images the intra-FID is."""
    least_real, most_real, least, most = scores.intra_counts
    classes = len(scores.intra_fids)
    real = f"{least_real}-{most_real} real"
    generated = f"{least}-{most} generated"
    named = plurals.counted(classes, "class", "classes")
    return f"{named} of {real} and {generated} images"


def _real_side(real: dict[str, Any]) -> str:
    """The real images in a few words."""
    images = real["images"] or "an unknown number of"
    split = real["split"] or "unknown"
    fingerprint = _short(real["fingerprint"])
    return f"against {images} {split} images {fingerprint}"


def _classifier(classifier: dict[str, Any]) -> str:
    """The classifier in a few words."""
    digest = _of_sha256(classifier["sha256"])
    size = classifier["input_size"]
    resize = classifier["resize"]
    dtype = classifier["dtype"]
    return f"classifier {digest} at {size} px, {resize} resize, {dtype}"


def _of_sha256(digest: str) -> str:
    """The first digits of a SHA-256."""
    fingerprint = f"sha256:{digest}"
    return _short(fingerprint)


def _short(fingerprint: Optional[str]) -> str:
    """The first digits of a long fingerprint."""
    if not fingerprint:
        fingerprint = "of unknown:"
    kind, _, digits = fingerprint.partition(":")
    return f"{kind}:{digits[:12]}" if digits else kind


def table(columns: Sequence[Scores]) -> str:
    """The scores of some sets of images side by side, a score a line.

    A set whose heading says its numbers of images (`Scores.sides`) stands in the first set's lines.
    """
    # Find the lines that some set has.
    first = {score.name: heading(score) for score in columns[0].each()}
    texts = [_lines(scores, first if scores.sides else {}) for scores in columns]
    titles: dict[str, None] = {}
    for column in texts:
        titles.update(dict.fromkeys(column))

    # Fill the cells, below a heading.
    names = [scores.name for scores in columns]
    sides = [scores.sides for scores in columns]
    lines = [["", *names]]
    if any(sides):
        lines.append(["", *sides])
    for title in titles:
        cells = [column.get(title, "-") for column in texts]
        lines.append([title, *cells])

    return align(lines)


def align(lines: Sequence[Sequence[str]]) -> str:
    """Lines of as many cells each as a text, each column as wide as its widest cell."""
    widths = []
    for column in zip(*lines):
        widths.append(max(map(len, column)))
    aligned = [_aligned(line, widths) for line in lines]
    return "\n".join(aligned)


def _lines(scores: Scores, titles: dict[str, str]) -> dict[str, str]:
    """Title -> text of each score of a set, for a table; `titles` go before its own."""
    texts = {}
    for score in _in_order(scores):
        title = titles.get(score.name, heading(score))
        text = f"{score.value:.4f}"

        # Two scores have a spread.
        if score.name == rows.SPLITS:
            title = column_title(score)
            text += f" +- {score.deviation:.4f}"
        if score.name == rows.KID:
            text = _kid(score)
        texts[title] = text
    return texts


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a table: the title to the left, the others to the right."""
    title, *texts = line
    cells = [title.ljust(widths[0])]
    for text, width in zip(texts, widths[1:]):
        cells.append(text.rjust(width))
    return "  ".join(cells).rstrip()


def intra_table(scores: Scores, names: Optional[list[str]] = None) -> str:
    """The FID of each class, worst first, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["class", "name", "fid"])

    fids = scores.intra_fids
    for label in sorted(fids, key=fids.get, reverse=True):
        name = names[label] if names else ""
        writer.writerow([label, name, f"{fids[label]:.4f}"])
    return text.getvalue()
