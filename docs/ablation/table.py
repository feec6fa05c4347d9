"""Makes the tables of docs/ablation.md from the results of run.py: mean (least to largest).

  python docs/ablation/table.py checkpoint/ablation/results.jsonl

It needs nothing but Python.
"""

import results  # From here on the modules of docs/scripts are there.

# isort: split
import markdown_tables as markdown
import result_lines
import rows

# Heading of a column, name of the value, digits after the point.
SCORES = (
    ("IS", "incscore", 2),
    ("FID", "fid", 2),
    ("precision", "precision", 2),
    ("recall", "recall", 2),
    ("coverage", "coverage", 2),
)
WITHIN_CLASSES = ("intra-FID", "intra_fid", 2)
_BLOCKS = tuple(name for name in rows.ROWS if name.startswith(("attention", "residual")))
# Title -> names of the rows, columns of scores, published figures.
TABLES = {
    "Table 1": (("none", *_BLOCKS), SCORES, ("IS", "FID")),
    "Table 2": (
        ("acgan", "sngan_projection", "sagan"),
        (*SCORES, WITHIN_CLASSES),
        ("IS", "FID", "intra-FID"),
    ),
    "Figure on stabilisation": (("sn_d", "sn_both", "sn_both_ttur"), SCORES, ("curve",)),
}


def variety_lost(runs):
    """How many runs have lost the variety of their samples, and after what part of the run.

    Args:
      runs: lines of the results.
    """
    known = [run for run in runs if run["variety"]]
    if not known:
        return "not recorded"

    # Find when.
    moments = []
    for run in known:
        course = run["variety"]
        if not course["was_there"]:
            moments.append("never there")
        elif course["lost"] is not None:
            moments.append(f"{100 * course['lost'] / run['iterations']:.0f} %")
    count = f"{len(moments)} of {len(known)}"
    return f"{count}: {', '.join(moments)}" if moments else count


def line_of(label, runs, *, scores, published):
    """The line of a row.

    Args:
      label: its name.
      runs: its lines of the results, one for each seed.
      scores: columns, as `SCORES`.
      published: the paper's figures, as text.
    """
    cells = [label, str(len(runs))]
    for _, name, digits in scores:
        numbers = [run["values"][name] for run in runs]
        cells.append(markdown.cell(numbers, digits=digits))
    minutes = [run["seconds"] / 60 for run in runs]
    cells += [variety_lost(runs), markdown.cell(minutes, digits=1)]
    return markdown.line_of([*cells, *published])


def lines_of_rows(own, recipe, *, names, scores, figures):
    """The lines of one table, those of rows without a result left out.

    Args:
      own: lines of the results of one recipe, flagfile and number of steps.
      recipe: its name.
      names: of the rows, in order.
      scores: columns, as `SCORES`.
      figures: names of the published figures.
    """
    lines = []
    for name in names:
        # Table 2 takes SAGAN's runs from table 1.
        row = rows.SAGAN[recipe] if name == "sagan" else name
        runs = [run for run in own if run["row"] == row]
        by_settings = markdown.grouped(runs, ("settings",))

        # Runs of other flags are another line.
        for (settings,), alike in by_settings.items():
            label = name if row == name else f"{name} ({row})"
            if len(by_settings) > 1:
                label += f", flags {settings}"
            published = [rows.PUBLISHED[name][figure] for figure in figures]
            lines.append(line_of(label, alike, scores=scores, published=published))
    return lines


def tables(found):
    """Markdown tables for each recipe, number of steps and flagfile, as lines of text.

    Args:
      found: lines of the file of results, in any order.
    """
    lines = []
    by_recipe = markdown.grouped(found, ("recipe", "steps", "flagfile"))
    for (recipe, steps, flagfile), own in by_recipe.items():
        images = own[0]["images"]
        for title, (names, scores, figures) in TABLES.items():
            # Leave out a table without rows.
            rest = {"names": names, "scores": scores, "figures": figures}
            of_rows = lines_of_rows(own, recipe, **rest)
            if not of_rows:
                continue

            # Say what it is a table of.
            about = f"{recipe}, {steps:,} steps of D, {images:,} real images, flagfile {flagfile}"
            lines += ["", f"{title}: {about}:", ""]
            headings = ["row", "seeds", *(heading for heading, *_ in scores)]
            headings += ["variety lost", "minutes", *(f"paper: {figure}" for figure in figures)]
            lines += [markdown.line_of(headings), markdown.line_of(["---"] * len(headings))]
            lines += of_rows
    return lines[1:]


def main():
    # Read the results.
    flags = result_lines.Parser(description="Makes Markdown tables from the results of run.py.")
    flags.add_argument("results", metavar="RESULTS", help="the file that run.py writes")
    args = flags.parse_args()
    try:
        found = results.read(args.results)
    except (OSError, ValueError) as error:
        result_lines.fail(error)

    # Make the tables.
    if not found:
        result_lines.fail(f"{args.results}: it holds no results; run.py writes them")
    print(*tables(found.values()), sep="\n")


if __name__ == "__main__":
    main()
