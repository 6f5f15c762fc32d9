"""Each loss beside a plain computation of the same, on cases small enough for paper."""

from __future__ import annotations

from itertools import permutations
from math import exp, log

import numpy as np
import pyarrow as pa
import pytest
import torch

from rmplug import DataError, Pairs, Responses
from rmplug_trl.reward_models._losses import Columns, LossFunction
from rmplug_trl.reward_models.losses import (
    BradleyTerry,
    Davidson,
    PlackettLuce,
    Regression,
    RewardLoss,
)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def pairs(count: int, **further: list[object]) -> pa.Table:
    texts = {side: [f"{side} {n}" for n in range(count)] for side in ("chosen", "rejected")}
    columns = {"id": [f"p{n}" for n in range(count)], "prompt": ["Why?"] * count, **texts}
    return Pairs({**columns, **further}).table


def prepared(loss: RewardLoss, table: pa.Table) -> tuple[LossFunction, Columns]:
    targets = loss.targets(table)
    columns = {n: torch.tensor(v, dtype=torch.float32) for n, v in targets.columns.items()}
    return loss.function(targets), columns


def value(loss: RewardLoss, table: pa.Table, rewards: list[float], **more: torch.Tensor) -> float:
    function, columns = prepared(loss, table)
    return float(function(torch.tensor(rewards)[:, None], {**columns, **more}).detach())


CHOSEN, REJECTED = [2.0, -1.0, 0.5], [1.0, 1.0, 0.5]


def test_bradley_terry_is_the_mean_of_minus_the_log_of_sigmoid() -> None:
    by_hand = sum(-log(sigmoid(c - r)) for c, r in zip(CHOSEN, REJECTED, strict=True)) / 3
    assert value(BradleyTerry(), pairs(3), CHOSEN + REJECTED) == pytest.approx(by_hand, abs=1e-6)


def test_a_margin_is_the_lead_of_its_own_pair_only() -> None:
    # a margin of shape (B,) beside rewards of shape (B, 1) would broadcast to all B x B pairs
    margins = [0.0, 0.5, 2.0]
    by_hand = [-log(sigmoid(c - r - m)) for c, r, m in zip(CHOSEN, REJECTED, margins, strict=True)]
    table = pairs(3, margin=margins)
    assert value(BradleyTerry(), table, CHOSEN + REJECTED) == pytest.approx(
        sum(by_hand) / 3, abs=1e-6
    )


def test_margins_of_another_unit_can_be_left_out() -> None:
    table = pairs(3, margin=[0.0, 0.5, 2.0])
    assert not BradleyTerry(margins=False).targets(table).columns["margin"].any()
    assert BradleyTerry().targets(table).columns["margin"].any()


@pytest.mark.parametrize(
    ("loss", "columns", "metric"),
    [
        (BradleyTerry(), (), "log-loss"),
        (BradleyTerry(), ("margin",), "loss"),
        (BradleyTerry(margins=False), ("margin",), "log-loss"),
        (BradleyTerry(), ("weight",), "loss"),
        (Regression(ratings=("r",)), ("weight",), "loss"),
        (BradleyTerry(label_smoothing_factor=0.1), (), "loss"),
        (Regression(ratings=("r",)), (), "mse"),
        (Regression(ratings=("r",), delta=1.0), (), "loss"),
        (PlackettLuce(), (), "loss"),
    ],
)
def test_a_loss_is_called_as_the_metric_that_it_is(
    loss: RewardLoss, columns: tuple[str, ...], metric: str
) -> None:
    assert loss.metric(columns) == metric


def test_row_weights_are_scaled_to_a_mean_of_one() -> None:
    each = [-log(sigmoid(c - r)) for c, r in zip(CHOSEN, REJECTED, strict=True)]
    by_hand = (1 * each[0] + 2 * each[1] + 5 * each[2]) / 8
    table = pairs(3, weight=[1.0, 2.0, 5.0])
    assert value(BradleyTerry(), table, CHOSEN + REJECTED) == pytest.approx(by_hand, abs=1e-6)


def test_label_smoothing_counts_a_share_for_the_other_order() -> None:
    by_hand = sum(
        -0.9 * log(sigmoid(c - r)) - 0.1 * log(sigmoid(r - c))
        for c, r in zip(CHOSEN, REJECTED, strict=True)
    ) / 3  # fmt: skip
    loss = BradleyTerry(label_smoothing_factor=0.1)
    assert value(loss, pairs(3), CHOSEN + REJECTED) == pytest.approx(by_hand, abs=1e-6)


def test_soft_labels_of_one_half_are_half_wins() -> None:
    table = pairs(3, share=[1.0, 0.5, 0.0])
    by_hand = [
        -p * log(sigmoid(c - r)) - (1 - p) * log(sigmoid(r - c))
        for p, c, r in zip([1.0, 0.5, 0.0], CHOSEN, REJECTED, strict=True)
    ]
    loss = BradleyTerry(soft_labels="share")
    assert value(loss, table, CHOSEN + REJECTED) == pytest.approx(sum(by_hand) / 3, abs=1e-6)


