"""`ophglm calibrate`: a model for a clinic's own cameras and prevalence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def calibrate(
    model: Annotated[str, typer.Argument(help="A model folder, or the name of a bundled one.")],
    data: Annotated[
        list[Path],
        typer.Argument(help="The clinic's labelled photographs, 100 or more, as evaluate reads."),
    ],
    out: Annotated[Path, typer.Option(help="The folder of the new model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    rounds: Annotated[
        int, typer.Option(min=2, help="Bootstrap resamples of patients for the intervals.")
    ] = 200,
) -> None:
    """Set temperature, offset and thresholds on a clinic's own photographs, into a new model folder
    with the same weights.

    Figures before and after are of patients held out. A condition of fewer than ten photographs
    keeps its values.
    """
    from .packages import need_packages

    need_packages("sklearn", "scipy", extra="evaluate")
    import ophglm_core as ophglm
    from ophglm_core.findings import NOTICE

    from .terminal import fraction_bar, stderr

    with fraction_bar("classifying") as progress:
        calibrated = ophglm.calibrate(
            ophglm.open_model(model),
            data,
            out,
            rounds,
            progress,
            lambda sentence: stderr.print(sentence, style="yellow", markup=False),
        )
    done = calibrated.manifest.local_calibration
    if as_json:
        typer.echo(json.dumps(done, indent=2))
    else:
        _show(done)
        stderr.print(f"{out} is {calibrated.identity}.", markup=False)
    stderr.print(NOTICE, style="dim")


def _show(done: dict[str, Any]) -> None:
    from rich.table import Table

    from .terminal import stdout

    stdout.print(
        f"{done['photographs']} photographs of {done['patients']} patients; "
        f"{done['excluded']['ungradable']} ungradable, {done['excluded']['error']} unreadable; "
        f"held out in {done['folds']} folds by patient, 95 % confidence intervals"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "n", "", "calibration error", "sensitivity", "specificity", "threshold"):
        table.add_column(name)
    for name, row in done["outputs"].items():
        for when, values in (("before", "old"), ("after", "new")):
            spans = row["confidence_intervals"][when]
            figures = [
                _with_interval(row[when][figure], spans[figure])
                for figure in ("ece", "sensitivity", "specificity")
            ]
            first = (name, str(row["positives"])) if when == "before" else ("", "")
            table.add_row(*first, when, *figures, f"{row[values]['threshold']:.3f}")
    stdout.print(table)


def _with_interval(value: float, interval: list[float] | None) -> str:
    return f"{value:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")
