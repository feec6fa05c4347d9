"""Starts the page of `explore`."""

import gc
import importlib.util
from typing import Optional, TextIO

import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import ExploreConfig
from sagan_tf.viewing import explore, explore_answers, words

NO_LIBRARY = 'the page needs the package Werkzeug (pip install "sagan-tf[explore]")'


def start(config: ExploreConfig, stream: Optional[TextIO] = None) -> None:
    """Opens the run or the model, says where the page is, and serves it until it is interrupted.

    Raises:
      errors.UserError: there is no such run or model, Werkzeug is not installed, or the port is in
        use.
    """
    say = words.printer(stream)
    if importlib.util.find_spec("werkzeug") is None:
        raise errors.UserError(NO_LIBRARY)
    from sagan_tf.viewing import explore_web  # Its library is not installed everywhere.

    # Each interpolation is a network of its own; TensorFlow would remark that this is slow.
    tf.get_logger().setLevel("ERROR")

    # Take the address first: where it is in use, nobody waits for the generator to hear so.
    explorer = explore.Explorer(config.run)
    answers = explore_answers.Answers(explorer, config)
    with explore_web.listening(answers, config.host, port=config.port) as server:
        # What is wrong with the generator is said here, and not in the page.
        network = explorer.generator(config)
        for line in explorer.notes:
            say(line)

        # What is there now stays; collecting what comes and goes need not look through it.
        gc.freeze()

        # Serve the page.
        name = explore_web.bracketed(config.host)
        say(
            f"step {network.card.step} of {network.source}: http://{name}:{server.port}/ "
            "(Ctrl-C ends it)"
        )
        server.serve_forever()
