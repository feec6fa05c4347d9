"""Pages in one file that load nothing: Jinja2's templates, with Plotly's script inside.

The templates escape every value; the words and the style of the pages are in `templates/`.
"""

import base64
import functools
import gzip
import hashlib
from typing import Any, NamedTuple

import jinja2
import markupsafe

from sagan_tf import plurals
from sagan_tf.viewing import words


class Picture(NamedTuple):
    """A JPEG file and its size in pixels."""

    jpeg: bytes
    width: int
    height: int

    @property
    def url(self) -> str:
        """The file itself, for `src` of an `<img>`."""
        return f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode()}"


def render(template: str, **values: Any) -> str:
    """A whole page, as HTML; it may run no script but its own and Plotly's.

    Args:
      template: file in `templates/`.
      **values: what it shows, as text.
    """
    # Take the scripts; their hashes are what allows them to run.
    found = _templates()
    own, _, _ = found.loader.get_source(found, "page.js")
    packed, plotly_digest = _plotly()
    page = found.get_template(template)

    return page.render(
        **values,
        script=markupsafe.Markup(own),
        script_digests=(_digest(own), plotly_digest),
        plotly=packed,
    )


@functools.cache
def _templates() -> jinja2.Environment:
    """The templates, which escape what they are given, and refuse what they are not."""
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("sagan_tf.viewing"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["counted"] = functools.partial(plurals.counted, form=",")
    for function in (words.number, words.moment, words.span):
        found.filters[function.__name__] = function
    found.tests["finite"] = words.is_finite
    return found


@functools.cache
def _plotly() -> tuple[str, str]:
    """Plotly's script, packed to 2 of its 5 MB, and the digest of what is unpacked."""
    from plotly import offline  # slow to import, and needed here only

    script = offline.get_plotlyjs()
    packed = gzip.compress(script.encode(), mtime=0)
    return base64.b64encode(packed).decode(), _digest(script)


def _digest(script: str) -> str:
    """SHA-256 of a script as a Content-Security-Policy has it."""
    digest = hashlib.sha256(script.encode()).digest()
    return base64.b64encode(digest).decode()
