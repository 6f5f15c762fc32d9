from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import sample_plugin

from rmplug import PluginError, hookspecs
from rmplug._kinds.registry import Registry, discover
from rmplug._run.local_engine import Local
from rmplug.families import FAMILIES, all_hooks
from rmplug.testing import HEAVY, registry_of

GOOD = '''
    from rmplug import DatasetLoader, Pairs, hookimpl

    class Some(DatasetLoader):
        """Loads some."""

        kind = "{kind}"

        def load(self) -> Pairs: ...

    @hookimpl
    def rmplug_dataset_loaders():
        return [Some]
'''


class Site:
    """A folder on the path of Python, with distributions as pip would leave them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, code: str, version: str = "1.0", points: str = "") -> None:
        module = name.replace("-", "_")
        (self.folder / f"{module}.py").write_text(dedent(code), encoding="utf-8")
        about = self.folder / f"{module}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
        )
        points = points or f"[rmplug]\n{name} = {module}\n"
        (about / "entry_points.txt").write_text(points, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A place for plugins beside those that are installed here, which are left out."""
    there = [entry.name for entry in entry_points(group="rmplug")]
    monkeypatch.setenv("RMPLUG_DISABLE", ",".join(there))
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def reason(registry: Registry, name: str) -> str:
    """Why a plugin was left out."""
    (plugin,) = [plugin for plugin in registry.plugins if plugin.name == name]
    assert plugin.kinds == ()
    return plugin.problem


def test_the_core_gives_its_own_kinds():
    assert {p.name for p in registry_of().all()} == {
        "core:local",
        "core:for-each",
        "core:repeat",
    }


def test_every_family_has_a_hook():
    hooks = all_hooks()
    specified = {name for name in vars(hookspecs) if name.startswith("rmplug_")}
    assert set(hooks) == specified
    assert list(hooks.values()) == list(FAMILIES)
    assert {hooks["rmplug_query_strategies"].family, hooks["rmplug_samplers"].family} == {
        "query strategy",
        "sampler",
    }


def test_an_installed_plugin_is_found_with_its_distribution_and_version(site: Site):
    site.install("good-one", GOOD.format(kind="some"), "2.3.4")
    registry = discover()
    (plugin,) = [plugin for plugin in registry.plugins if plugin.name == "good-one"]
    assert (plugin.distribution, plugin.version) == ("good-one", "2.3.4")
    assert (plugin.module, plugin.kinds, plugin.problem) == ("good_one", ("some",), "")
    assert registry.find("some") is registry.find("good-one:some")
    assert registry.failed == []


BROKEN = {
    "import nothing_like_it": "ModuleNotFoundError: No module named 'nothing_like_it'",
    "raise SystemExit('no licence')": "SystemExit: no licence",
    "x = 1 / 0": "ZeroDivisionError: division by zero",
    "def f(:": "SyntaxError: ",
    "x = 1": "PluginError: it gives no kinds; implement a hook with @rmplug.hookimpl",
    """
    from rmplug import hookimpl
    @hookimpl
    def rmplug_dataset_loader():
        return []
    """: "PluginValidationError: unknown hook 'rmplug_dataset_loader' in plugin ",
    """
    def rmplug_samplers():
        return []
    """: "PluginError: put @rmplug.hookimpl above rmplug_samplers, or it is never called",
    """
    from rmplug import hookimpl
    @hookimpl
    def rmplug_samplers(config):
        return []
    """: "PluginValidationError: Plugin 'bad' for hook 'rmplug_samplers'",
    """
    from rmplug import hookimpl
    @hookimpl
    def rmplug_samplers():
        return None
    """: "PluginError: rmplug_samplers gave NoneType; give a list of step classes",
    """
    from rmplug import Sampler, hookimpl
    @hookimpl
    def rmplug_samplers():
        return Sampler
    """: "PluginError: rmplug_samplers gave ModelMetaclass; give a list of step classes",
    """
    from rmplug import hookimpl
    @hookimpl
    def rmplug_samplers():
        return [3]
    """: "PluginError: 3 is not a class of family 'sampler'",
    """
    from rmplug import hookimpl
    @hookimpl
    def rmplug_samplers():
        raise RuntimeError("two\\nlines")
    """: "RuntimeError: two",
    """
    from rmplug import Pairs, Sampler, hookimpl
    class Mute(Sampler):
        kind = "mute"
        def sample(self, data: Pairs) -> Pairs: ...
    @hookimpl
    def rmplug_samplers():
        return [Mute]
    """: "PluginError: Mute has no docstring; its first line is shown to users",
    """
    from rmplug import Pairs, Sampler, hookimpl
    class Twice(Sampler):
        '''Twice.'''
        kind = "twice"
        def sample(self, data: Pairs) -> Pairs: ...
    @hookimpl
    def rmplug_samplers():
        return [Twice, Twice]
    """: "PluginError: it gives the kind 'twice' twice",
}


