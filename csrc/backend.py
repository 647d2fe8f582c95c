"""PEP 517 build backend: setuptools, plus four things pyproject.toml can't say.

1. `cffi_modules`, which compiles csrc/ (python-cffi/cffi#55).
2. The wheel carries the C sources as nn/csrc/, for students to read and for `python nn/csrc/build.py`
   to rebuild. An editable install has them in the checkout already.
3. The source archive has no tests. setuptools would add those that lie directly in tests/, without what they
   import.
4. Neither source archive nor wheel has the assignments of the classroom, with their solutions.
"""

import shutil
from pathlib import Path

import setuptools
from setuptools.build_meta import *  # noqa: F403
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist


class build_py_with_sources(build_py):
    def run(self):
        super().run()
        if not self.editable_mode:
            for target, source in self.c_sources().items():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *([] if self.editable_mode else self.c_sources())]

    def c_sources(self):
        files = (f for f in Path("csrc").rglob("*") if f.suffix in (".c", ".h", ".def", ".py", ".cu", ".cpp"))
        return {str(Path(self.build_lib, "nn", f)): str(f) for f in sorted(files)}


class sdist_without_tests_and_solutions(sdist):
    def make_distribution(self):
        self.filelist.prune("tests")
        self.filelist.prune("compress/classroom/assignments")
        super().make_distribution()


_setup = setuptools.setup
setuptools.setup = lambda **kw: _setup(
    cffi_modules=["csrc/build.py:ffi"],
    cmdclass={"build_py": build_py_with_sources, "sdist": sdist_without_tests_and_solutions}, **kw)
