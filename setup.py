"""Extension modules and Cython compiler directives; all else is in pyproject.toml.

Two switches of the environment serve checked builds:

PLIP_BOUNDS_CHECK=1
    Every memoryview access is checked.
PLIP_SANITIZE=address,undefined
    Compile and link with these sanitizers of GCC or Clang.

Either one translates and compiles everything anew; so must the first build without it
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
EXTENSIONS = [Extension("plip._kernels._cpu", ["plip/_kernels/_cpu.pyx"]), kernel("_baseline")]
if IS_X86_64:
    EXTENSIONS += [kernel("_avx2"), kernel("_avx512")]
EXTENSIONS.append(Extension("plip._blas", ["plip/_blas.pyx"]))
# The evaluation core is plain C and holds its own variants for instruction sets.
EXTENSIONS.append(
    Extension(
        "plip._core._evaluate",
        [
            f"plip/_core/{name}"
            for name in ("_evaluate.pyx", "plip_core.c", "plip_check.c", "plip_list.c", "plip_radial.c")
        ],
        depends=[f"plip/_core/{name}" for name in ("plip_core.h", "plip_kernel.h", "plip_plan.h")],
        include_dirs=["plip/_core"],
    )
)


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
            ext.extra_compile_args += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g"]
            ext.extra_link_args += [f"-fsanitize={SANITIZE}"]
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(
        EXTENSIONS,
        build_dir="build/cython",
        compiler_directives=COMPILER_DIRECTIVES,
        # Changed directives alone do not make Cython translate anew.
        force=CHECKED or "--force" in sys.argv or None,
    ),
)
