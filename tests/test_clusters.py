"""Sums and predictions on the workers of a cluster: the same bits as here, whatever happens to a worker."""

import gc
import os
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from importlib import util
from multiprocessing import get_context
from shutil import which

import joblib
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from lost_worker import EndsOneWorker
from sample_fits import small_descriptors

from plip import NormalEquations, PLIPDescriptors, PLIPRegressor, load_potential
from plip._workers import in_order
from plip.cli import main
from plip.descriptors import load_descriptors
from plip.labels import LabelWarning
from plip.metrics import read_groups
from plip.normal_equations._chunks import Cutter
from plip.parallel import use_executor

needs_dask = pytest.mark.skipif(util.find_spec("distributed") is None, reason="dask.distributed is missing")


@pytest.fixture
def small_chunks(monkeypatch):
    """A few structures already have many chunks, and groups of chunks."""
    monkeypatch.setattr("plip.normal_equations._chunks.CHUNK_ATOMS", 16)
    monkeypatch.setattr("plip.normal_equations._chunks._SINGLE_CHUNKS", 3)
    monkeypatch.setattr("plip.normal_equations._chunks.GROUP", 4)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Structures as extended XYZ holds them, and the folder with the two files that they come from."""
    from plip.datasets import load_silicon_carbide

    folder = tmp_path_factory.mktemp("files")
    structures = load_silicon_carbide()[0][::4]
    write(folder / "a.xyz", structures[:25])
    write(folder / "b.xyz", structures[25:])
    return read(folder / "a.xyz", ":") + read(folder / "b.xyz", ":"), folder


@pytest.fixture(scope="module")
def descriptors(train):
    return small_descriptors().fit(train[0])


def arrays_of(equations):
    """Everything in normal equations that is an array, as bytes."""
    found = {f"{target} products": sums.products for target, sums in equations._sums.items()}
    found |= {f"{target} factor": sums.factor for target, sums in equations._sums.items()}
    found |= equations._counts.arrays() | equations.sample.arrays()
    found |= {"reference": equations._reference, "extent": equations._extent.to_array()}
    return {name: None if array is None else array.tobytes() for name, array in found.items()}


def assert_same_bits(a, b):
    assert arrays_of(a) == arrays_of(b)
    assert a.weight_sums == b.weight_sums and a.n_rows == b.n_rows
    assert a.isolated_energies == b.isolated_energies
    assert a.data_hash == b.data_hash and a.n_structures == b.n_structures


# Where the structures come from


def test_list_and_stream_have_the_same_bits(train, descriptors, small_chunks, monkeypatch):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 7)
    whole = NormalEquations.from_structures(train[0], descriptors)
    for n_jobs in (1, 2):
        assert_same_bits(whole, NormalEquations.from_structures(iter(train[0]), descriptors, n_jobs=n_jobs))


@pytest.mark.parametrize(
    "names", [("a.xyz", "b.xyz"), ("a.xyz@:9", "a.xyz@9:", "b.xyz"), ("a.xyz", "b.traj")]
)
def test_files_and_list_have_the_same_bits(train, descriptors, small_chunks, monkeypatch, names):
    """Files whose parts are read by workers, and one that is read here."""
    structures, folder = train
    write(folder / "b.traj", structures[25:])
    whole = NormalEquations.from_structures(structures, descriptors)
    paths = [f"{folder}/{name}" for name in names]
    for head in (5, 30, 512):
        monkeypatch.setattr("plip.normal_equations._batches._BATCH", head)
        found = NormalEquations.from_files(paths, descriptors, n_jobs=2)
        if head == 512:
            assert_same_bits(whole, found)
        else:
            assert_same_bits(NormalEquations.from_structures(structures, descriptors), found)


def test_descriptors_are_fitted_to_the_first_structures_of_files(train):
    structures, folder = train
    paths = [folder / "a.xyz", folder / "b.xyz"]
    found = NormalEquations.from_files(paths, PLIPDescriptors.preset("fast"))
    assert_same_bits(found, NormalEquations.from_structures(iter(structures), "fast"))


def rename(atoms):
    atoms.calc.results["energy"] = atoms.info["dft"]


def test_labels_with_other_names_in_files(train, descriptors, tmp_path):
    structures, _ = train
    for atoms in structures:
        atoms.info["dft"] = atoms.calc.results["energy"] - 5.0 * len(atoms)
    write(tmp_path / "named.xyz", structures)
    found = NormalEquations.from_files([tmp_path / "named.xyz"], descriptors, prepare=rename)
    y = [atoms.info["dft"] for atoms in structures]
    assert_same_bits(found, NormalEquations.from_structures(structures, descriptors, y))


@pytest.mark.parametrize("head", [5, 512])
def test_errors_name_file_and_structure(train, descriptors, tmp_path, monkeypatch, head):
    structures, folder = train
    broken = read(folder / "b.xyz", ":")
    broken[7].positions[1] = broken[7].positions[0]
    write(tmp_path / "broken.xyz", broken)
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", head)
    with pytest.raises(ValueError, match=r"broken\.xyz, structure 7 \(.*: atoms 0 and 1 are closer"):
        NormalEquations.from_files([folder / "a.xyz", tmp_path / "broken.xyz"], descriptors)
    with pytest.raises(ValueError, match=r"broken\.xyz, structure 7 \("):
        NormalEquations.from_files([tmp_path / "broken.xyz@5:"], descriptors)


def test_damage_is_that_of_its_own_file(train, descriptors, tmp_path):
    """Indices in the file that is damaged are no places in the data."""
    _, folder = train
    lines = (folder / "b.xyz").read_text(encoding="utf-8").splitlines()
    (tmp_path / "damaged.xyz").write_text("\n".join([*lines, "oops"]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^\S*damaged\.xyz: structure 17 should begin in line") as error:
        NormalEquations.from_files([folder / "a.xyz", tmp_path / "damaged.xyz"], descriptors)
    assert "a.xyz" not in str(error.value)
    inside = tmp_path / "structure 3"
    inside.mkdir()
    (inside / "b.xyz").write_text("\n".join(lines).replace("Si ", "Xx ", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"/structure 3/b\.xyz, structure 0: ASE cannot read it"):
        NormalEquations.from_files([folder / "a.xyz", inside / "b.xyz"], descriptors)


@pytest.mark.parametrize("head", [5, 512])
@pytest.mark.parametrize("name", ["b.xyz", "b.traj"])
def test_warnings_name_file_and_structure(train, descriptors, tmp_path, monkeypatch, head, name):
    structures, folder = train
    unlabeled = [*structures[25:31], structures[31].copy(), *structures[32:]]
    write(tmp_path / name, unlabeled)
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", head)
    with pytest.warns(UserWarning, match=rf"/{name}, structure 6 \(.*\): no label to fit"):
        NormalEquations.from_files([folder / "a.xyz", tmp_path / name], descriptors, n_jobs=2)
    with pytest.warns(UserWarning, match=rf"/{name}, structure 6 \(.*\): no label to fit"):
        NormalEquations.from_files([f"{tmp_path / name}@4:"], descriptors)


def test_warnings_come_back_from_processes(train, descriptors, small_chunks, monkeypatch, tmp_path):
    structures, _ = train
    write(tmp_path / "b.xyz", [*structures[:31], structures[31].copy(), *structures[32:]])
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    for can_send_on in (False, True):
        monkeypatch.setattr("plip.normal_equations._accumulation.can_send_on", lambda yes=can_send_on: yes)
        with (
            joblib.parallel_config(backend="loky", n_jobs=2),
            pytest.warns(LabelWarning, match=r"/b\.xyz, structure 31 \(.*\): no label to fit") as found,
        ):
            NormalEquations.from_files([tmp_path / "b.xyz"], descriptors)
        (warning,) = [one for one in found if one.category is LabelWarning]
        assert warning.message.structures == (31,) and warning.filename == __file__


def test_warnings_that_are_errors_end_the_work(train, descriptors, small_chunks, monkeypatch, tmp_path):
    structures, _ = train
    write(tmp_path / "b.xyz", [*structures[:15], structures[15].copy(), *structures[16:]])
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    for backend in ("threading", "loky"):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            with warnings.catch_warnings(), pytest.raises(LabelWarning, match="no label to fit"):
                warnings.simplefilter("error", UserWarning)
                NormalEquations.from_files([tmp_path / "b.xyz"], descriptors)
            # Nothing is left of the jobs that joblib would warn of.
            gc.collect()
            assert_same_bits(
                NormalEquations.from_structures(structures, descriptors),
                NormalEquations.from_structures(structures, descriptors, n_jobs=1),
            )


def test_labels_of_zero_in_parts_of_the_data(train, descriptors, small_chunks, monkeypatch, tmp_path):
    """One chunk has one of them, and does not know of the others."""
    structures = [atoms.copy() for atoms in train[0]]
    for k, (atoms, known) in enumerate(zip(structures, train[0], strict=True)):
        atoms.calc = SinglePointCalculator(atoms, **known.calc.results)
        if k in (8, 30):
            atoms.calc.results["stress"] = np.zeros(6)
        if k in (9, 31):
            atoms.calc.results["forces"] = np.zeros((len(atoms), 3))
        if k in (10, 32):
            atoms.calc.results["energy"] = 0.0
    write(tmp_path / "zero.xyz", structures)
    structures = read(tmp_path / "zero.xyz", ":")
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    with pytest.warns(LabelWarning, match="left out"):
        whole = NormalEquations.from_structures(structures, descriptors)
    assert whole.n_rows["energy"] == len(structures) - 2
    with pytest.warns(LabelWarning, match="left out"):
        assert_same_bits(NormalEquations.from_files([tmp_path / "zero.xyz"], descriptors), whole)
    with pytest.warns(LabelWarning, match="left out"):
        assert_same_bits(NormalEquations.from_structures(iter(structures), descriptors), whole)


def test_a_name_that_is_wrong_does_not_wait(train, descriptors, monkeypatch):
    def read_head(*_):
        raise AssertionError("the work has begun")

    monkeypatch.setattr("plip.normal_equations._equations.read_head", read_head)
    with pytest.raises(ValueError, match="none.xyz: no such file"):
        NormalEquations.from_files([train[1] / "a.xyz", train[1] / "none.xyz"], descriptors)


def test_warnings_of_files_count_in_their_own_file(train, descriptors, tmp_path):
    _, folder = train
    text = (folder / "b.xyz").read_text(encoding="utf-8")
    (tmp_path / "blank.xyz").write_text(f"{text}\n{text}", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"/blank\.xyz: line \d+ is blank where structure 17 should begin"):
        NormalEquations.from_files([folder / "a.xyz", tmp_path / "blank.xyz"], descriptors)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_of_functions_name_file_and_structure(train, descriptors, monkeypatch, n_jobs):
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    structures, folder = train
    paths = [folder / "a.xyz", folder / "b.xyz"]

    def fails_late(atoms):
        if np.array_equal(atoms.positions, structures[27].positions):
            raise KeyError("REF_energy")

    message = r"b\.xyz, structure 2 \(.*\): prepare failed: KeyError: 'REF_energy'"
    with pytest.raises(ValueError, match=message):
        NormalEquations.from_files(paths, descriptors, n_jobs=n_jobs, prepare=fails_late)
    message = r"a\.xyz, structure 0 \(.*\): sample_weight must return a number or three"
    for weigh in (lambda atoms: [1.0, 2.0], lambda atoms: "x", lambda atoms: None):
        with pytest.raises(ValueError, match=message):
            NormalEquations.from_files(paths, descriptors, n_jobs=n_jobs, sample_weight=weigh)


def test_bad_paths(train, descriptors, tmp_path):
    _, folder = train
    with pytest.raises(TypeError, match="must be a list of file names"):
        NormalEquations.from_files(str(folder / "a.xyz"), descriptors)
    with pytest.raises(ValueError, match=r"none\.xyz: no such file"):
        NormalEquations.from_files([tmp_path / "none.xyz"], descriptors)
    with pytest.raises(ValueError, match="at least one is needed"):
        NormalEquations.from_files([], descriptors)


def test_files_without_labels(train, descriptors, tmp_path):
    bare = [atoms.copy() for atoms in train[0]]
    write(tmp_path / "bare.xyz", bare)
    with (
        pytest.warns(UserWarning, match="no label to fit"),
        pytest.raises(ValueError, match="no energies, forces or stresses to fit"),
    ):
        NormalEquations.from_files([tmp_path / "bare.xyz"], descriptors)


def test_rows_of_large_data_are_products_alone(train, descriptors, small_chunks, monkeypatch):
    """Workers then send products, which nobody has to decompose."""
    structures, _ = train
    kept = NormalEquations.from_structures(structures, descriptors)
    monkeypatch.setattr("plip.normal_equations._accumulation.NARROW", 10)
    found = NormalEquations.from_structures(structures, descriptors)
    for target, sums in found._sums.items():
        # There are no more energies than that, but 252 components of virials in 45 columns.
        assert (sums.factor is None) == (target != "energy")
        scale = np.sqrt(np.diagonal(sums.products))
        error = np.abs(sums.products - kept._sums[target].products)
        assert (error <= 1e-13 * np.outer(scale, scale)).all()
    assert_same_bits(found, NormalEquations.from_structures(iter(structures), descriptors, n_jobs=2))


# Workers


def test_executors_have_the_same_bits(train, small_chunks):
    structures, folder = train
    here = PLIPRegressor(small_descriptors(), max_terms=10).fit(structures)
    predicted = here.predict(structures)
    for make in (ProcessPoolExecutor, ThreadPoolExecutor):
        with make(2) as executor, use_executor(executor, 2):
            there = PLIPRegressor(small_descriptors(), max_terms=10).fit(structures)
            assert np.array_equal(there.predict(structures), predicted)
            paths = [folder / "a.xyz", folder / "b.xyz"]
            files = NormalEquations.from_files(paths, here.descriptors_)
        assert_same_bits(here.normal_equations_, there.normal_equations_)
        assert_same_bits(here.normal_equations_, files)
        assert np.array_equal(here.coef_, there.coef_)


def test_shares_of_large_structures_in_groups_of_chunks(train, descriptors, small_chunks, monkeypatch):
    # Sums of products alone, since rows that are kept are the same in any order of addition.
    monkeypatch.setattr("plip.normal_equations._accumulation.NARROW", 10)
    rng = np.random.default_rng(0)
    structures = []
    for atoms in train[0][:12]:
        large = atoms * (2, 2, 2)
        large.calc = SinglePointCalculator(large, energy=-1.0, forces=rng.normal(size=(len(large), 3)))
        structures += [large, atoms]
    here = NormalEquations.from_structures(structures, descriptors, n_jobs=1)
    for backend in ("threading", "loky"):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            assert_same_bits(here, NormalEquations.from_structures(structures, descriptors))
            assert_same_bits(here, NormalEquations.from_structures(iter(structures), descriptors))
    monkeypatch.setattr("plip.normal_equations._accumulation.can_send_on", lambda: True)
    assert_same_bits(here, NormalEquations.from_structures(structures, descriptors))


def test_errors_come_back_from_executors(train, descriptors, small_chunks, monkeypatch, tmp_path):
    broken = [atoms.copy() for atoms in train[0]]
    broken[30].positions[1] = broken[30].positions[0]
    write(tmp_path / "broken.xyz", broken)
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    with (
        ProcessPoolExecutor(2, get_context("spawn")) as executor,
        use_executor(executor, 2),
        pytest.warns(UserWarning, match="no label to fit"),
        pytest.raises(ValueError, match=r"broken\.xyz, structure 30 \("),
    ):
        NormalEquations.from_files([tmp_path / "broken.xyz"], descriptors)


def test_a_single_worker_works(train, descriptors):
    class Counting(ThreadPoolExecutor):
        n_jobs = 0

        def submit(self, *job, **options):
            self.n_jobs += 1
            return super().submit(*job, **options)

    with Counting(1) as executor, use_executor(executor, 1):
        found = NormalEquations.from_structures(train[0], descriptors)
    assert executor.n_jobs > 0
    assert_same_bits(found, NormalEquations.from_structures(train[0], descriptors))


def test_an_executor_that_is_shut_down_is_an_error(train, descriptors, small_chunks):
    class Ending(ThreadPoolExecutor):
        n_jobs = 0

        def submit(self, *job, **options):
            self.n_jobs += 1
            if self.n_jobs == 12:
                self.shutdown(wait=False)
            return super().submit(*job, **options)

    with (
        Ending(2) as executor,
        use_executor(executor, 2),
        pytest.raises(RuntimeError, match="after shutdown"),
    ):
        NormalEquations.from_structures(train[0], descriptors)


def test_what_is_no_executor():
    with pytest.raises(TypeError, match="must be a concurrent.futures.Executor, got int"), use_executor(2, 2):
        pass
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(ValueError, match="number of workers"),
        use_executor(executor, 0),
    ):
        pass


def test_a_process_makes_kernels_and_potentials_ready_once(train):
    structures, _ = train
    model = PLIPRegressor(small_descriptors(), max_terms=10).fit(structures)
    design = model.descriptors_._design()
    assert pickle.loads(pickle.dumps(design)) is pickle.loads(pickle.dumps(design))
    part = design.part(bulk("Si"))
    copy = pickle.loads(pickle.dumps(part))
    assert part.kernel.n_terms < design.kernel.n_terms
    assert copy.terms == part.terms and copy.cutoff == part.cutoff
    from plip.potential._prediction import _Evaluator

    evaluator = pickle.dumps(_Evaluator(model.potential_, True, True, False))
    assert pickle.loads(evaluator) is pickle.loads(evaluator)


@needs_dask
def test_a_lost_worker_costs_no_bit(train, descriptors, small_chunks, monkeypatch, tmp_path):
    """A process of a local Dask cluster is killed in the middle of the work, which workers share out."""
    from distributed import Client, LocalCluster

    # The structures after these are read by workers.
    monkeypatch.setattr("plip.normal_equations._batches._BATCH", 5)
    structures = [atoms.copy() for atoms in train[0] * 4]
    for atoms, original in zip(structures, train[0] * 4, strict=True):
        atoms.calc = original.calc
    structures[100].info["end"] = True
    write(tmp_path / "train.xyz", structures)
    here = NormalEquations.from_files([tmp_path / "train.xyz"], descriptors)
    n_parts = []

    def counted(*arguments):
        for parts in in_order(*arguments):
            n_parts.append(len(parts))
            yield parts

    monkeypatch.setattr("plip.normal_equations._accumulation.in_order", counted)
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": 0}
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        before = set(client.run(os.getpid).values())
        with joblib.parallel_config(backend="dask"):
            there = NormalEquations.from_files(
                [tmp_path / "train.xyz"], descriptors, prepare=EndsOneWorker(tmp_path)
            )
        assert (tmp_path / "ended").exists()
        assert set(client.run(os.getpid).values()) != before
    assert_same_bits(here, there)
    # Of most groups of four chunks one sum came back.
    cutter = Cutter()
    n_chunks = len([*cutter.add(map(len, structures)), *cutter.finish()])
    assert sum(n_parts) < 0.4 * n_chunks


@pytest.mark.skipif(util.find_spec("ray") is None, reason="Ray is missing")
@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_ray_has_the_same_bits(train, small_chunks):
    import ray
    from ray.util.joblib import register_ray

    here = PLIPRegressor(small_descriptors(), max_terms=10).fit(train[0])
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=10**8)
    try:
        with joblib.parallel_config(backend="ray", n_jobs=2):
            there = PLIPRegressor(small_descriptors(), max_terms=10).fit(train[0])
            assert np.array_equal(there.predict(train[0]), here.predict(train[0]))
    finally:
        ray.shutdown()
    assert_same_bits(here.normal_equations_, there.normal_equations_)


SCRIPT = """
from ase.io import read
from mpi4py.futures import MPIPoolExecutor
from plip import NormalEquations
from plip.descriptors import load_descriptors
from plip.parallel import use_executor

