"""Results of proxies made elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hybrid_data import case

from rmplug import DataError
from rmplug.notices import collect_notices
from rmplug.testing import check_step, run_step
from rmplug_hybrid import ResultsFile
from rmplug_hybrid.names.feature_names import list_features


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(
        ",model_type,Overall,uuid,budget,rouge::min_val=0.0|max_val=0.33,tuned\n"
        "0,classifier,0.61,u0,3,2,true\n"
        "1,classifier,,u1,5,4,true\n"
        "2,classifier,0.63,u2,nan,1,false\n"
        "3,classifier,0.64,u3,9,7,false\n"
    )
    return path


def test_numbers_are_read_and_rows_that_lack_one_are_dropped_and_named(file):
    with collect_notices() as found:
        made = ResultsFile(path=file).compute()
    assert made["id"].to_pylist() == ["u0", "u3"]
    assert made.values == ["Overall", "budget", "rouge::min_val=0.0|max_val=0.33", "tuned"]
    assert made["Overall"].to_pylist() == [0.61, 0.64]
    assert made["tuned"].to_pylist() == [1, 0]
    assert {(n.what, n.action, n.of, *n.ids) for n in found.values()} == {
        ("a number is missing", "dropped", "rows", "u1", "u2"),
        ("columns that hold no numbers", "dropped", "columns", "model_type"),
    }


def test_rows_that_lack_a_number_are_kept_or_refused_on_request(file):
    kept = ResultsFile(path=file, missing="keep").compute()
    assert np.isnan(np.asarray(kept["budget"])).tolist() == [False, False, True, False]
    sentence = r"lacks a number in 2 rows \(u1, u2\); fill it in, or set missing: drop"
    with pytest.raises(DataError, match=sentence):
        ResultsFile(path=file, missing="error").compute()


def test_only_the_columns_asked_for_are_read_and_only_they_count_as_missing(file):
    made = ResultsFile(path=file, columns_to_read=("Over*", "*::*")).compute()
    assert made["id"].to_pylist() == ["u0", "u2", "u3"]
    assert made.values == ["Overall", "rouge::min_val=0.0|max_val=0.33"]
    with pytest.raises(DataError, match="matches 'count.*'; there are"):
        ResultsFile(path=file, columns_to_read=("count.*",)).compute()


def test_the_published_table_lacks_one_number():
    path = case("07_fullrank") / "eval_runs.csv"
    with collect_notices() as found:
        made = ResultsFile(path=path).compute()
    assert len(made) == 239
    assert [name for name in made.values if "::" in name] == list_features()
    assert [n.ids for n in found.values() if n.action == "dropped"] == [["u5"]]


def test_candidates_must_have_names_of_their_own(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("uuid,x\na,1\na,2\n")
    with pytest.raises(DataError, match=r"candidates that are there twice \(a\); keep one row"):
        ResultsFile(path=path).compute()
    path.write_text("uuid,x\na,1\n,2\n")
    with pytest.raises(
        DataError,
        match=r"1 row cannot be used: line 3 of runs.csv: uuid is neither text nor a whole number",
    ):
        ResultsFile(path=path).compute()
    with pytest.raises(DataError, match=r"no row has 'uid'; did you mean 'uuid'\?"):
        ResultsFile(path=path, key="uid").compute()


def test_a_column_that_is_always_empty_is_named_where_no_row_is_whole(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("uuid,x,y\na,1,\nb,2,\n")
    sentence = "no row of .* is whole, since 'y' is always empty; name the columns to read"
    sentence += r": params: \{columns_to_read: "
    with pytest.raises(DataError, match=sentence):
        ResultsFile(path=path).compute()


def test_a_file_that_is_no_table_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("uuid,x\na,1\nb,2,3\n")
    with pytest.raises(
        DataError, match=r"line 3 of runs.csv: wrong number of fields \(3 instead of 2\)"
    ):
        ResultsFile(path=path).compute()
    assert ResultsFile(path=path, bad_rows="drop").compute()["id"].to_pylist() == ["a"]


def test_missing_and_infinite_numbers_are_known_however_they_are_written(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("uuid,x\na,1\nb,N/A\nc,-inf\nd,NULL\n")
    kept = ResultsFile(path=path, missing="keep").compute()
    assert str(kept["x"].to_pylist()) == "[1.0, nan, -inf, nan]"


def test_results_files_conform(file, tmp_path):
    assert len(run_step(ResultsFile(path=file), {}, tmp_path / "store")) == 2
    check_step(ResultsFile, {"path": file})
