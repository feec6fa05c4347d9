"""Captions are drawn in a font that has their characters."""

import os
import shutil

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw

from sagan_tf.images import fonts, grids

LAST_RESORT = "a font that has no file"


def drawn(text):
    picture = Image.new("L", (40, 20))
    ImageDraw.Draw(picture).text((2, 2), text, 255, fonts.font_for(text, 12))
    return np.asarray(picture)


@pytest.mark.parametrize("name", ["Häuser", "Ångström", "šašek", "ψ", "дом", "…"])
def test_letters_of_many_languages_are_no_boxes(name):
    """U+FFFE is no character: a font draws its box for it."""
    box = drawn("\ufffe")
    assert box.any()
    for letter in set(name):
        assert not np.array_equal(drawn(letter), box), letter
    assert not np.array_equal(drawn("ä"), drawn("a"))


@pytest.fixture(name="japanese")
def fixture_japanese(tmp_path, monkeypatch):
    """Fonts of the system: no font at all, and one that stands for one with Chinese characters."""
    from matplotlib import font_manager

    own = os.path.join(matplotlib.get_data_path(), "fonts/ttf/DejaVuSansMono.ttf")
    paths = [str(tmp_path / name) for name in ("a.ttf", "b.ttf")]
    (tmp_path / "a.ttf").write_text(LAST_RESORT)
    shutil.copy(own, paths[1])
    letters = fonts._letters_of
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: paths)
    monkeypatch.setattr(
        fonts,
        "_letters_of",
        lambda path: frozenset(map(ord, "家屋")) if path == paths[1] else letters(path),
    )
    fonts._system_font.cache_clear()
    yield paths[1]
    fonts._system_font.cache_clear()


def test_characters_that_dejavu_lacks_come_from_a_font_of_the_system(japanese):
    usual = fonts.path_for("Häuser")
    assert os.path.basename(usual) == "DejaVuSans.ttf"
    assert fonts.path_for("家屋") == japanese
    # No font has both: boxes stand for what is not there.
    assert fonts.path_for("家屋 ä") == usual


def test_caption_with_umlauts_is_drawn():
    image = np.full((1, 112, 112, 3), 255, np.uint8)
    caption = grids.labelled_grid(image, ["Häuser"], columns=1)[114:]
    plain = grids.labelled_grid(image, ["Hauser"], columns=1)[114:]
    # The dots of the ä are above the a, and nothing else differs.
    rows = np.flatnonzero((caption != plain).any((1, 2)))
    assert 0 < len(rows) <= 4