if __name__ == "__main__":
    with MPIPoolExecutor() as executor, use_executor(executor, executor.num_workers):
        structures = [atoms for name in ("a.xyz", "b.xyz") for atoms in read(name, ":", parallel=False)]
        NormalEquations.from_structures(structures * 20, load_descriptors("d.json")).save("there.npz")
"""


# Beside this Python may be the MPI that mpi4py has, which another one could not start.
MPIEXEC = which("mpiexec", path=os.path.dirname(sys.executable)) or which("mpiexec")


@pytest.mark.skipif(util.find_spec("mpi4py") is None or MPIEXEC is None, reason="MPI is missing")
def test_mpi_has_the_same_bits(parts, tmp_path):
    (tmp_path / "fit.py").write_text(SCRIPT)
    # Open MPI refuses to start as root and on few cores unless it is told.
    told = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMP_NUM_THREADS": "1",
    }
    command = [MPIEXEC, "-n", "3", sys.executable, "-m", "mpi4py.futures", "fit.py"]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, **told})
    here = NormalEquations.from_structures(parts * 20, load_descriptors("d.json"))
    assert_same_bits(here, NormalEquations.load("there.npz"))


# Job arrays


@pytest.fixture
def parts(train, tmp_path, monkeypatch):
    """Two parts of the data in the working folder, and the terms on offer."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.xyz").write_bytes((train[1] / f"{name}.xyz").read_bytes())
    assert main(["descriptors", "a.xyz", "b.xyz", "--preset", "fast", "-o", "d.json"]) == 0
    return train[0]


