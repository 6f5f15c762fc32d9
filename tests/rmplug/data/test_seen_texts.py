"""Ids and texts that were met before."""

from __future__ import annotations

import pytest

from rmplug import (
    DataError,
    FeatureComputer,
    Features,
    Pairs,
    QueryStrategy,
    RewardModel,
    RmplugError,
    Sampler,
)
from rmplug.data.rows import Memory, Stream
from rmplug.data.seen_texts import combine_hashes, hash_texts, with_unique_ids
from rmplug.testing import LengthModel, check_step, run_step, small_pairs

SENTENCE = "ids must be unique, but 1 occur again: pair-0; give each row an id of its own"


class Twice(Sampler):
    """Give the first row twice."""

    kind = "twice"

    def sample(self, data: Pairs) -> Pairs:
        return data.take([0, *range(len(data))])


class TwiceStreamed(FeatureComputer):
    """Give the first row twice, in batches of their own."""

    kind = "twice-streamed"

    def compute(self, data: Pairs) -> Features:
        ids = [*data["id"].to_pylist(), "pair-0"]
        return Features.stream({"id": [name], "x": [1.0]} for name in ids)


class TwiceAsked(QueryStrategy):
    """Give the score of the first row twice."""

    kind = "twice-asked"

    def query(self, model: RewardModel, data: Pairs) -> Features:
        import numpy as np

        return Features({"id": [*data["id"].to_pylist(), "pair-0"], "x": np.ones(len(data) + 1)})


@pytest.mark.parametrize("step", [Twice, TwiceStreamed, TwiceAsked])
def test_a_step_that_gives_an_id_twice_is_refused_by_a_run_and_by_check_step(step, tmp_path):
    inputs = {"data": small_pairs()} | ({"model": LengthModel()} if step is TwiceAsked else {})
    with pytest.raises(RmplugError) as error:
        run_step(step(), inputs, tmp_path)
    assert SENTENCE in str(error.value)
    with pytest.raises(RmplugError, match="give each row an id of its own"):
        check_step(step)


def test_rows_with_ids_of_their_own_pass_unchanged():
    import pyarrow as pa

    table = pa.table({"id": [str(n) for n in range(20_000)], "x": range(20_000)})
    for rows in (Memory(table), Stream(iter([table.slice(0, 9), table.slice(9)]))):
        assert pa.concat_tables(with_unique_ids(rows).tables()).equals(table)
    empty = table.slice(0, 0)
    assert [part.num_rows for part in with_unique_ids(Memory(empty)).tables()] == [0]


def test_a_row_without_an_id_is_refused():
    import pyarrow as pa

    rows = with_unique_ids(Memory(pa.table({"id": ["a", None]})))
    with pytest.raises(DataError, match="1 rows have no id; every row needs its own"):
        list(rows.tables())


def test_a_table_of_several_items_has_each_id_once_for_each_item():
    import pyarrow as pa

    routes = pa.table({"id": ["a", "b", "a"], "item": ["first", "first", "second"]})
    assert pa.concat_tables(with_unique_ids(Memory(routes)).tables()).equals(routes)
    twice = pa.concat_tables([routes, routes.slice(2)])
    with pytest.raises(DataError, match="1 occur again: a in second; give each row an id"):
        list(with_unique_ids(Memory(twice)).tables())


def test_hashes_of_rows_depend_on_the_order_of_their_columns():
    import pyarrow as pa

    first, second = (hash_texts(pa.array(values)) for values in (["a", "b", None], ["b", "a", ""]))
    assert first[0] == second[1] != first[1] == second[0] and first[2] == second[2]
    there, back = combine_hashes(first, second), combine_hashes(second, first)
    assert there[0] != back[0] and there[2] == back[2]
    assert len({*there.tolist(), *back.tolist()}) == 3


def test_the_hash_of_a_text_does_not_depend_on_the_rows_beside_it():
    import pyarrow as pa

    texts = [None if row % 7 == 0 else f"text {row}" for row in range(5000)]
    hashes = hash_texts(pa.array(texts)).tolist()
    assert len({*hashes}) == 5000 - 714
    assert hash_texts(pa.array(texts, pa.large_string())[4000:]).tolist() == hashes[4000:]
    assert hash_texts(pa.array(texts).dictionary_encode()).tolist() == hashes


def test_texts_need_not_be_valid_utf8_to_be_hashed():
    import numpy as np
    import pyarrow as pa

    broken = pa.StringArray.from_buffers(
        1, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff!")
    )
    assert len(hash_texts(broken)) == 1
