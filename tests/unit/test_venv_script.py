"""scripts/venv.py: the environment is made once, and an interrupted one is never believed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "venv.py"


class Pip:
    """Stands in for pip and venv: counts the calls, and fails or is killed when told to."""

    def __init__(self) -> None:
        self.lists: list[str] = []
        self.environments = 0
        self.fails_with: int | type[BaseException] = 0

    def run(self, command: list[str], _count: int) -> int:
        if "-r" in command:
            self.lists.append(Path(command[-1]).stem)
            if isinstance(self.fails_with, type):
                raise self.fails_with
            return self.fails_with
        return 0

    def create(self, venv: Path) -> int:
        self.environments += 1
        (venv / "bin").mkdir()
        (venv / "bin" / "pip").touch()
        return 0


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("venv_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    for name in module.LISTS:
        (tmp_path / "requirements" / f"{name}.txt").write_text("one==1 \\\n    --hash=sha256:0\n")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "_of_this_python", lambda _venv: True)
    return module


@pytest.fixture
def pip(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Pip:
    pip = Pip()
    monkeypatch.setattr(script, "_run_pip", pip.run)
    monkeypatch.setattr(script, "_create", pip.create)
    return pip


def call(script: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["venv.py", name, "--venv", str(script.ROOT / ".venv")])
    code: int = script.main()
    return code


def test_a_second_call_does_nothing(
    script: ModuleType, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [call(script, "lab", monkeypatch) for _ in range(2)] == [0, 0]
    assert (pip.lists, pip.environments) == (["lab"], 1)


def test_a_list_is_part_of_the_wider_ones(
    script: ModuleType, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dev", "lab", "run"):
        assert call(script, name, monkeypatch) == 0
    assert pip.lists == ["dev"]


def test_a_wider_list_is_installed_on_top(
    script: ModuleType, pip: Pip, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run", "dev", "run"):
        assert call(script, name, monkeypatch) == 0
    assert (pip.lists, pip.environments) == (["run", "dev"], 1)


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml"])
def test_what_changed_is_installed(
    script: ModuleType, pip: Pip, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    assert call(script, "dev", monkeypatch) == 0
    (script.ROOT / changed).write_text("two==2\n")
    assert call(script, "dev", monkeypatch) == 0
    assert (pip.lists, pip.environments) == (["dev", "dev"], 1)


@pytest.mark.parametrize("how", [1, KeyboardInterrupt])
def test_an_interrupted_installation_starts_from_nothing(
    script: ModuleType, pip: Pip, monkeypatch: pytest.MonkeyPatch, how: int | type[BaseException]
) -> None:
    assert call(script, "run", monkeypatch) == 0
    half = script.ROOT / ".venv" / "bin" / "half-installed"
    half.touch()
    pip.fails_with = how
    if isinstance(how, int):
        assert call(script, "dev", monkeypatch) == 1
    else:
        with pytest.raises(how):
            call(script, "dev", monkeypatch)
    pip.fails_with = 0
    assert call(script, "run", monkeypatch) == 0, "the stamp of the earlier list must be gone"
    assert (pip.lists, pip.environments) == (["run", "dev", "run"], 2)
    assert not half.exists()


def test_an_old_python_is_told_so(
    script: ModuleType,
    pip: Pip,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(script.sys, "version_info", (3, 9, 2))
    assert call(script, "run", monkeypatch) == 1
    assert "Python 3.11 or newer, and this is 3.9.2" in capsys.readouterr().err
    assert pip.lists == []
