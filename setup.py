"""Extension modules and Cython compiler directives; all else is in pyproject.toml.

Two switches of the environment serve checked builds:

PLIP_BOUNDS_CHECK=1
    Every memoryview access is checked.
PLIP_SANITIZE=address,undefined
    Compile and link with these sanitizers of GCC or Clang.

Either one translates and compiles everything anew, in ``build/checked``. After ``build_ext --inplace`` with
one of them, the first build in place without it must be forced
(``python setup.py build_ext --inplace --force``).
"""

import os
import sys
import sysconfig

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BOUNDS_CHECK = os.environ.get("PLIP_BOUNDS_CHECK", "0") not in ("", "0")
SANITIZE = os.environ.get("PLIP_SANITIZE", "")
CHECKED = BOUNDS_CHECK or bool(SANITIZE)
# A later build without the checks must not find their object files.
BUILD = "build/checked" if CHECKED else "build"
IS_X86_64 = sysconfig.get_platform().endswith(("x86_64", "amd64"))

# Contraction to fused multiply-add is wanted; -ffast-math is not, since it would reorder sums and
# drop the checks for NaN. A square root that may set errno is not vectorised. Vectors are passed between
# inlined functions alone, so that how the compiler would pass them (psabi) does not matter.
OPTIMISE = {
    "unix": ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-Wno-psabi"],
    "msvc": ["/O2", "/fp:contract"],
}
INSTRUCTIONS = {
    "plip._kernels._avx2": {"unix": ["-mavx2", "-mfma"], "msvc": ["/arch:AVX2"]},
    "plip._kernels._avx512": {
        "unix": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw"],
        "msvc": ["/arch:AVX512"],
    },
}

COMPILER_DIRECTIVES = {
    "language_level": 3,
    "boundscheck": BOUNDS_CHECK,
    "initializedcheck": BOUNDS_CHECK,
    "wraparound": False,
    "cdivision": True,
}


def kernel(instruction_set):
    """The descriptor kernels, compiled for one instruction set."""
    return Extension(
        f"plip._kernels.{instruction_set}",
        [f"plip/_kernels/{instruction_set}.pyx"],
        depends=["plip/_kernels/design_rows.pxi", "plip/_kernels/lanes.h"],
        include_dirs=["plip/_kernels"],
    )


# One source, built once per instruction set; `plip._kernels` picks one at run time.
# The slow ones to compile come first, for a build on several processors.
EXTENSIONS = [
    # The evaluation core is plain C and holds its own variants for instruction sets.
    Extension(
        "plip._core._evaluate",
        [
            f"plip/_core/{name}"
            for name in (
                "_evaluate.pyx",
                "plip_core.c",
                "plip_check.c",
                "plip_list.c",
                "plip_radial.c",
                "plip_repulsion.c",
            )
        ],
        depends=[f"plip/_core/{name}" for name in ("plip_core.h", "plip_kernel.h", "plip_plan.h")],
        include_dirs=["plip/_core"],
    ),
    # One source, built once per instruction set; `plip._kernels` picks one at run time.
    *[kernel(name) for name in (("_avx512", "_avx2") if IS_X86_64 else ()) + ("_baseline",)],
    Extension("plip._core._blas", ["plip/_core/_blas.pyx"]),
    Extension("plip._kernels._cpu", ["plip/_kernels/_cpu.pyx"]),
]


class BuildExt(build_ext):
    """Add the compiler's own flags, known only once the compiler is."""

    def finalize_options(self):
        super().finalize_options()
        self.force = self.force or CHECKED

    def build_extension(self, ext):
        compiler = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        ext.extra_compile_args += OPTIMISE[compiler]
        ext.extra_compile_args += INSTRUCTIONS.get(ext.name, {}).get(compiler, [])
        if compiler == "unix":
            ext.libraries.append("m")
        if SANITIZE:
            # Little optimisation and line numbers alone: with more, GCC takes thrice the time.
            ext.extra_compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-O1", "-g1"]
            ext.extra_link_args += [f"-fsanitize={SANITIZE}"]
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildExt},
    options={"build": {"build_base": BUILD}, "build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir=f"{BUILD}/cython",
        compiler_directives=COMPILER_DIRECTIVES,
        # Changed directives alone do not make Cython translate anew.
        force=CHECKED or "--force" in sys.argv or None,
    ),
)
