"""Adds configs, tools and models to what is built; all else about it stands in setup.cfg."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
#: What OpenMMLab's packages carry in a folder `.mim`, where its tools look for it.
CARRIED = ('configs', 'tools', 'model_zoo', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Puts configs, tools and models into the package; an editable install reads the checkout."""

    def run(self) -> None:
        """Build."""
        package = Path(self.build_lib, 'mmseg_picie')
        if not self.editable_mode:
            shutil.rmtree(package, ignore_errors=True)  # it may hold files of long ago
        super().run()
        if self.editable_mode:
            return
        folder = package / '.mim'
        for source in self._carried():
            target = folder / source
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List the files that are built."""
        found = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return found
        folder = Path(self.build_lib, 'mmseg_picie', '.mim')
        return [*found, *(str(folder / source) for source in self._carried())]

    @staticmethod
    def _carried() -> list[Path]:
        """Files below :data:`CARRIED`, relative to the root."""
        files = []
        for path in (ROOT / name for name in CARRIED):
            if not path.exists():
                raise FileNotFoundError(f'{path} must be in the package, and is not there')
            files += [path, *sorted(path.rglob('*'))]
        return [
            file.relative_to(ROOT)
            for file in files
            if file.is_file() and '__pycache__' not in file.parts
        ]


setup(cmdclass={'build_py': BuildWithConfigs})