def accumulate(name, *options):
    return main(["accumulate", f"{name}.xyz", "--descriptors", "d.json", "-o", f"{name}.npz", *options])


def test_accumulated_parts_give_the_fit_to_all(parts):
    """To rounding: the sums of each part have their own reference energies and are added in another order."""
    assert accumulate("a") == 0 and accumulate("b", "-j", "2") == 0
    assert main(["fit", "--normal-equations", "a.npz", "b.npz", "--terms", "10", "--test", "b.xyz"]) == 0
    found = load_potential("model.json")
    fitted = PLIPRegressor("fast", max_terms=10).fit(parts).potential_
    assert [term for term, _ in found.terms] == [term for term, _ in fitted.terms]
    expected = [weight for _, weight in fitted.terms]
    np.testing.assert_allclose([weight for _, weight in found.terms], expected, rtol=1e-9)
    assert found.repulsion.keys() == fitted.repulsion.keys()
    whole = NormalEquations.from_files(["a.xyz"], load_descriptors("d.json"))
    assert_same_bits(NormalEquations.load("a.npz"), whole)


def test_test_data_are_checked_before_the_fit(parts, capsys, monkeypatch):
    assert accumulate("a") == 0
    copper = bulk("Cu")
    copper.calc = SinglePointCalculator(copper, energy=-3.5)
    write("copper.xyz", copper)
    monkeypatch.delattr(PLIPRegressor, "fit_normal_equations")
    assert main(["fit", "--normal-equations", "a.npz", "--terms", "5", "--test", "copper.xyz"]) == 2
    assert "copper.xyz, structure 0 (Cu): element Cu" in capsys.readouterr().err


