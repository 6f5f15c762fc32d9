"""A loader of a reward model whose code is the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from rmplug import InputPath, InputPaths, Known, ModelLoader, RewardModel


class Custom(ModelLoader):
    """Load a reward model that a class in a Python file of yours defines.

    The class is made once per process, with `args`, and asked by its method `score`:

    - a class that derives from `rmplug.RewardModel` has `score(self, responses)`, for record
      batches with `id`, `prompt` and `response` (lists of messages with `role` and `content`);
    - any other has `score(self, prompts, responses)`: a list of such messages for each prompt, and
      the text of each response.

    It returns one number per response, or one row of numbers per response, named by the attribute
    `outputs` of the class (by default `reward` alone). A score may depend on nothing but its row.

    The file runs with your rights, in this process or in the workers, and only if the spec says
    `allow_code: true`; no checkpoint can name a model of this kind. Its content and that of the
    files of its folder that it imports (at the top: `import helpers`) are part of the fingerprint;
    what else it reads is named by `files`, and found by `Path(__file__).parent`.
    """

    kind = "custom"
    model_config = ConfigDict(serialize_by_alias=True)

    file: InputPath = Field(examples=["./my_model.py"])
    """Python file with the class."""
    class_: str = Field(default="RewardModel", alias="class", pattern=r"^[^\W\d]\w*$")
    """Name of the class in the file."""
    args: Mapping[str, Any] = Field(default_factory=dict)
    """Arguments that the class is made with, by name."""
    files: InputPaths | None = None
    """Further files and folders that determine the scores, such as weights: they are part of the
    fingerprint."""
    allow_code: bool = Field(default=False, examples=[True])
    """Permission to run the file: read it first."""

    @model_validator(mode="after")
    def _code_is_allowed(self) -> Custom:
        if not self.allow_code:
            raise ValueError(
                f"this kind runs the code of {self.file.name}; read it, and set allow_code: true "
                "to run it"
            )
        return self

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check for a Python file; it runs only where `allow_code` is given as well."""
        path = Path(source)
        return {"file": source} if path.suffix == ".py" and path.is_file() else None

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        from ._custom_source import read_source

        source = read_source(self.file)
        return Known() if source is None else Known(outputs=source.outputs_of(self.class_))

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterable[tuple[str, str]]:
        """Report what can be told of the file without running it."""
        from ._custom_source import source_mistakes

        return source_mistakes(self.file, self.class_)

    def identity(self) -> Mapping[str, Any]:
        """Return the digests of the files of the folder that the file imports."""
        from ._custom_source import digests_of_imports

        return {"imports": digests_of_imports(self.file)}

    def load(self) -> RewardModel:
        from ._custom import load_custom

        return load_custom(self)
