"""Writes the help of every command into this folder: python -m docs.flags.make

tests/tools/main_test.py compares these files with the commands.
"""

import pathlib

from sagan_tf.tools import main

FOLDER = pathlib.Path(__file__).parent


def write() -> None:
    """Writes one file for each command, and removes those of commands that are gone."""
    texts = main.all_texts()
    for path in FOLDER.glob("*.txt"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / f"{name}.txt").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
