"""Numbers and tags as named features that a row has or has not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from rmplug import DataError, Features
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_hybrid.membership._matrix import read_matrix
from rmplug_hybrid.membership._survey import rank_by_percentile
from rmplug_hybrid.membership.membership import Membership
from rmplug_hybrid.names.dimensions import DIMENSIONS
from rmplug_hybrid.names.feature_names import LENGTHS, SCORES, list_features, name_bins

SHARED = Path(
    os.environ.get("RMPLUG_SHARED_DATA", Path(__file__).resolve().parents[3] / "../shared/data")
)
CASES = SHARED.parent / "golden/hybrid"
LOW, MIDDLE, HIGH = name_bins("x")
TAG = "analyzer_scalar::feature_name=safety_concern|value=high"


def features(name="f", **columns):
    rows = len(next(iter(columns.values())))
    return Features({"id": [f"r{row}" for row in range(rows)], **columns}, name)


def ids_of(made, column):
    return made["id"].filter(made[column]).to_pylist()


def of(step, *given):
    return step.compute(list(given))


def test_bins_are_half_open_and_the_last_is_closed():
    made = of(Membership(), features(x=[0, 0.33, 0.5, 0.67, 1]))
    assert made.values == [LOW, MIDDLE, HIGH]
    assert [ids_of(made, name) for name in made.values] == [["r0"], ["r1", "r2"], ["r3", "r4"]]


def test_a_value_is_in_at_most_one_bin_and_in_exactly_one_between_the_edges():
    values = np.concatenate([np.random.default_rng(3).uniform(-0.5, 1.5, 300), [0, 0.33, 0.67, 1]])
    made = of(Membership(), features(x=values))
    count = sum(np.asarray(made[name]).astype(int) for name in made.values)
    assert np.array_equal(count, ((values >= 0) & (values <= 1)).astype(int))


@pytest.mark.parametrize(
    ("bins", "wanted"), [("closed", [["r0"], ["r0", "r1"], ["r1"]]), ("open", [[], [], []])]
)
def test_the_original_puts_a_value_on_a_limit_into_two_bins_or_none(bins, wanted):
    made = of(Membership(bins=bins), features(x=[0.33, 0.67]))
    assert [ids_of(made, name) for name in made.values] == wanted


def test_lengths_are_cut_by_their_rank_over_the_whole_table():
    made = of(Membership(), features(prompt_len=[900, 10, 10, 30, 40, 50]))
    names = name_bins("prompt_len")
    # average ranks 1.5, 1.5, 3, 4, 5, 6 of 6: .25, .25, .5, .667 (below .67), .83, 1
    assert [ids_of(made, name) for name in names] == [["r1", "r2"], ["r3", "r4"], ["r0", "r5"]]


def test_percentile_ranks_are_those_of_the_reference():
    file = CASES / "06_lexical/percentiles.json"
    if not file.is_file():
        pytest.skip(f"no reference cases at {file}")
    given = json.loads(file.read_text())
    values = np.array(given["values"], dtype=float)
    different, ranks = rank_by_percentile(values)
    found = ranks[np.searchsorted(different, values)]
    assert found.tolist() == pytest.approx(given["pandas_rank_pct"], rel=1e-12)


def test_ranked_bins_of_any_shard_agree_with_ranks_computed_plainly(tmp_path):
    lengths = np.random.default_rng(0).geometric(0.02, 200).astype(float)
    given = features("lengths", prompt_len=lengths)
    made = run_step(Membership(), {"features": [given]}, tmp_path, shard_rows=7)
    ranks = np.array([((lengths < v).sum() + (lengths <= v).sum() + 1) / 2 for v in lengths]) / 200
    names = name_bins("prompt_len")
    assert np.array_equal(np.asarray(made[names[0]]), ranks < 0.33)
    assert np.array_equal(np.asarray(made[names[1]]), (ranks >= 0.33) & (ranks < 0.67))
    assert np.array_equal(np.asarray(made[names[2]]), ranks >= 0.67)


def test_rows_outside_the_edges_are_in_no_bin_and_named():
    with collect_notices() as found:
        made = of(Membership(), features(x=[-0.2, 0.5])).table
    assert not any(made[name][0].as_py() for name in (LOW, MIDDLE, HIGH))
    [told] = found.values()
    assert (told.what, told.ids) == ("x in no bin: outside the edges, or on one", ["r0"])


def test_a_measure_on_another_scale_is_refused_with_what_to_write():
    sentence = (
        r"no value of x is between its edges 0 and 1 \(they go from 5 to 812\); name it under "
        "ranks, or give its edges_of"
    )
    with pytest.raises(DataError, match=sentence):
        of(Membership(), features(x=[5, 812]))
    assert len(of(Membership(ranks=("x",)), features(x=[5, 812]))) == 2


def test_own_edges_are_for_the_measure_that_they_name():
    step = Membership(edges_of={"x": (0, 10, 20)})
    made = of(step, features(x=[3, 10], y=[0.1, 0.9]))
    assert made.values == [*name_bins("x", (0, 10, 20)), *name_bins("y")]
    with pytest.raises(DataError, match="edges_of names 'xx', which is no measure here; did you m"):
        of(Membership(edges_of={"xx": (0, 1)}), features(x=[0.1]))
    with pytest.raises(
        DataError, match=r"ranks has '\*wrds', which matches no measure; there are x"
    ):
        of(Membership(ranks=("*wrds",)), features(x=[0.1]))


def test_missing_numbers_are_refused_by_name_or_put_into_no_bin():
    given = features(x=[0.1, None, float("nan")])
    with pytest.raises(DataError, match=r"f\.x is missing for 2 rows \(r1, r2\); give it a value"):
        of(Membership(), given)
    with collect_notices() as found:
        made = of(Membership(missing="no-bin"), given)
        assert ids_of(made, LOW) == ["r0"]
    assert [told.ids for told in found.values()] == [["r1", "r2"]]


def test_flags_and_tags_are_passed_on_as_they_are():
    made = of(
        Membership(), features("a", x=[0.1, 0.2], flag=[True, False]), features(**{TAG: [0, 1]})
    )
    assert made.values == [LOW, MIDDLE, HIGH, "flag", TAG]
    assert (ids_of(made, "flag"), ids_of(made, TAG)) == (["r0"], ["r1"])
    assert {str(made.table.schema.field(name).type) for name in made.values} == {"bool"}


def test_a_tag_that_is_missing_or_no_flag_is_refused_whatever_the_policy():
    with pytest.raises(DataError, match=r"is missing for 1 rows \(r1\); give it a value, drop the"):
        of(Membership(missing="no-bin"), features(**{TAG: [0, None]}))
    with pytest.raises(DataError, match=r"1 rows have other values than 0 and 1 \(r0\); rename it"):
        of(Membership(), features(**{TAG: [2, 1]}))


def test_columns_are_chosen_and_named():
    given = features("rouge", **{"responses.rouge1": [0.1], "responses.rouge2": [0.2]})
    step = Membership(only=("rouge.*1",), names={"rouge.responses.rouge1": "rouge"})
    assert of(step, given).values == name_bins("rouge")
    with pytest.raises(DataError, match=r"no column matches 'x\*'; there are rouge.responses"):
        of(Membership(only=("x*",)), given)
    with pytest.raises(DataError, match="names has 'rouge.responses.rouge3', which is no column; "):
        of(Membership(names={"rouge.responses.rouge3": "r"}), given)


def test_a_name_that_two_steps_have_keeps_its_step():
    made = of(Membership(), features("a", x=[0.1]), features("b", x=[0.9]))
    assert made.values == [*name_bins("a.x"), *name_bins("b.x")]
    with pytest.raises(DataError, match="two columns would become the feature 'x::min_val=0.0|max"):
        of(Membership(names={"a.x": "x", "b.x": "x"}), features("a", x=[0]), features("b", x=[0]))


def test_vectors_have_no_bins():
    with pytest.raises(DataError, match=r"f\.v holds vectors, which have no bins; leave it out"):
        of(Membership(), features(v=np.zeros((2, 3))))


def test_edges_must_ascend_for_features_too():
    with pytest.raises(ValidationError, match="edges must ascend, each above the one before"):
        Membership(edges=(0, 1, 1))


def twelve():
    folder = CASES / "02_hand12"
    if not folder.is_dir():
        pytest.skip(f"no reference cases at {folder}")
    lines = (folder / "features.jsonl").read_text().splitlines()
    return folder, [json.loads(line) for line in lines]


def cut_of(rows, bins):
    """The features of reference rows by the original's rules: exact tags, and no null is odd."""
    from rmplug_hybrid.names.feature_names import name_tags

    ids = [row["id"] for row in rows]
    columns = {name: [float(row[name]) for row in rows] for name in sorted((*SCORES, *LENGTHS))}
    for tag, dimension in DIMENSIONS.items():
        names = name_tags(tag, dimension)
        for place, name in enumerate(names):
            given = [row[tag] or [] for row in rows]
            if dimension.form == "open-set":
                columns[name] = [bool(value) for value in given]
            else:
                value = dimension.values[place]
                columns[name] = [value in (v if isinstance(v, list) else [v]) for v in given]
    return Membership(bins=bins, give="original").compute([Features({"id": ids, **columns}, "f")])


