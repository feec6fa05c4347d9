"""Trains and scores a run for every row of the paper's tables, in miniature, and every seed.

  python docs/ablation/run.py checkpoint/ablation
  python docs/ablation/run.py checkpoint/ablation --recipe emoji --rows none,attention16,residual16
  python docs/ablation/table.py checkpoint/ablation/results.jsonl

A run is three commands, which --show prints: training, scores of its last checkpoint, and how its
variety went (course.py). What they print goes into OUT/NAME.log. Its result is one line of
OUT/results.jsonl. D sees the same number of real images in each row: a row with five D steps an
iteration has a fifth of the iterations.

Stopped, the same command goes on where it was: a run with a line there is not made again, and
training continues from its last checkpoint. Where the flags of a row are others by then, its runs
are made anew.
"""

import dataclasses
import json
import pathlib
import shlex

import results  # From here on the modules of docs/scripts are there.

# isort: split
import recipes
import result_lines
import rows
import series

# The variety of samples is looked at so many times in a run, and ten times as often at its begin.
HEALTH_CHECKS = 20
SCORES = ("incscore", "fid", "kid", "intra_fid", "precision", "recall", "density", "coverage")


@dataclasses.dataclass(frozen=True)
class Run:
    """What decides a run, under the names of `results.KEY`; `steps` are those of D."""

    recipe: str
    row: str
    seed: int
    steps: int
    settings: str

    @property
    def key(self):
        return dataclasses.astuple(self)

    @property
    def name(self):
        """The name of its directory, as digits-attention8-6000-1f2e3d4c-0."""
        return f"{self.recipe}-{self.row}-{self.steps}-{self.settings}-{self.seed}"

    @property
    def iterations(self):
        return self.steps // rows.ROWS[self.row].d_steps


def row_flags(recipe, row):
    """What a row of a recipe is trained with, as flags after those of the flagfile."""
    return [*rows.FLAGS[recipe], *rows.flags_of(row, recipes.RECIPES[recipe].ema_decay)]


def settings_of(recipe, row):
    """The digest of all that decides what a row's runs learn."""
    return result_lines.digest([*recipes.flags_of(recipe), *row_flags(recipe, row)])


def commands(run, out):
    """The words of the three commands after `python`: training, scores, course.

    Args:
      run: which.
      out: directory of all runs, a `pathlib.Path`.
    """
    # Train.
    recipe = recipes.RECIPES[run.recipe]
    train = [
        "train_imagenet.py",
        f"--flagfile={recipe.flagfile}",
        f"--checkpoint_dir={out}",
        f"--run_name={run.name}",
        f"--max_steps={run.iterations}",
        f"--seed={run.seed}",
        f"--health_every={max(run.iterations // HEALTH_CHECKS, 1)}",
        *row_flags(run.recipe, run.row),
    ]

    # Score the averaged generator, and look back.
    scoring = recipes.scoring(run.recipe, out / run.name, out)
    evaluate = ["eval_imagenet.py", *scoring, f"--data_dir={recipe.data}"]
    about = ["-m", "docs.ablation.course", str(out / run.name), f"--out={course_file(run, out)}"]
    return [train, evaluate, about]


def course_file(run, out):
    """Where course.py writes how a run went."""
    return out / f"{run.name}.json"


def result_of(run, out):
    """The result of a run whose commands have ended, as a line of the results."""
    # Read the last row of its scores, and how it went.
    lines = (out / "eval" / run.name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    scores = json.loads(lines[-1])["scores"]
    course = json.loads(course_file(run, out).read_text(encoding="utf-8"))

    return {
        **dataclasses.asdict(run),
        "flagfile": result_lines.digest(recipes.flags_of(run.recipe)),
        "images": run.steps * recipes.RECIPES[run.recipe].batch,
        "iterations": run.iterations,
        "seconds": course["seconds"],
        "variety": course["variety"],
        "values": {name: scores[name]["value"] for name in SCORES},
    }


def measure_all(runs, out, *, jobs, finish):
    """Makes the runs that have no result yet, and appends the results.

    Args:
      runs: all that are asked for.
      out: directory of all runs.
      jobs: how many to make at the same time.
      finish: runs a command, as `series.Processes.finish`.
    Returns:
      What has failed, a line each. A run that fails does not stop the others.
    """
    path = out / "results.jsonl"
    return series.measure_all(
        series.missing(runs, path, done=results.read(path)),
        path,
        key=results.KEY,
        jobs=jobs,
        commands=commands,
        result_of=result_of,
        finish=finish,
    )


def runs_of(args):
    """All runs that the flags ask for; those of the first seed come first.

    Raises:
      ValueError: the recipe has not such a row, or the steps are no whole iterations of it.
    """
    # What the flags do not say is as the page has it.
    known = rows.ROWS_OF[args.recipe]
    names = args.rows or known
    steps = args.max_steps or rows.STEPS[args.recipe]

    # Refuse what the recipe cannot do.
    for name in names:
        if name not in known:
            raise ValueError(f"--rows={name}: --recipe={args.recipe} has {', '.join(known)}")
        d_steps = rows.ROWS[name].d_steps
        if steps % d_steps:
            raise ValueError(
                f"--max-steps={steps}: expected a multiple of {d_steps}, the D steps of an "
                f"iteration of {name}"
            )

    return [
        Run(args.recipe, name, seed, steps, settings_of(args.recipe, name))
        for seed in range(args.seeds)
        for name in names
    ]


def main():
    # Read the flags.
    flags = series.parser("Trains and scores the rows of the paper's tables in miniature.")
    flags.add_argument(
        "--rows",
        type=series.names_of(rows.ROWS),
        help=f"of {', '.join(rows.ROWS)}, with commas; without this flag all of the recipe",
    )
    args = flags.parse_args()
    out = pathlib.Path(args.out).absolute()
    try:
        runs = runs_of(args)
    except ValueError as error:
        result_lines.fail(error)

    # Print the commands, where that is all that is asked for.
    if args.show:
        for words in (words for run in runs for words in commands(run, out)):
            print(f"python {shlex.join(words)}")
        return

    # Make them.
    series.start(
        args.recipe,
        out,
        measure=lambda finish: measure_all(runs, out, jobs=args.jobs, finish=finish),
    )


if __name__ == "__main__":
    main()
