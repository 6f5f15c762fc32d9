"""Chat messages in Arrow columns: lists of {role, content}."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING

from rmplug.arrays import Array
from rmplug.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def message_type() -> pa.DataType:
    """Return ``list<struct<role: string, content: string>>``."""
    import pyarrow as pa

    return pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def conversational(table: pa.Table, responses: Sequence[str]) -> pa.Table:
    """Return the table with string ids, messages in ``prompt`` and ``responses``, and ``group``."""
    import pyarrow as pa

    table = table.set_column(
        table.schema.get_field_index("id"), "id", table["id"].cast(pa.string())
    )
    for name in ("prompt", *responses):
        role = "user" if name == "prompt" else "assistant"
        table = table.set_column(
            table.schema.get_field_index(name), name, as_messages(table[name], role)
        )
    if "group" not in table.column_names:
        table = table.add_column(1, "group", prompt_groups(table["prompt"]))
    elif not pa.types.is_string(table["group"].type):
        position = table.schema.get_field_index("group")
        table = table.set_column(position, "group", table["group"].cast(pa.string()))
    return table


def as_messages(column: pa.ChunkedArray, role: str) -> pa.ChunkedArray:
    """Return plain strings wrapped as one message of ``role``; messages as they are."""
    import pyarrow as pa

    target = message_type()
    if column.type.equals(target):
        return column
    if pa.types.is_null(column.type) and not len(column):
        return pa.chunked_array([], type=target)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pa.chunked_array([_wrap(chunk, role) for chunk in column.chunks], type=target)
    try:
        return column.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise DataError(
            f"texts must be strings or lists of {{role, content}}, not {column.type}"
        ) from error


def _wrap(texts: pa.Array, role: str) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    content = texts.cast(pa.string())
    roles = pa.array([role]).take(pa.array(np.zeros(len(texts), dtype=np.int64)))
    messages = pa.StructArray.from_arrays([roles, content], names=["role", "content"])
    offsets = pa.array(np.arange(len(texts) + 1, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, messages).cast(message_type())


def prompt_groups(prompts: pa.ChunkedArray) -> pa.Array:
    """Return a 16-digit hash of each prompt's messages: rows with the same prompt share it.

    It is BLAKE2b of the JSON text ``[[role, content], ...]`` in ASCII, the same on every machine.
    """
    import hashlib  # loads OpenSSL, which a check need not pay for

    import pyarrow as pa

    hashes: dict[str, str] = {}
    groups = []
    for chunk in prompts.chunks:
        for text in _as_json(chunk):
            if text not in hashes:
                hashes[text] = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            groups.append(hashes[text])
    return pa.array(groups, type=pa.string())


def _as_json(prompts: pa.Array) -> Iterator[str]:
    """Yield each prompt as ``json.dumps`` would write its roles and contents; a null as none."""
    import numpy as np
    import pyarrow.compute as pc

    turns = prompts.flatten()
    roles = pc.struct_field(turns, "role").dictionary_encode()
    names = [_quoted(name) for name in roles.dictionary.to_pylist()]
    kinds = pc.fill_null(roles.indices, len(names)).to_pylist()
    names.append("null")
    contents = map(_quoted, pc.struct_field(turns, "content").to_pylist())
    lines = [f"[{names[kind]}, {text}]" for kind, text in zip(kinds, contents, strict=True)]
    ends = np.cumsum(np.asarray(pc.fill_null(pc.list_value_length(prompts), 0))).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        yield f"[{', '.join(lines[start:end])}]"


def _quoted(text: str | None) -> str:
    return "null" if text is None else encode_basestring_ascii(text)


def count_characters(texts: pa.Array | pa.ChunkedArray) -> Array:
    """Count the Unicode code points of each text or conversation, float64 of shape (rows,); 0 where
    one is missing."""
    import numpy as np
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(pc.utf8_length(text_of(texts)), 0), dtype=np.float64)


def length_gap(pairs: pa.Table) -> Array:
    """Compute the characters of chosen minus those of rejected, float64 of shape (rows,)."""
    return count_characters(pairs["chosen"]) - count_characters(pairs["rejected"])


def text_of(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the text of each conversation: its messages' contents, a blank line between."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if pa.types.is_string(array.type):
        return array
    contents = pc.struct_field(array.flatten(), "content")
    if len(contents) == len(array) and bool((np.asarray(pc.list_value_length(array)) == 1).all()):
        return contents
    lengths = pc.fill_null(pc.list_value_length(array), 0)
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.asarray(lengths))]).astype(np.int32))
    return pc.binary_join(pa.ListArray.from_arrays(offsets, contents), "\n\n")
