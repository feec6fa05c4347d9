"""The classifier of the embedded digits, made anew.

`small_classifier` with the digits' own numbers: trained on 1,437 images, tested on the other 360.
Reads `data/digits`.
"""

from sagan_tf.data import dataset
from sagan_tf.evaluation import small_classifier

SIDE = 32
CLASSES = 10
# A digit's background is black, so black comes in at the edge.
PLAN = small_classifier.Plan(held_out=360, epochs=60, fill_mode="constant")


def make(directory: str) -> None:
    """Trains, writes and tests the classifier.

    Args:
      directory: gets the SavedModel and `accuracy.json`.
    """
    digits = dataset.open_records("data/digits", SIDE, number_classes=CLASSES)
    small_classifier.make(digits, directory, plan=PLAN)
