"""Commands about data to come: which structures to label, and what more of them would bring."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plip.cli import _commands
from plip.cli._errors import CommandError

# As in `_commands`, for a quick `plip --help`.
if TYPE_CHECKING:
    from ase import Atoms
    from ase.io.formats import IOFormat

    from plip.model_selection import LearningCurve


class Pool:
    """Structures of files that are read one by one, as often as wanted.

    Parameters
    ----------
    paths : list of str
        Files that ASE reads; ``file@slice`` is a part of one.
    """

    def __init__(self, paths: list[str]) -> None:
        from plip._reading._parts import split_file

        self._parts = [part for path in paths for part in split_file(path)]
        self._counts = [0] * len(self._parts)

    def __iter__(self) -> Iterator[Atoms]:
        for number, part in enumerate(self._parts):
            self._counts[number] = 0
            for atoms in part:
                self._counts[number] += 1
                yield atoms

    def place(self, index: int) -> str:
        """Where the structure at this place in the pool comes from; it has been read."""
        for part, count in zip(self._parts, self._counts, strict=True):
            if index < count:
                return part.place(index)
            index -= count
        raise IndexError(index)

    def take(self, indices: Collection[int]) -> dict[int, Atoms]:
        """Structures by place in the pool, without labels."""
        found: dict[int, Atoms] = {}
        for index, atoms in enumerate(self):
            if index in indices:
                found[index] = atoms.copy()
                if len(found) == len(indices):
                    break
        return found


def select(arguments: Namespace) -> None:
    from ase.io import write

    from plip._files import without_empty_texts, write_whole
    from plip._places import located
    from plip.regressor import PLIPRegressor
    from plip.selection import rank_structures

    output = arguments.outputs.file(arguments.output)
    file_format = _format_of(output)
    pool = Pool(arguments.pool)
    train = _commands._read(arguments.train, arguments)
    progress = _commands._shows_progress(arguments)
    given: dict[str, Any] = {} if arguments.terms is None else {"max_terms": arguments.terms}
    model = PLIPRegressor(**given, n_jobs=arguments.n_jobs, verbose=int(progress))
    with train.located():
        model.fit(train.structures)
    with located(pool.place):
        places, shares = rank_structures(
            pool,
            arguments.number,
            model,
            known=train.structures,
            cost=arguments.cost,
            n_jobs=arguments.n_jobs,
            verbose=int(progress),
        )
    if not len(places):
        raise CommandError("the pool has no structure that the training data lack")
    origins = [pool.place(index) for index in places.tolist()]
    found = pool.take(set(places.tolist()))
    print(f"{'':>4}  {'uncertainty left':>16}  {'atoms':>5}  structure")
    chosen = []
    for rank, (index, share, origin) in enumerate(zip(places.tolist(), shares, origins, strict=True), 1):
        atoms = found[index]
        print(f"{rank:>4}  {100 * share:>14.1f} %  {len(atoms):>5}  {origin}")
        atoms.info = {**without_empty_texts(atoms.info), "pool_index": index, "pool_structure": origin}
        chosen.append(atoms)
    if len(places) < arguments.number:
        print(f"The pool has no more than {len(places)} structures that tell the fit anything new.")
    with write_whole(output, "wb" if file_format.isbinary else "w") as file:
        write(file, chosen, format=file_format.name)
    print(f"Structures to label, best first: {output}")


def _format_of(path: Path) -> IOFormat:
    """ASE's format for structures in a file of this name."""
    from ase.io.formats import filetype, ioformats

    name = "extxyz" if path.suffix.lower() in (".xyz", ".extxyz") else filetype(str(path), read=False)
    # To an open file ASE writes no more than one structure as JSON.
    found = None if name == "json" else ioformats.get(name)
    if found is None or found.single or not (found.can_write and found.acceptsfd):
        raise CommandError(
            f"{path}: ASE cannot write several structures to a file of this name; end it in .xyz or .traj"
        )
    return found


def learn(arguments: Namespace) -> None:
    from plip.model_selection import learning_curve
    from plip.regressor import PLIPRegressor, PLIPRegressorCV

    plot = None if arguments.plot is None else arguments.outputs.plot(arguments.plot)
    table = None if arguments.csv is None else arguments.outputs.file(arguments.csv)
    data = _commands._read(arguments.data, arguments)
    options: dict[str, Any] = {
        "n_jobs": arguments.n_jobs,
        "verbose": int(_commands._shows_progress(arguments)),
    }
    # Fewer terms with errors that are larger by some percent would hide what data bring.
    is_sized = arguments.terms is not None
    model = (
        PLIPRegressor(max_terms=arguments.terms, **options)
        if is_sized
        else PLIPRegressorCV(selection="min", **options)
    )
    with data.located():
        curve = learning_curve(model, data.structures, groups=data.groups, n_folds=arguments.cv)
    print(curve)
    if table is not None:
        curve.save(table)
        print(f"Errors by number of structures: {table}")
    if plot is not None:
        _plot(curve, plot)
        print(f"Learning curve: {plot}")


def _plot(curve: LearningCurve, path: Path) -> None:
    """All targets side by side, by group if there are any."""
    import matplotlib.pyplot as plt

    from plip.inspection import LearningDisplay
    from plip.inspection._style import save_figure

    width = 6.4 if curve.by_group else 4.4
    figure, axes = plt.subplots(
        1, len(curve.errors), figsize=(width * len(curve.errors), 3.6), squeeze=False, layout="constrained"
    )
    for target, ax in zip(curve.errors, axes[0], strict=True):
        LearningDisplay(curve).plot(ax=ax, target=target, by_group=bool(curve.by_group))
    save_figure(figure, path)
    plt.close(figure)