def test_centring_adds_the_mean_of_squared_sums() -> None:
    plain = value(BradleyTerry(), pairs(3), CHOSEN + REJECTED)
    term = 0.01 * (3.0**2 + 0.0**2 + 1.0**2) / 3
    loss = BradleyTerry(center_rewards_coefficient=0.01)
    assert value(loss, pairs(3), CHOSEN + REJECTED) == pytest.approx(plain + term, abs=1e-6)


@pytest.mark.parametrize(
    ("share", "message"),
    [([0.2, 1.5, 0.1], "from 0 to 1"), ([0.2, -0.1, 0.1], "from 0 to 1")],
)
def test_soft_labels_that_are_no_probabilities_are_refused(
    share: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        BradleyTerry(soft_labels="share").targets(pairs(3, share=share))


def test_soft_labels_of_a_column_that_is_not_there_name_the_likely_one() -> None:
    with pytest.raises(DataError, match="did you mean 'share'"):
        BradleyTerry(soft_labels="shares").targets(pairs(3, share=[0.1, 0.2, 0.3]))


def test_davidson_gives_the_three_outcomes_probabilities_that_add_up_to_one() -> None:
    table = pairs(3, label=["A", "tie", "B"])
    function, columns = prepared(Davidson(), table)
    nu = exp(float(function.log_nu.detach()))  # type: ignore[arg-type]
    by_hand = []
    for c, r, tied in zip(CHOSEN, REJECTED, [0, 1, 0], strict=True):
        odds = {"win": exp(c), "loss": exp(r), "tie": nu * exp((c + r) / 2)}
        by_hand.append(-log(odds["tie" if tied else "win"] / sum(odds.values())))
    rewards = torch.tensor(CHOSEN + REJECTED)[:, None]
    assert float(function(rewards, columns).detach()) == pytest.approx(sum(by_hand) / 3, abs=1e-6)


def test_davidson_learns_how_likely_ties_are() -> None:
    table = pairs(4, label=["A", "tie", "tie", "tie"])
    function, columns = prepared(Davidson(), table)
    optimiser = torch.optim.SGD(function.parameters(), lr=1.0)
    for _ in range(400):
        optimiser.zero_grad()
        function(torch.zeros(8, 1), columns).backward()
        optimiser.step()
    nu = function.numbers()["nu"]
    assert nu / (nu + 2) == pytest.approx(0.75, abs=1e-3)


def test_davidson_without_a_tie_is_refused() -> None:
    with pytest.raises(DataError, match="ties: half"):
        Davidson().targets(pairs(2, label=["A", "B"]))


def responses(**columns: list[object]) -> pa.Table:
    count = len(next(iter(columns.values())))
    texts = {"id": [f"r{n}" for n in range(count)], "response": [f"text {n}" for n in range(count)]}
    return Responses({"prompt": ["Why?"] * count, **texts, **columns}).table


def test_regression_leaves_missing_ratings_out() -> None:
    table = responses(help=[1.0, 2.0, None], harm=[0.0, None, 3.0])
    loss = Regression(ratings=("help", "harm"))
    function, columns = prepared(loss, table)
    rewards = torch.tensor([[0.5, 1.0], [2.0, 9.0], [7.0, 1.0]], requires_grad=True)
    by_hand = ((0.5 - 1) ** 2 + (1 - 0) ** 2 + 0 + (1 - 3) ** 2) / 4
    made = function(rewards, columns)
    assert float(made.detach()) == pytest.approx(by_hand, abs=1e-6)
    made.backward()
    assert rewards.grad is not None
    assert rewards.grad[1, 1] == rewards.grad[2, 0] == 0


def test_ratings_are_weighted_by_their_rows() -> None:
    table = responses(help=[1.0, 2.0, 4.0], weight=[1.0, 1.0, 4.0])
    made = value(Regression(ratings=("help",)), table, [1.0, 1.0, 1.0])
    assert made == pytest.approx((1 * 0 + 1 * 1 + 4 * 9) / 6, abs=1e-6)


def test_ratings_of_which_no_row_has_one_are_refused() -> None:
    table = responses(help=[1.0, 2.0], harm=[None, float("nan")])
    with pytest.raises(DataError, match="no row has a rating in harm"):
        Regression(ratings=("help", "harm")).targets(table)


def test_regression_of_one_rating_does_not_broadcast() -> None:
    table = responses(help=[1.0, 2.0, 4.0])
    value_ = value(Regression(ratings=("help",)), table, [1.0, 1.0, 1.0])
    assert value_ == pytest.approx((0 + 1 + 9) / 3, abs=1e-6)


def test_huber_is_linear_beyond_delta() -> None:
    table = responses(help=[0.0, 10.0])
    value_ = value(Regression(ratings=("help",), delta=1.0), table, [0.5, 0.0])
    assert value_ == pytest.approx((0.25 + 2 * 1.0 * (10 - 0.5)) / 2, abs=1e-6)


def plackett_luce_by_hand(rewards: list[float], order: list[int]) -> float:
    total, rest = 0.0, list(order)
    while len(rest) > 1:
        total -= log(exp(rewards[rest[0]]) / sum(exp(rewards[other]) for other in rest))
        rest.pop(0)
    return total


def test_plackett_luce_is_minus_the_log_probability_of_the_order() -> None:
    rewards, ranks = [0.3, 1.2, -0.7, 0.1], [2, 0, 3, 1]
    table = responses(rank=ranks)
    order = np.argsort(ranks).tolist()
    made = value(PlackettLuce(), table, rewards, list=torch.zeros(4))
    assert made == pytest.approx(plackett_luce_by_hand(rewards, order), abs=1e-6)


def test_plackett_luce_probabilities_of_all_orders_add_up_to_one() -> None:
    rewards, total = [0.3, 1.2, -0.7], 0.0
    for order in permutations(range(3)):
        ranks = [order.index(row) for row in range(3)]
        total += exp(-value(PlackettLuce(), responses(rank=ranks), rewards, list=torch.zeros(3)))
    assert total == pytest.approx(1, abs=1e-6)


def test_plackett_luce_of_two_is_bradley_terry() -> None:
    made = value(PlackettLuce(), responses(rank=[0, 1]), [0.4, 0.9], list=torch.zeros(2))
    assert made == pytest.approx(-log(sigmoid(0.4 - 0.9)), abs=1e-6)


def test_plackett_luce_keeps_lists_apart_and_equal_ranks_unordered() -> None:
    rewards = [0.4, 0.9, 5.0, -2.0, 1.0]
    lists = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0])
    made = value(PlackettLuce(), responses(rank=[0, 1, 0, 1, 1]), rewards, list=lists)
    first = -log(sigmoid(0.4 - 0.9))
    second = -log(exp(5.0) / (exp(5.0) + exp(-2.0) + exp(1.0)))
    assert made == pytest.approx((first + second) / 2, abs=1e-6)


