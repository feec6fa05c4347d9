"""Font of captions: DejaVu Sans, and another one of the system for what it lacks.

DejaVu Sans comes with matplotlib. It has Latin, Greek, Cyrillic, Arabic, Hebrew and more, but no
Chinese, Japanese or Korean: for these a font of the system is looked for. Where there is none, a
box stands for each character. Pillow's own font has no "ä".
"""

import functools
import os

from PIL import ImageFont

_FONT = os.path.join("fonts", "ttf", "DejaVuSans.ttf")


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The font that a text is drawn with, `size` pixels high."""
    return _open(path_for(text), size)


def path_for(text: str) -> str:
    """The file of the font that has every character of a text; DejaVu Sans where none has."""
    letters = frozenset(map(ord, text)) - frozenset(map(ord, " \n"))
    usual = _usual()
    return usual if letters <= _letters_of(usual) else _system_font(letters) or usual


@functools.cache
def _open(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@functools.cache
def _usual() -> str:
    import matplotlib  # slow to import, and needed here only

    return os.path.join(matplotlib.get_data_path(), _FONT)


@functools.cache
def _system_font(letters: frozenset[int]) -> str:
    """The first font of the system, by name, that has these characters; "" where none has."""
    from matplotlib import font_manager

    for path in sorted(font_manager.findSystemFonts()):
        if letters <= _letters_of(path):
            return path
    return ""


@functools.cache
def _letters_of(path: str) -> frozenset[int]:
    """The characters that a font has; none of a file that is no scalable font."""
    from matplotlib import ft2font

    try:
        font = ft2font.FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()
