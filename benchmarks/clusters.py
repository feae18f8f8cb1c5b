"""The pieces of a fit on a cluster, measured one by one, and a model of what many cores would take.

    python benchmarks/clusters.py train.xyz --preset accurate --atoms 1e6 1e8

Times are CPU seconds of this machine. A chunk is made of the file's structures, as many times as needed.
Workers share the work; whoever adds up takes one result after the other: the process that fits those of all
chunks, or, with Dask, those of groups of chunks, each of which a worker adds up. The network is not measured:
--bandwidth says what it has.
"""

import argparse
import itertools
import pickle
import time

import numpy as np
from ase.io import read

from plip import PLIPDescriptors
from plip._design._rows import Design
from plip.labels import LabelledStructures
from plip.normal_equations._accumulation import Accumulator
from plip.normal_equations._chunk_work import ChunkJob, ChunkWork
from plip.normal_equations._chunks import GROUP, Cutter


class _NoBar:
    def update(self, n):
        pass


def seconds(function, repeats=3):
    """Least CPU time of this thread, and the result."""
    least = np.inf
    for _ in range(repeats):
        start = time.thread_time()
        result = function()
        least = min(least, time.thread_time() - start)
    return least, result


def chunk_sizes(n_atoms, size):
    """Numbers of atoms of the chunks of so many atoms in structures of this size, and number of groups."""
    cutter = Cutter()
    sizes = itertools.repeat(size, int(n_atoms // size))
    chunks = [*cutter.add(sizes), *cutter.finish()]
    n_groups = sum(chunk.ends_group for chunk in chunks[:-1]) + 1
    return np.array([chunk.n_structures for chunk in chunks]) * size, n_groups


def measure(structures, descriptors, n_atoms):
    """Pieces of one chunk of about so many atoms."""
    copies = -(-n_atoms // sum(map(len, structures)))
    data = LabelledStructures.read((structures * copies), **descriptors._limits(True))
    ends = np.cumsum(data.n_atoms)
    data = data.take(slice(0, int(np.searchsorted(ends, n_atoms)) + 1))
    reference = np.zeros(len(descriptors.species_))
    work = ChunkWork(descriptors._design(), descriptors.cutoff_, reference, None)
    made = {"atoms": int(data.n_atoms.sum())}
    made["work"], part = seconds(lambda: work(ChunkJob([data], [], 1, True)), 2)
    made["send"], sent = seconds(lambda: pickle.dumps((work, [data])))
    made["bytes out"] = len(sent)
    made["receive"], _ = seconds(lambda: pickle.loads(sent))
    made["return"], returned = seconds(lambda: pickle.dumps(part, protocol=5))
    made["bytes back"] = len(returned)
    made["load"], _ = seconds(lambda: pickle.loads(returned))
    accumulator = Accumulator(descriptors, reference, None, 1, _NoBar())
    n_parts = 6
    parts = [pickle.loads(returned) for _ in range(n_parts)]

    def add():
        accumulator._parts = iter(parts)
        accumulator._add_up()

    made["add"] = seconds(add, 1)[0] / n_parts
    return made


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("--preset", default="accurate")
    parser.add_argument("--atoms", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--bandwidth", type=float, default=1e9, help="bytes per second into one process")
    arguments = parser.parse_args()
    structures = read(arguments.data, ":")
    descriptors = PLIPDescriptors.preset(arguments.preset).fit(structures)
    size = int(np.mean([len(atoms) for atoms in structures]))
    width = len(descriptors.terms_) + len(descriptors.species_) + 1
    print(f"{arguments.data}: {width} columns, {size} atoms per structure")
    start, _ = seconds(lambda: Design(descriptors.terms_, descriptors.species_))
    print(f"kernels made ready once per process: {1e3 * start:.0f} ms")
    for total in arguments.atoms:
        sizes, n_groups = chunk_sizes(total, size)
        made = measure(structures, descriptors, int(np.median(sizes)))
        print(
            f"{total:.0e} atoms: {len(sizes)} chunks in {n_groups} groups; "
            f"a chunk of {made['atoms']} atoms takes"
        )
        for name in ("work", "send", "receive", "return", "load", "add"):
            print(f"  {name:8} {1e3 * made[name]:8.1f} ms")
        print(f"  {made['bytes out'] / 1e6:.2f} MB out, {made['bytes back'] / 1e6:.2f} MB back")
        work = made["work"] / made["atoms"] * total
        to_add = made["load"] + made["add"] + made["bytes back"] / arguments.bandwidth
        # What is left when all chunks are done: the last chunk, and with Dask the rest of its group.
        for name, n_results, rest in (("all backends", len(sizes), 0), ("Dask", n_groups, GROUP)):
            print(f"  {name}: {n_results} results")
            for cores in arguments.cores:
                wall = max(work / cores, n_results * to_add) + made["work"] + min(rest, cores) * to_add
                at_work = 100 * work / (wall * cores)
                print(f"  {cores:5} cores: {wall:9.1f} s, {at_work:3.0f} % of them at work")


if __name__ == "__main__":
    main()
