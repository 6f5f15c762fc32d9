"""The import of transformers without what scoring does not use: half of its processor time."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from rmplug.models.deferred_imports import deferred_imports, is_imported

COMPILER = "torch._dynamo"
SHAPES = "torch.fx.experimental.symbolic_shapes"
UNUSED = (
    "scipy",
    SHAPES,
    "accelerate",
    COMPILER,
    "torch.distributed.tensor",
    "torch.distributed.fsdp",
    "torch.distributed._composable",
    "torch.distributed.checkpoint",
    "transformers.distributed.tensor_parallel",
    "transformers.distributed.expert_parallel",
)
"""What modules of transformers import at their head, as of 5.x: ``scipy`` for the losses of object
detection, ``accelerate`` to spread a model over devices, torch's compiler for decorators, and
models that are spread over processes, with modules of its own that handle them; proofs about shapes
that are not known bring sympy. All is there when it is called (by a training, say)."""


@contextmanager
def light_imports() -> Iterator[None]:
    """Within the context, modules of transformers are imported, and models loaded, without what
    only other work needs; what is imported already is used as ever."""
    if is_imported(COMPILER):
        marks: dict[str, Any] = {}
    else:
        marks = {"disable": _disable, **{name: functools.partial(_mark, name) for name in MARKS}}
        if _compiler not in sys.meta_path:
            sys.meta_path.insert(0, _compiler)
    before = {name: getattr(torch.compiler, name) for name in marks}
    vars(torch.compiler).update(marks)
    try:
        given = {COMPILER: marks, SHAPES: {"expect_true": _expect_true}}
        with deferred_imports(UNUSED, given), _PlainShapes():
            yield
    finally:
        vars(torch.compiler).update(before)


MARKS = ("allow_in_graph", "assume_constant_result")
"""Decorators of the compiler that mark a function and return it."""
_marked: list[tuple[str, Any]] = []


def _mark(name: str, fn: Any) -> Any:
    """Mark a function once the compiler is there."""
    if is_imported(COMPILER):
        return getattr(sys.modules[COMPILER], name)(fn)
    _marked.append((name, fn))
    return fn


def _mark_all(compiler: ModuleType) -> None:
    while _marked:
        name, fn = _marked.pop()
        getattr(compiler, name)(fn)


class _After:
    """An import hook that finds one module as the import system would, and does something with it
    when it is imported."""

    def __init__(self, name: str, do: Callable[[ModuleType], None]) -> None:
        self.name, self.do = name, do

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of the module, with a loader that does more; None for anything else."""
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is not None and spec.loader is not None:
            self._extend(spec.loader)
        return spec

    def _extend(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.do(module)

        loader.exec_module = exec_module


_compiler = _After(COMPILER, _mark_all)


class _PlainShapes(TorchFunctionMode):  # type: ignore[misc]
    """A context for models that are built on the device ``meta``, without numbers, before their
    weights are read. Initial numbers are not drawn there, and a tensor for others is made by the
    shape alone: torch would do both by way of its proofs about shapes, with the same outcome.
    Rotary embeddings (Llama) still come to them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        tensor = args[0] if args else options.get("tensor")
        if isinstance(tensor, torch.Tensor) and tensor.is_meta:
            if getattr(func, "__name__", "") in INITIAL:
                return tensor
            if func is torch.empty_like and tensor.is_contiguous():
                return torch.empty(tensor.shape, **{"dtype": tensor.dtype, **options})
        return func(*args, **options)


INITIAL = frozenset(name for name in dir(torch.nn.init) if name.endswith("_"))
"""The functions, and methods of tensors of the same names, that set initial numbers."""


def _expect_true(condition: Any, skip: int = 0) -> Any:
    """Do as the function of torch's proofs about shapes that it calls for every check: a truth
    value that is known is returned as it is."""
    if isinstance(condition, bool):
        return condition
    from torch.fx.experimental import symbolic_shapes

    return symbolic_shapes.expect_true(condition, skip)


def _disable(fn: Any = None, recursive: bool = True, **options: Any) -> Any:
    """Do as ``torch.compiler.disable``, which imports the compiler where a function is defined, but
    only where one is called while the compiler is there."""
    if fn is None:
        return functools.partial(_disable, recursive=recursive, **options)
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(fn)
    def call(*args: Any, **named: Any) -> Any:
        if not is_imported(COMPILER):
            return fn(*args, **named)
        if not disabled:
            disabled.append(sys.modules[COMPILER].disable(fn, recursive, **options))
        return disabled[0](*args, **named)

    return call


def _listed(read: Any, module_path: Any, prefix: str | None = None) -> Any:
    """Do as ``define_import_structure`` of transformers, which opens thousands of its files for the
    names that they give: once for the whole package, and once more for its models, since the cache
    that it keeps is too small for them (as of 5.x)."""
    models = Path(transformers.__file__).parent / "models"
    if prefix is not None or Path(module_path) != models / "__init__.py":
        return read(module_path, prefix)
    found = read(models, prefix="models")  # in the words of the package, which asked just before
    own = "models."
    return {
        needs: {name.removeprefix(own): files[name] for name in files if name.startswith(own)}
        for needs, files in found.items()
    }


@contextmanager
def _models_listed_once() -> Iterator[None]:
    """Within the context, transformers lists its models by what it has found before."""
    from transformers.utils import import_utils

    read = import_utils.define_import_structure
    import_utils.define_import_structure = functools.partial(_listed, read)
    try:
        yield
    finally:
        import_utils.define_import_structure = read


def _names_in(read: Any, file_content: str) -> Any:
    """Do as ``fetch__all__`` of transformers, which splits a file into lines to find those that
    list its names: from where the first of them begins, mostly at the end."""
    return read(file_content[file_content.find("\n__all__") + 1 :])


@contextmanager
def _names_found_soon() -> Iterator[None]:
    """Within the context, transformers is imported with less work to find the names that its files
    give: .11 instead of .26 CPU s."""
    changed: list[tuple[Any, Any]] = []

    def change(utils: Any) -> None:
        if read := getattr(utils, "fetch__all__", None):
            changed.append((utils, read))
            utils.fetch__all__ = functools.partial(_names_in, read)

    finder = _After("transformers.utils.import_utils", change)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for utils, read in changed:
            utils.fetch__all__ = read


# what every model needs: at the head of a module, so that forked workers have it from their parent
with light_imports():
    with _names_found_soon():
        import transformers
    with _models_listed_once():
        import transformers.models
    import transformers.modeling_utils
    import transformers.models.auto.configuration_auto
    import transformers.models.auto.modeling_auto
    import transformers.models.auto.tokenization_auto