def test_the_original_membership_at_training_time():
    folder, rows = twelve()
    made = cut_of(rows, "closed")
    wanted = json.loads((folder / "train_time_membership.json").read_text())
    assert {name: ids_of(made, name) for name in made.values} == wanted


def test_the_original_counts_of_a_subset_rank_lengths_inside_it():
    folder, rows = twelve()
    wanted = json.loads((folder / "train_time_counts_of_subset.json").read_text())
    made = cut_of([row for row in rows if row["id"] in wanted["subset"]], "closed")
    names, table = read_matrix(made)
    assert dict(zip(names, table.sum(axis=0).A1.tolist(), strict=True)) == wanted["counts"]


def test_the_original_matrix_at_routing_time():
    from pyarrow import csv

    folder, rows = twelve()
    wanted = csv.read_csv(folder / "routing_time_binary.csv")
    made = cut_of(rows, "open")
    assert wanted.column_names == ["id", *list_features()]
    names, table = read_matrix(made)
    assert np.array_equal(table.toarray(), np.column_stack([wanted[name] for name in names]))


def test_the_matrix_holds_what_the_columns_hold_in_batches():
    rng = np.random.default_rng(5)
    flags = rng.random((20_000, 6)) < 0.2
    given = features(**{f"c{column}": flags[:, column] for column in range(6)})
    names, table = read_matrix(given)
    assert names == [f"c{column}" for column in range(6)]
    assert table.dtype == np.uint8
    assert table.nnz == flags.sum()
    assert np.array_equal(table.toarray(), flags)


def test_the_matrix_takes_zeros_and_ones_as_numbers_and_nothing_else():
    assert read_matrix(features(x=[0.0, 1.0]))[1].toarray().tolist() == [[0], [1]]
    for odd in ([0.0, 0.5], [0.0, None]):
        with pytest.raises(DataError, match=r"f\.x has values other than 0 and 1 \(r1\); cut i"):
            read_matrix(features(x=odd))
    with pytest.raises(DataError, match=r"f\.v has values other than 0 and 1; cut it into bins"):
        read_matrix(features(v=np.ones((2, 2))))


def test_no_rows_make_a_matrix_without_rows():
    given = Features({"id": pa.array([], pa.string()), "x": pa.array([], pa.bool_())}, "f")
    assert read_matrix(given)[1].shape == (0, 1)


def test_all_features_need_all_inputs():
    with pytest.raises(DataError, match="give: original needs 90 features, and 87 of them are"):
        of(Membership(give="original"), features(rouge=[0.1]))


def test_membership_keeps_every_promise_of_a_step():
    given = features("f", x=[0.1, 0.5, 0.9], prompt_len=[3, 100, 7], **{TAG: [0, 1, 0]})
    check_step(Membership, {}, {"features": [given]})
