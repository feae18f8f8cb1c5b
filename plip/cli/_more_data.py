"""Commands about data to come: which structures to label, and what more of them would bring."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plip.cli import _commands

# As in `_commands`, for a quick `plip --help`.
if TYPE_CHECKING:
    from ase import Atoms


class Pool:
    """Structures of files that are read one by one, as often as wanted.

    Parameters
    ----------
    paths : list of str
        Files that ASE reads; ``file@slice`` is a part of one.
    """

    def __init__(self, paths: list[str]) -> None:
        self._paths = paths
        self._counts = dict.fromkeys(range(len(paths)), 0)

    def __iter__(self) -> Iterator[Atoms]:
        from plip.cli._data import iterate

        for number, path in enumerate(self._paths):
            self._counts[number] = 0
            for atoms in iterate(path):
                self._counts[number] += 1
                yield atoms

    def place(self, index: int) -> str:
        """Where the structure at this place in the pool comes from; it has been read."""
        from plip.cli._data import name_places

        for number, path in enumerate(self._paths):
            if index < self._counts[number]:
                return name_places(path, self._counts[number])[index]
            index -= self._counts[number]
        raise IndexError(index)

    def located(self, message: object) -> str:
        """A message with the places of structures in their files."""
        return re.sub(r"\b[Ss]tructure (\d+)\b", lambda match: self.place(int(match[1])), str(message))

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

    from plip.regressor import PLIPRegressor
    from plip.selection import rank_structures

    output = _commands._writable(arguments.output)
    pool = Pool(arguments.pool)
    train = _commands._read(arguments.train, arguments)
    progress = _commands._shows_progress(arguments)
    given: dict[str, Any] = {} if arguments.terms is None else {"max_terms": arguments.terms}
    model = PLIPRegressor(**given, n_jobs=arguments.n_jobs, verbose=int(progress))
    with train.located():
        model.fit(train.structures)
    try:
        places, shares = rank_structures(
            pool,
            arguments.number,
            model,
            known=train.structures,
            cost=arguments.cost,
            n_jobs=arguments.n_jobs,
            verbose=int(progress),
        )
    except ValueError as error:
        raise _commands.CommandError(pool.located(error)) from error
    if not len(places):
        raise _commands.CommandError("the pool has no structure that the training data lack")
    origins = [pool.place(index) for index in places.tolist()]
    found = pool.take(set(places.tolist()))
    print(f"{'':>4}  {'uncertainty left':>16}  {'atoms':>5}  structure")
    chosen = []
    for rank, (index, share, origin) in enumerate(zip(places.tolist(), shares, origins, strict=True), 1):
        atoms = found[index]
        print(f"{rank:>4}  {100 * share:>14.1f} %  {len(atoms):>5}  {origin}")
        atoms.info.update(pool_index=index, pool_structure=origin)
        chosen.append(atoms)
    if len(places) < arguments.number:
        print(f"The pool has no more than {len(places)} structures that are neither known nor copies.")
    is_extended = Path(output).suffix.lower() in (".xyz", ".extxyz")
    write(output, chosen, format="extxyz" if is_extended else None)
    print(f"Structures to label, best first: {output}")
