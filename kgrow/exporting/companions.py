"""Companion files that make the folder of a single file equal to an exported bundle."""

from __future__ import annotations

from kgrow.exporting.bundle import folder_files, local_of, read_bundle
from kgrow.exporting.c_source import HEADER, SOURCE
from kgrow.exporting.measure import Artefact
from kgrow.run import Run
from kgrow.training import Observer


def write_companions(run: Run, model: str, artefact: Artefact, observer: Observer) -> None:
    """Writes labels, a program that classifies and the description; the run directory becomes a bundle.

    Args:
        run: Run directory; files in it that are not kgrow's are kept.
        model: Name of the file that `export` wrote there.
        artefact: Measurements of the file.
        observer: Observer that is notified of files that were not written.
    """
    description, models = read_bundle(run.path / model)
    ours = run.files()
    files = folder_files(models, description, local_of(models, run.path, artefact=artefact))
    for name in {HEADER, SOURCE}.intersection(ours).difference(files):
        run.remove(name)  # left by an earlier model
    for name, data in files.items():
        if run.has(name) and name not in ours:
            observer.note(f"'{run.path / name}' is not kgrow's, so it stays and kgrow's own {name} is not written")
        elif name != model:
            run.write_bytes(name, data)
