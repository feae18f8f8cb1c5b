"""Extension modules and Cython compiler directives; all else is in pyproject.toml.

On Windows ``CC=clang-cl`` takes Clang in place of MSVC, which knows no vectors: its kernels take one number
at a time. Two switches of the environment serve checked builds:

PLIP_BOUNDS_CHECK=1
    Every memoryview access is checked.
PLIP_SANITIZE=address,undefined
    Compile and link with these sanitizers of GCC or Clang.

Either one translates and compiles everything anew, in ``build/checked``. After ``build_ext --inplace`` with
one of them, the first build in place without it must be forced
(``python setup.py build_ext --inplace --force``).
"""

import copy
import os
import shutil
import sys
from functools import partial
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BOUNDS_CHECK = os.environ.get("PLIP_BOUNDS_CHECK", "0") not in ("", "0")
SANITIZE = os.environ.get("PLIP_SANITIZE", "")
CHECKED = BOUNDS_CHECK or bool(SANITIZE)
# A later build without the checks must not find their object files.
BUILD = "build/checked" if CHECKED else "build"

CLANG_CL = os.path.splitext(os.path.basename(os.environ.get("CC", "")))[0] == "clang-cl"

# Contraction to fused multiply-add is wanted; -ffast-math is not, since it would reorder sums and
# drop the checks for NaN. A square root that may set errno is not vectorized. Vectors are passed between
# inlined functions alone, so that how the compiler would pass them (psabi) does not matter.
OPTIMIZE = {
    "unix": ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
    "msvc": ["/O2", "/fp:contract"],
    "clang-cl": ["/clang:-O3", "/clang:-ffp-contract=fast", "-Wno-psabi"],
}
# Wrappers without a loop over pairs are long, and as fast with little optimization.
WRAPPERS = ("_evaluate.c", "_memoryviews.c", "_radial.c", "_rows.c", "_terms.c")
# Python asks for debugging symbols, which cost a quarter of the compiler's time. CFLAGS=-g keeps them.
if "-g" not in os.environ.get("CFLAGS", "").split():
    OPTIMIZE["unix"].append("-g0")

COMPILER_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": BOUNDS_CHECK,
    "initializedcheck": BOUNDS_CHECK,
    "wraparound": False,
    "cdivision": True,
}


def core(name, *sources):
    """A wrapper of plain C, which holds its own variants for instruction sets."""
    sources = [f"plip/_core/{source}" for source in (f"{name}.pyx", *sources)]
    return Extension(
        f"plip._core.{name}", sources, depends=glob("plip/_core/*.h"), include_dirs=["plip/_core"]
    )


# Design rows serve fits alone. The other files evaluate potentials, here and in the plugin of LAMMPS; some
# serve fits too. The neighbor list is a module of its own; LAMMPS has its own lists.
ROWS = sorted(glob("plip_rows*.c", root_dir="plip/_core"))
NEIGHBORS = "plip_list.c"
EVALUATION = sorted({*glob("plip_*.c", root_dir="plip/_core")}.difference({*ROWS, NEIGHBORS}))
SHARED = ("plip_angular.c", "plip_check.c", "plip_radial.c", "plip_simd.c")
# What Cython needs for memoryviews, compiled once for all modules.
MEMORYVIEWS = "plip._core._memoryviews"
# The slow ones to compile come first, for a build on several processors.
EXTENSIONS = [
    core("_rows", *ROWS, *SHARED),
    core("_evaluate", *EVALUATION),
    core("_neighbors", NEIGHBORS),
    Extension(MEMORYVIEWS, []),
    core("_blas"),
    core("_close_pairs"),
    core("_evaluate_each"),
    core("_rows_each"),
    core("_radial", "plip_check.c", "plip_radial.c", "plip_repulsion.c"),
    core("_swaps"),
    core("_terms", "plip_check.c"),
]


def compile_files(compile, sources, extra_postargs=None, **options):
    """`compile` for each source, with less optimization of wrappers."""
    objects = []
    for source in sources:
        less = ["-O1"] if os.path.basename(source) in WRAPPERS else []
        objects += compile([source], extra_postargs=[*(extra_postargs or []), *less], **options)
    return objects


class BuildExt(build_ext):
    """Add the compiler's own flags, known only once the compiler is."""

    def finalize_options(self):
        super().finalize_options()
        self.force = self.force or CHECKED

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc" and CLANG_CL:
            self.compiler.initialize()
            self.compiler.cc = shutil.which("clang-cl") or "clang-cl"
        super().build_extensions()

    def build_extension(self, ext):
        compiler = "unix" if self.compiler.compiler_type != "msvc" else "clang-cl" if CLANG_CL else "msvc"
        ext.extra_compile_args += OPTIMIZE[compiler]
        if compiler == "unix":
            ext.libraries.append("m")
        if SANITIZE:
            # Little optimization and line numbers alone: with more, GCC takes thrice the time.
            ext.extra_compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-O1", "-g1"]
            ext.extra_link_args += [f"-fsanitize={SANITIZE}"]
        # Extensions share sources, whose object files must not be in each other's way.
        command = copy.copy(self)
        command.build_temp = os.path.join(self.build_temp, ext.name)
        if compiler == "unix":
            command.compiler = copy.copy(self.compiler)
            command.compiler.compile = partial(compile_files, self.compiler.compile)
        super(BuildExt, command).build_extension(ext)


setup(
    cmdclass={"build_ext": BuildExt},
    options={"build": {"build_base": BUILD}, "build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir=f"{BUILD}/cython",
        compiler_directives=COMPILER_DIRECTIVES,
        shared_utility_qualified_name=MEMORYVIEWS,
        # Changed directives alone do not make Cython translate anew.
        force=CHECKED or "--force" in sys.argv or None,
    ),
)