@pytest.mark.parametrize("code", BROKEN, ids=list(range(len(BROKEN))))
def test_a_broken_plugin_is_listed_and_breaks_nothing_else(site: Site, code: str):
    site.install("bad", code, "0.1")
    site.install("good", GOOD.format(kind="some"))
    registry = discover()
    assert reason(registry, "bad").startswith(BROKEN[code])
    assert registry.find("some").plugin == "good"
    assert [(p.distribution, p.version) for p in registry.failed] == [("bad", "0.1")]
    assert [p.plugin for p in registry.all() if p.plugin != "core"] == ["good"]


def test_nothing_of_a_plugin_that_is_wrong_in_one_place_is_kept(site: Site):
    more = "\n    @hookimpl\n    def rmplug_samplers():\n        return [Some]\n"
    site.install("half", GOOD.format(kind="some") + more)
    assert "is not a class of family 'sampler'" in reason(discover(), "half")
    with pytest.raises(PluginError, match="unknown kind 'some'"):
        discover().find("some")


def test_an_unknown_kind_names_the_plugins_that_failed(site: Site):
    site.install("bad", "import nothing_like_it", "0.7")
    with pytest.raises(PluginError) as error:
        discover().find("for-eech")
    assert str(error.value) == (
        "unknown kind 'for-eech'; did you mean 'for-each'?; plugins that could not be loaded: "
        "bad (bad 0.7): ModuleNotFoundError: No module named 'nothing_like_it'"
    )


def test_an_entry_point_that_names_nothing_is_listed(site: Site):
    site.install("bad", "", points="[rmplug]\nbad = bad:nothing\nworse = not a module\n")
    registry = discover()
    assert reason(registry, "bad") == "AttributeError: module 'bad' has no attribute 'nothing'"
    assert "Error" in reason(registry, "worse")


def test_a_distribution_whose_entry_points_cannot_be_read_is_listed(site: Site):
    site.install("bad", "", points="[rmplug]\nno equals sign here\n")
    site.install("good", GOOD.format(kind="some"))
    registry = discover()
    assert reason(registry, "bad").startswith("its entry_points.txt cannot be read: ")
    assert registry.find("some").plugin == "good"


def test_a_distribution_without_metadata_is_used_all_the_same(site: Site):
    site.install("good", GOOD.format(kind="some"))
    (site.folder / "good-1.0.dist-info" / "METADATA").unlink()
    assert discover().find("some").distribution in ("unknown", "None")


