"""What the process that tests' commands are copies of has imported.

Nothing but modules is shared: TensorFlow makes its devices and threads when it is first used, in
the command's own process. See `commands.py`.
"""

from sagan_tf import cli

cli.prepare_process()  # As every command does before TensorFlow is imported.

import sagan_tf.evaluation.score_images  # noqa: E402
import sagan_tf.evaluation.watch  # noqa: E402
import sagan_tf.training.train  # noqa: E402, F401