def test_a_file_counts_once(parts, capsys):
    options = ["--descriptors", "d.json", "-o", "twice.npz"]
    assert main(["accumulate", "a.xyz", "b.xyz", "./a.xyz", *options]) == 2
    assert "./a.xyz is given twice" in capsys.readouterr().err
    assert main(["accumulate", "a.xyz@:5", "a.xyz@5:", *options]) == 0


def test_one_part_gives_the_same_bits(parts):
    write("all.xyz", parts)
    assert accumulate("all") == 0
    assert main(["fit", "--normal-equations", "all.npz", "--terms", "10"]) == 0
    fitted = PLIPRegressor("fast", max_terms=10).fit(read("all.xyz", ":")).potential_
    assert load_potential("model.json").terms == fitted.terms


def test_descriptors_name_the_structure_in_its_file(parts, capsys):
    empty = [*parts[:3], Atoms()]
    write("empty.xyz", empty)
    assert main(["descriptors", "a.xyz", "empty.xyz", "-o", "other.json"]) == 2
    assert "empty.xyz, structure 3: it has no atoms" in capsys.readouterr().err


def test_keys_of_accumulate(parts, capsys):
    for atoms in parts:
        atoms.info["dft"] = atoms.calc.results["energy"] - 5.0 * len(atoms)
    write("a.xyz", parts)
    assert accumulate("a", "--energy-key", "dft") == 0
    y = [atoms.info["dft"] for atoms in parts]
    expected = NormalEquations.from_structures(parts, load_descriptors("d.json"), y)
    assert_same_bits(NormalEquations.load("a.npz"), expected)
    assert accumulate("a", "--forces-key", "dft_forces") == 2
    assert "--forces-key: no structure has a label 'dft_forces'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        (["a.xyz"], "leave training files out"),
        (["--cv", "5"], "leave --cv out"),
        (["--preset", "fast"], "to `plip descriptors` instead"),
        (["--target", "fast"], "to `plip descriptors` instead"),
        (["--terms", "5", "--max-terms", "5"], "leave --max-terms out"),
    ],
)
def test_options_that_need_structures(parts, capsys, options, message):
    assert accumulate("a") == 0
    assert main(["fit", *options, "--normal-equations", "a.npz"]) == 2
    assert message in capsys.readouterr().err
    assert not os.path.exists("model.json")