def test_plugins_are_left_out_by_name(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.install("one", GOOD.format(kind="first"))
    site.install("two", GOOD.format(kind="second"))
    site.install("bad", "raise RuntimeError")
    assert {p.name for p in discover(["two", "bad"]).plugins} >= {"core", "one"}
    assert not {"two", "bad"} & {p.name for p in discover(["two", "bad"]).plugins}
    monkeypatch.setenv("RMPLUG_DISABLE", f"{os.environ['RMPLUG_DISABLE']},one,bad")
    assert not {"one", "bad"} & {p.name for p in discover().plugins}


@pytest.mark.parametrize(
    ("name", "reason"),
    [("oen", "it is not installed; did you mean 'one'?"), ("core", "it is always there")],
)
def test_what_cannot_be_disabled_is_told(site: Site, name: str, reason: str):
    site.install("one", GOOD.format(kind="first"))
    with pytest.raises(PluginError) as error:
        discover([name])
    assert str(error.value) == f"cannot disable {name!r}: {reason}; see rmplug plugins"


def test_authors_can_be_strict(site: Site):
    site.install("good", GOOD.format(kind="some"))
    assert discover(strict=True).find("some")
    site.install("bad", "raise RuntimeError('no')")
    with pytest.raises(PluginError, match=r"^plugins that could not be loaded: bad: Runtime"):
        discover(strict=True)


class TestClashes:
    def test_two_givers_of_a_kind_are_wrong_only_when_it_is_used(self, site: Site):
        site.install("one", GOOD.format(kind="some"), "1.0")
        site.install("two", GOOD.format(kind="some"), "2.0")
        registry = discover()
        assert registry.failed == []
        with pytest.raises(PluginError) as error:
            registry.find("some")
        assert str(error.value) == (
            "kind 'some' is given by one:some (one 1.0) and by two:some (two 2.0); "
            "write one:some or two:some"
        )
        assert registry.find("two:some").version == "2.0"

    def test_two_plugins_of_one_name_are_told_apart_by_distribution(self, site: Site):
        for name in ("one", "two"):
            points = f"[rmplug]\nsame = {name}\n"
            site.install(name, GOOD.format(kind="some"), points=points)
        registry = discover()
        with pytest.raises(PluginError, match=r"write one:some or two:some$"):
            registry.find("some")
        assert registry.find("two:some").distribution == "two"

    def test_a_plugin_cannot_take_the_place_of_the_core(self, site: Site):
        code = "from rmplug import hookimpl\nfrom rmplug._run.local_engine import Local\n"
        code += "class Other(Local):\n    '''Another.'''\n    kind = 'local'\n"
        code += "@hookimpl\ndef rmplug_engines():\n    return [Other]\n"
        site.install("greedy", code)
        assert discover().find("core:local").cls is Local


def test_a_registry_for_tests_has_no_discovery(site: Site):
    site.install("good", GOOD.format(kind="some"))
    registry = registry_of(sample_plugin)
    assert {plugin.name for plugin in registry.plugins} == {"core", "sample_plugin"}
    assert registry.find("count").cls is sample_plugin.Count


def test_a_registry_can_keep_one_distribution():
    registry = registry_of(sample_plugin)
    registry.keep("rmplug")
    assert {provider.plugin for provider in registry.all()} == {"core"}


def test_a_wrong_module_raises_when_it_is_given_by_hand():
    with pytest.raises(Exception, match="it gives no kinds"):
        registry_of(SimpleNamespace(__name__="empty"))


def test_an_entry_point_without_a_distribution_is_described():
    registry = registry_of()
    registry.add("loose", object(), EntryPoint("loose", "sample_plugin", "rmplug"))
    assert registry.plugins[-1].kinds


def test_importing_and_discovering_loads_nothing_heavy():
    code = (
        "import sys, rmplug\nfrom rmplug._kinds.registry import discover\nregistry = discover()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("arguments", [["--help"], ["check", "spec.yaml"], ["plugins", "--json"]])
def test_commands_that_only_look_load_nothing_heavy(tmp_path: Path, arguments: list[str]):
    (tmp_path / "spec.yaml").write_text("steps: {a: {kind: unknown-kind}}\n", encoding="utf-8")
    code = (
        "import sys\nfrom rmplug._cli.commands import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=tmp_path,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.endswith("[]\n")


def test_every_command_reads_as_a_sentence_for_a_plugin_that_failed(
    site: Site, capsys: pytest.CaptureFixture[str]
):
    from rmplug._cli.commands import main

    site.install("bad", "raise RuntimeError('no licence')", "0.3")
    assert main(["plugins", "--json"]) == 0
    assert '"bad 0.3"' in capsys.readouterr().out
    assert main(["plugins", "--strict"]) == 1
    assert "RuntimeError: no licence" in capsys.readouterr().out


def test_a_kind_that_is_no_more_is_told_with_what_to_write_instead(site: Site):
    former = '{"older": "it was split; write kind: newer"}'
    kind = '        kind = "newer"\n'
    code = GOOD.format(kind="newer").replace(kind, f"{kind}        former_kinds = {former}\n")
    site.install("split", code)
    with pytest.raises(PluginError, match="^unknown kind 'older': it was split; write kind: newer"):
        discover().find("older")


def test_what_changes_in_a_running_process_is_found(site: Site):
    site.install("first", GOOD.format(kind="some"))
    before = discover().find("some").cls
    assert discover().find("some").cls is before
    site.install("second", GOOD.format(kind="other"))
    assert discover().find("other").plugin == "second"
    module = sys.modules["first"]
    exec(dedent(GOOD.format(kind="another")), vars(module))  # as importlib.reload does
    assert discover().find("another").cls is module.Some
    with pytest.raises(PluginError, match="unknown kind 'some'"):
        discover().find("some")
    shutil.rmtree(site.folder / "second-1.0.dist-info")
    assert {plugin.name for plugin in discover().plugins} == {"core", "first"}
