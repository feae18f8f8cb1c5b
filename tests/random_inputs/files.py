"""Damaged files of potentials and normal equations are refused, by name, or load and work."""

import atexit
import io
import json
import re
import struct
import tempfile
from pathlib import Path

import numpy as np

from random_inputs.damage import choose, dump_document, mutate_bytes, mutate_document
from random_inputs.interactions import random_interactions
from random_inputs.models import label_structures
from random_inputs.potentials import hand_potential, probe_structure
from random_inputs.structures import random_cell
from random_inputs.verdicts import Refused, refusal


def _potential_document(number):
    """The document of a potential made by hand, with a few of its terms only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        hand_potential(number).save(path)
        document = json.loads(path.read_text(encoding="utf-8"))
    rng = np.random.default_rng([8, number])
    kept = sorted(rng.permutation(len(document["terms"]))[:12].tolist())
    document["terms"] = [document["terms"][k] for k in kept]
    return document


_DOCUMENTS = {}


def potential_file(rng):
    """The number of a potential made by hand, and bytes of its file, damaged or not."""
    number = int(rng.integers(12))
    if number not in _DOCUMENTS:
        _DOCUMENTS[number] = _potential_document(number)
    document = _DOCUMENTS[number]
    kind = rng.random()
    if kind < 0.6:
        return number, dump_document(mutate_document(rng, document))
    if kind < 0.95:
        return number, mutate_bytes(rng, dump_document(document))
    return number, dump_document(document).decode().encode(str(rng.choice(["utf-16", "utf-32", "utf-8-sig"])))


_FOLDER = None


def scratch_file(name):
    """A path in a folder of this process."""
    global _FOLDER
    if _FOLDER is None:
        _FOLDER = tempfile.TemporaryDirectory(prefix="plip-fuzz-")
        # Or else it is removed with a warning.
        atexit.register(_FOLDER.cleanup)
    return Path(_FOLDER.name, name)


def check_potential(rng):
    from plip import load_potential

    path = scratch_file("model.json")
    path.write_bytes(potential_file(rng)[1])
    try:
        potential = load_potential(path)
    except (ValueError, OSError) as error:
        refusal(error, path)
    # What loads is evaluated, saved and read again.
    try:
        results = potential.evaluate(probe_structure(potential))
    except ValueError as error:  # within a changed cutoff, of changed functions
        assert re.search("too many neighbors|is not finite", str(error)), error
        raise Refused(str(error)) from error
    values = np.concatenate([[results["energy"]], results["forces"].ravel(), results["stress"]])
    assert np.isfinite(values).all(), f"numbers that are not finite: {potential.terms}"
    again = scratch_file("again.json")
    potential.save(again)
    other = load_potential(again)
    assert other.terms == potential.terms and dict(other.intercept) == dict(potential.intercept)


TARGETS = {"energy": "energy", "force": "force", "stress": "virial"}
_ARCHIVES = {}


def _archive(number):
    """Parts of an archive of normal equations: bytes and arrays by name."""
    if number not in _ARCHIVES:
        from plip import NormalEquations, PLIPDescriptors

        rng = np.random.default_rng([9, number])
        symbols = [["Si"], ["O", "Si"]][number % 2]
        structures = [random_cell(rng, 4, symbols, 0.3) for _ in range(4)]
        for atoms in structures:
            atoms.pbc = True
            label_structures(np.random.default_rng(number), [atoms])
        parts = random_interactions(rng, 3.0, len(symbols))
        descriptors = PLIPDescriptors(cutoff=3.0, species=symbols, **parts)
        path = scratch_file("whole.npz")
        NormalEquations.from_structures(structures, descriptors).save(path)
        with np.load(path) as archive:
            _ARCHIVES[number] = path.read_bytes(), {name: archive[name] for name in archive.files}
    return _ARCHIVES[number]


@np.errstate(all="ignore")
def _mutate_array(rng, array):
    kind = rng.integers(14)
    if kind == 0:
        return array[..., :-1]
    if kind == 1:
        return array.astype(np.float32)
    if kind == 2:
        return np.array(str(array))
    if kind == 3:
        return array.ravel()
    if kind == 4:
        return -array
    if kind == 5:
        return array.astype(complex)
    if kind == 6:
        return np.asfortranarray(array)
    if kind == 7:
        return array[None]
    if kind == 8:
        return np.zeros(0)
    if kind == 9:
        return array.astype(np.int64)
    if kind == 10:
        return np.zeros((3,) * 5, bool)
    array = np.array(array)
    if array.size:
        at = tuple(int(rng.integers(n)) for n in array.shape)
        array[at] = rng.choice([np.nan, np.inf, -1e3, 1e200, 0.0])
    return array


def equations_file(rng):
    """Bytes of an archive of normal equations, damaged or not."""
    data, arrays = _archive(int(rng.integers(6)))
    if rng.random() < 0.1:
        return data
    if rng.random() < 0.3:
        data = bytearray(mutate_bytes(rng, data))
        if rng.random() < 0.3 and len(data) > 60:  # a length in the zip's own headers
            data[int(rng.integers(60)) :][:4] = struct.pack("<I", int(rng.integers(2**32)))
        return bytes(data)
    arrays = dict(arrays)
    if rng.random() < 0.8:  # without a digest, as in files of version 0.1.0
        header = json.loads(str(arrays["header"]))
        header.pop("digest", None)
        arrays["header"] = np.array(json.dumps(header))
    for _ in range(int(rng.choice([1, 1, 2]))):
        if rng.random() < 0.5 and "header" in arrays:
            try:
                header = mutate_document(rng, json.loads(str(arrays["header"])))
            except (ValueError, RecursionError):  # changed before
                break
            arrays["header"] = np.array(dump_document(header).decode("utf-8", "surrogatepass"))
            continue
        names = sorted(arrays)
        if not names:
            break
        name, kind = choose(rng, names), rng.integers(8)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            other = choose(rng, names)
            arrays[name], arrays[other] = arrays[other], arrays[name]
        elif kind == 2:
            arrays["more"] = arrays[name]
        elif arrays[name].dtype.kind == "f":
            arrays[name] = _mutate_array(rng, arrays[name])
        else:
            arrays[name] = choose(rng, [np.zeros(3), np.array(b"{}"), np.array("[]"), np.array({}, object)])
    file = io.BytesIO()
    try:
        np.savez(file, **arrays)
    except (UnicodeEncodeError, ValueError):
        return b""
    return file.getvalue()


def check_equations(rng):
    from plip import NormalEquations, PLIPRegressor

    path = scratch_file("equations.npz")
    path.write_bytes(equations_file(rng))
    try:
        equations = NormalEquations.load(path)
    except (ValueError, OSError) as error:
        refusal(error, path)
    again = scratch_file("again.npz")
    equations.save(again)
    other = NormalEquations.load(again)
    assert other.terms == equations.terms and other.n_rows == equations.n_rows
    weights = {f"{name}_weight": float(equations.weight_sums[target] > 0) for name, target in TARGETS.items()}
    try:
        (equations + other).problem(**weights)
        model = PLIPRegressor(max_terms=3, **weights).fit_normal_equations(equations)
    except ValueError as error:  # of changed weights, or functions whose size no data say
        assert re.search("is not finite|overflow|positive and finite", str(error)), error
        refusal(error)
    assert np.isfinite(model.coef_).all()
