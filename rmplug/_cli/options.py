"""The options of each command."""

from __future__ import annotations

import argparse

ASSIGNED, NAMED = "KEY=VALUE", "NAME=VALUE"
"""What options take that change values of a spec, and that give parameters of a model."""


def spec_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("spec", help="the spec file")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar=ASSIGNED,
        help="change one value: steps.pairs.params.limit=100",
    )


def check_options(command: argparse.ArgumentParser) -> None:
    spec_options(command)
    json_option(command)


def run_options(command: argparse.ArgumentParser) -> None:
    spec_options(command)
    command.add_argument(
        "--only", nargs="+", default=[], metavar="STEP", help="these steps and what they need"
    )
    command.add_argument("--from", metavar="STEP", help="this step and all that depend on it")
    command.add_argument("--force", action="store_true", help="do the steps asked for again")
    command.add_argument(
        "--keep-going",
        action="store_true",
        help="after a step that failed, run those that do not need it",
    )
    command.add_argument("--dry-run", action="store_true", help="say what would be done, and why")
    progress_options(command)
    store_options(command)


def store_options(command: argparse.ArgumentParser) -> None:
    store_option(command)
    json_option(command)


def store_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--store",
        metavar="STORE",
        help="the folder, or s3://bucket/folder, where results are kept (else RMPLUG_STORE, else "
        ".rmplug in the current folder)",
    )


def progress_options(command: argparse.ArgumentParser) -> None:
    either = command.add_mutually_exclusive_group()
    either.add_argument("--quiet", "-q", action="store_true", help="show no progress")
    either.add_argument(
        "--verbose", "-v", action="store_true", help="tell of beginnings and odd rows too"
    )


def json_option(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")


def plugins_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--strict", action="store_true", help="exit with 1 if a plugin failed")
    json_option(command)


def describe_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("kind", nargs="?", help="a kind, or plugin:kind")
    json_option(command)


def schema_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", nargs="?", choices=("run", "record"), default="run")
    command.add_argument("--built-in", action="store_true", help="only the kinds of rmplug itself")


def init_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", nargs="?", help="a recipe")
    command.add_argument("folder", nargs="?", default=".", help="where to write it")
    command.add_argument(
        "--from",
        metavar="OLD.yaml",
        help="convert an experiment file of the original reward-model analysis, into FOLDER",
    )
    command.add_argument("--force", action="store_true", help="write over files that are there")
    json_option(command)


def run_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run",
        nargs="?",
        default="last",
        metavar="RUN",
        help="its id, its spec's name, the beginning of either, or last (the default)",
    )


def show_options(command: argparse.ArgumentParser) -> None:
    run_argument(command)
    command.add_argument("--numbers", action="store_true", help="show every number")
    store_options(command)


def open_options(command: argparse.ArgumentParser) -> None:
    run_argument(command)
    command.add_argument("--print", action="store_true", help="only print the path")
    store_option(command)


def compare_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs=2, metavar="RUN", help="two runs, by id, name or beginning")
    store_options(command)


def gate_options(command: argparse.ArgumentParser) -> None:
    run_argument(command)
    command.add_argument(
        "--fail-on",
        action="append",
        required=True,
        metavar="RULE",
        help="fail where this holds, such as 'accuracy < 0.7'; may be given several times",
    )
    command.add_argument(
        "--when-unsure",
        choices=("pass", "fail"),
        default="fail",
        help="what counts where only a part of the 95 %% interval breaks a rule (fail: a run that "
        "measures too little to tell has not shown what the gate asks for)",
    )
    command.add_argument(
        "--summary",
        metavar="FILE",
        help="write a summary in Markdown; it is also added to the file that the variable "
        "GITHUB_STEP_SUMMARY names",
    )
    store_options(command)


def report_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("runs", nargs="*", metavar="RUN", help="a run, or two to compare (last)")
    command.add_argument("--out", metavar="FOLDER", help="the new folder to write (RUN-report)")
    command.add_argument("--open", action="store_true", help="open the page in a browser")
    command.add_argument(
        "--store", metavar="STORE", help="folder or s3://… of results (RMPLUG_STORE, else .rmplug)"
    )


def view_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--static", metavar="FOLDER", help="write the pages as files into this new folder"
    )
    command.add_argument(
        "--port", type=_port, default=8765, help="of the server; 0 for any that is free (8765)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where the server listens; any other than this machine's own (127.0.0.1) needs a "
        "token in RMPLUG_VIEW_TOKEN",
    )
    command.add_argument("--open", action="store_true", help="open the pages in a browser")
    store_option(command)