def test_parts_with_other_terms(parts, capsys):
    assert accumulate("a") == 0
    assert main(["descriptors", "b.xyz", "--preset", "fast", "--cutoff", "3.5", "-o", "d.json"]) == 0
    assert accumulate("b") == 0
    assert main(["fit", "--normal-equations", "a.npz", "a.npz"]) == 2
    assert "a.npz holds the same data as a.npz: leave one of them out" in capsys.readouterr().err
    assert main(["fit", "--normal-equations", "a.npz", "b.npz"]) == 2
    assert "b.npz has other terms than a.npz" in capsys.readouterr().err


def test_fit_without_data(capsys):
    assert main(["fit"]) == 2
    assert "give training structures" in capsys.readouterr().err


def test_descriptors_of_a_file(parts):
    fitted = PLIPDescriptors.preset("fast").fit(parts)
    found = load_descriptors("d.json")
    assert (found.terms_, found.species_, found.cutoff_) == (fitted.terms_, fitted.species_, fitted.cutoff_)
    assert str(found.get_params()) == str(fitted.get_params())
    with open("d.json", encoding="utf-8") as file:
        text = file.read()
    damages = {
        "no descriptors": "{}",
        "newer": text.replace('"version": 1', '"version": 2'),
        "cut": text[:-100],
        "species": text.replace('"species": [\n  "C"', '"species": [\n  "X"'),
        "cutoff": text.replace(f'"cutoff": {found.cutoff_}', '"cutoff": 1.0', 1),
    }
    for name, damaged in damages.items():
        assert damaged != text, name
        with open("bad.json", "w", encoding="utf-8") as file:
            file.write(damaged)
        with pytest.raises(ValueError, match=r"bad\.json does not hold descriptors of plip"):
            load_descriptors("bad.json")


def test_parts_are_weighted_by_group(parts, tmp_path):
    structures = parts[:25]
    groups = read_groups(structures)
    weight = [[2.0, 0.0, 1.0] if group == groups[0] else [1.0, 1.0, 1.0] for group in groups]
    assert 0 < np.array(weight)[:, 1].sum() < len(structures)
    (tmp_path / "weights.txt").write_text(f"{groups[0]}: energy 2, force 0\nabsent: 7\n")
    assert accumulate("a", "--weights", "weights.txt") == 0
    expected = NormalEquations.from_structures(
        structures, load_descriptors("d.json"), sample_weight=np.array(weight)
    )
    assert_same_bits(expected, NormalEquations.load("a.npz"))