def test_the_choices_of_plackett_luce_count_by_the_weights_of_their_responses() -> None:
    rewards, ranks = [0.3, 1.2, -0.7], [0, 1, 2]
    first = -log(exp(0.3) / (exp(0.3) + exp(1.2) + exp(-0.7)))
    second = -log(exp(1.2) / (exp(1.2) + exp(-0.7)))
    table = responses(rank=ranks, weight=[3.0, 2.0, 1.0])
    made = value(PlackettLuce(), table, rewards, list=torch.zeros(3))
    assert made == pytest.approx((3 * first + 2 * second) / 2, abs=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        BradleyTerry(center_rewards_coefficient=0.1),
        Davidson(),
        Regression(ratings=("help", "harm")),
        PlackettLuce(by="help"),
        PlackettLuce(by="help", top=1),
    ],
)
def test_a_batch_is_learnt_alike_in_one_pass_and_in_several(loss: RewardLoss) -> None:
    # lists of four and of two responses, ratings of which some are missing, weights
    weights = [1.0, 3.0, 2.0, 1.0, 5.0, 2.0]
    if loss.of == "pairs":
        table = pairs(6, weight=weights, label=["tie", "A", "A", "B", "tie", "A"])
    else:
        help_, harm = [1.0, 4.0, 2.0, 3.0, 2.0, 1.0], [None, None, None, 1.0, 2.0, 3.0]
        table = responses(weight=weights, help=help_, harm=harm)
    count = 12 if loss.of == "pairs" else 6
    rewards = torch.linspace(-1, 2, count * (loss.outputs or 1)).reshape(count, -1)
    function, columns = prepared(loss, table)
    columns = {**columns, "list": torch.tensor([0, 0, 0, 0, 1, 1])}
    rows = [torch.arange(6), torch.tensor([0, 1, 2, 3]), torch.tensor([4, 5])]
    if loss.of != "lists":
        rows = [torch.arange(6), torch.tensor([0, 1, 2]), torch.tensor([3, 4, 5])]
    rewards_of = [rewards[torch.cat([r, r + 6]) if loss.of == "pairs" else r] for r in rows]
    with torch.no_grad():
        one, *parts = (
            float(function(given, {name: values[here] for name, values in columns.items()}))
            for given, here in zip(rewards_of, rows, strict=True)
        )
    assert sum(parts) / 2 == pytest.approx(one, abs=1e-5)


def test_only_the_best_count_where_top_says_so() -> None:
    rewards = [0.3, 1.2, -0.7]
    made = value(PlackettLuce(top=1), responses(rank=[1, 0, 2]), rewards, list=torch.zeros(3))
    assert made == pytest.approx(-log(exp(1.2) / sum(map(exp, rewards))), abs=1e-6)


def test_a_score_is_better_when_it_is_larger_and_a_rank_when_it_is_smaller() -> None:
    by_rank = value(PlackettLuce(), responses(rank=[0, 1]), [1.0, 0.0], list=torch.zeros(2))
    by_score = value(
        PlackettLuce(by="score"), responses(score=[9.0, 2.0]), [1.0, 0.0], list=torch.zeros(2)
    )
    assert by_rank == by_score