def _port(text: str) -> int:
    number = _whole(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is 65535 at most")
    return number


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return int(text)


def gc_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keep", type=_whole, metavar="N", help="also forget all runs but the last N"
    )
    command.add_argument(
        "--scores",
        action="store_true",
        help="also remove what models gave for texts: it is kept "
        "for later runs, and computed again without",
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    store_options(command)


def loader_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", help="a folder, a name, RUN:STEP, or RUN:LOOP.STEP[ITEM]")
    command.add_argument("--kind", help="the model loader to use")
    command.add_argument(
        "--param", action="append", default=[], metavar=NAMED, help="for the model loader"
    )


def model_options(command: argparse.ArgumentParser) -> None:
    loader_options(command)
    command.add_argument("file", nargs="?", help="JSON Lines; standard input when left out")
    command.add_argument("--prompt", help="the prompt")


def score_options(command: argparse.ArgumentParser) -> None:
    model_options(command)
    command.add_argument("--response", help="the response")


def rank_options(command: argparse.ArgumentParser) -> None:
    model_options(command)
    command.add_argument(
        "--responses", nargs="+", metavar=("A", "B"), help="the responses to one prompt"
    )


def compare_texts_options(command: argparse.ArgumentParser) -> None:
    model_options(command)
    command.add_argument("--a", help="one response")
    command.add_argument("--b", help="the other")


def serve_options(command: argparse.ArgumentParser) -> None:
    loader_options(command)
    command.add_argument("--name", help="of the model in requests and answers (its folder's name)")
    command.add_argument(
        "--port", type=_port, default=8000, help="of the server; 0 for any that is free (8000)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where the server listens (127.0.0.1: this machine alone)",
    )
    command.add_argument(
        "--token-variable",
        metavar="NAME",
        help="environment variable with a token that every request has to show, except /health",
    )
    for option, default, what in (
        ("--batch-rows", 64, "most rows that the model gets at once"),
        ("--queue-rows", 4096, "most rows that wait; beyond, requests are refused with 429"),
        ("--max-rows", 1024, "most rows in a request"),
        ("--max-body", 16, "most MiB of a request"),
        ("--max-text", 250_000, "most characters of a row, prompt and response together"),
        ("--max-connections", 900, "most connections at once; beyond, clients get 503"),
        ("--max-seconds", 30, "most seconds until a request has arrived"),
    ):
        command.add_argument(
            option, type=_some, default=default, metavar="N", help=f"{what} ({default})"
        )
    command.add_argument(
        "--wait",
        type=_whole,
        default=2,
        metavar="MS",
        help="milliseconds without a new request after which those that wait are scored (2)",
    )
    command.add_argument(
        "--raw-queries",
        action="store_true",
        help="read the queries of /get_reward as they are, by the model's tokenizer, instead of as "
        "a prompt and its response",
    )
    command.add_argument(
        "--ending",
        action="append",
        default=[],
        metavar="TEXT",
        help="a text, such as a token, that ends a query of /get_reward and is no part of it",
    )


def _some(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it is 1 at least")
    return number


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from error


def train_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", required=True, help="a folder, a name on the hub, or minilm")
    command.add_argument("--data", required=True, help="a file of pairs, or a name on the hub")
    command.add_argument("--loader", default="pairs-file", help="the kind that reads the file")
    for column in ("prompt", "chosen", "rejected"):
        command.add_argument(f"--{column}", metavar="COLUMN", help=f"the column of {column}")
    command.add_argument("--lora", action="store_true", help="train low-rank matrices and the head")
    command.add_argument(
        "--param",
        action="append",
        default=[],
        metavar=NAMED,
        help="of reward-model (see describe reward-model) or of sequence-classifier: "
        "num_train_epochs=3, lora.r=8, max_length=512",
    )
    command.add_argument(
        "--test", type=_share, default=0.2, metavar="SHARE", help="of prompts, held out (0.2)"
    )
    command.add_argument(
        "--validation",
        type=_share,
        default=0.1,
        metavar="SHARE",
        help="of the other prompts, measured on the way (0.1; 0 for none)",
    )
    command.add_argument("--seed", type=_whole, default=0, help="of head, order and dropout (0)")
    command.add_argument("--spec", metavar="FILE", help="write the spec there; run nothing")
    command.add_argument("--out", metavar="FOLDER", help="copy the model into this new folder")
    progress_options(command)
    store_option(command)
