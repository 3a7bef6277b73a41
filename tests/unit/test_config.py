"""What vagus.yaml may say, and the one line that answers what it may not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vagus import config
from vagus.config import Kind, Mode
from vagus.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]

STACK = """\
stack:
  chat:
    kind: model-server
    replicas:
      chat-1: http://127.0.0.1:8101
      chat-2: http://127.0.0.1:8102
"""


def refused(text: str) -> ConfigError:
    """The error that answers ``text``: always one line with a place in it."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text)
    said = str(caught.value)
    assert "\n" not in said
    assert re.match(r"vagus\.yaml(:\d+)?: ", said)
    return caught.value


def test_the_smallest_configuration_watches_and_touches_nothing() -> None:
    settings = config.parse(STACK)
    assert settings.mode is Mode.SHADOW
    assert settings.stack["chat"].kind is Kind.MODEL_SERVER
    assert settings.policy.floor == 0.5
    assert (settings.policy.budget.count, settings.policy.budget.period) == (0.1, 600.0)
    assert (settings.false_alarms.count, settings.false_alarms.period) == (1.0, 7 * 86400.0)


def test_the_example_is_a_configuration() -> None:
    settings = config.load(ROOT / "examples" / "vagus.yaml")
    assert set(settings.stack) == {"chat", "embed", "vectors", "rag"}
    assert settings.gateway is not None
    assert settings.gateway.envoy.dir == ROOT / "examples" / "envoy"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("3s", 3), ("1.5 m", 90), ("2h", 7200), ("30d", 2592000), ("1w", 604800)],
)
def test_durations_are_written_with_their_unit(written: str, seconds: float) -> None:
    settings = config.parse(STACK + f"policy: {{cooldown: {written}}}\n")
    assert settings.policy.cooldown == seconds


@pytest.mark.parametrize(("written", "share"), [("0%", 0), ("12.5%", 0.125), ("100 %", 1)])
def test_shares_are_written_as_percentages(written: str, share: float) -> None:
    assert config.parse(STACK + f"policy: {{floor: {written}}}\n").policy.floor == share


@pytest.mark.parametrize("mode", list(Mode))
def test_a_mode_is_the_word_that_was_written(mode: Mode) -> None:
    """YAML 1.1 reads a bare ``off`` as a boolean."""
    assert config.parse(STACK + f"mode: {mode.value}\n").mode is mode


def test_a_name_is_the_word_that_was_written() -> None:
    settings = config.parse("stack: {no: {kind: cache}, 'on': {kind: cache, depends_on: [no]}}")
    assert set(settings.stack) == {"no", "on"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param(STACK + "mod: auto\n", 7, "unknown key 'mod'", id="unknown key"),
        pytest.param(
            STACK + "    engin: vllm\n", 7, "unknown key 'engin' in stack.chat", id="nested unknown"
        ),
        pytest.param("stak: {}\n", 1, "unknown key 'stak'", id="mistyped stack"),
        pytest.param("", 1, "stack: is missing", id="empty"),
        pytest.param("stack: {}\n", 1, "name at least one component", id="empty stack"),
        pytest.param("stack: {chat: {}}", 1, "stack.chat.kind: is missing", id="no kind"),
        pytest.param("stack: {chat: {kind: gpu}}", 1, "'model-server'", id="unknown kind"),
        pytest.param(STACK + "notify: me\n", 7, "notify: has to be a list", id="no list"),
        pytest.param(STACK + "policy: 3\n", 7, "policy: has to be a mapping", id="no mapping"),
        pytest.param(STACK + "state: 5\n", 7, "state: has to be text", id="no text"),
        pytest.param(STACK + "api: {port: http}\n", 7, "api.port", id="no number"),
        pytest.param(STACK + "api: {port: 70000}\n", 7, "65535", id="port out of range"),
        pytest.param(STACK + "api: {host: 0.0.0.0}\n", 7, "'127.0.0.1'", id="not loopback"),
        pytest.param(STACK + "mode: fast\n", 7, "'shadow'", id="unknown mode"),
        pytest.param(STACK + "policy: {cooldown: 5}\n", 7, "write it as 5s", id="no unit"),
        pytest.param(STACK + "policy: {cooldown: 5y}\n", 7, "not a duration", id="unknown unit"),
        pytest.param(STACK + "policy: {floor: 50}\n", 7, "percentage", id="no percent sign"),
        pytest.param(STACK + "policy: {floor: 1}\n", 7, "percentage", id="one of what"),
        pytest.param(STACK + "policy: {floor: 101%}\n", 7, "100%", id="more than all"),
        pytest.param(STACK + "policy: {budget: 10%}\n", 7, "10% per 10m", id="budget in no time"),
        pytest.param(STACK + "policy: {budget: 10 per 10m}\n", 7, "share", id="budget of what"),
        pytest.param(STACK + "false_alarms: few\n", 7, "1 per week", id="alarm budget"),
        pytest.param(
            STACK + "healing: {return_steps: [50%, 20%, 100%]}\n", 7, "rise", id="steps fall"
        ),
        pytest.param(STACK + "healing: {return_steps: [50%]}\n", 7, "100%", id="steps end early"),
        pytest.param(
            STACK + "    depends_on: [vectors]\n", 7, "'vectors' is not in stack", id="dependency"
        ),
        pytest.param(
            STACK + "objectives:\n- {subject: rag, signal: errors, at_most: 1%, over: 30d}\n",
            8,
            "'rag' is not in stack",
            id="objective",
        ),
        pytest.param("stack: {Chat: {kind: cache}}", 1, "'Chat' is not a name", id="name"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, words: str) -> None:
    error = refused(text)
    assert error.where == f"vagus.yaml:{line}"
    assert words in str(error)


def test_an_unknown_key_is_answered_with_the_known_ones() -> None:
    error = refused(STACK + "gateway: {envoy: {admin: http://127.0.0.1:9901, folder: x}}\n")
    assert "access_log, admin, dir" in error.mend


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        pytest.param(
            STACK + "  chat: {kind: cache}\n",
            7,
            "'chat' stands twice (first in line 2)",
            id="component",
        ),
        pytest.param(
            STACK + "      chat-1: http://127.0.0.1:8103\n",
            7,
            "'chat-1' stands twice",
            id="replica",
        ),
        pytest.param(
            "mode: off\n" + STACK + "mode: auto\n", 8, "'mode' stands twice", id="setting"
        ),
        pytest.param(
            STACK + "  embed: {kind: cache, replicas: {chat-2: http://127.0.0.1:1}}\n",
            7,
            "'chat' has a replica of this name too",
            id="replicas of two components",
        ),
        pytest.param(
            STACK + "      chat-3: http://127.0.0.1:8102/\n", 7, "'chat-2' is at", id="address"
        ),
    ],
)
def test_what_stands_twice_is_refused(text: str, line: int, words: str) -> None:
    error = refused(text)
    assert error.where == f"vagus.yaml:{line}"
    assert words in str(error)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:8101", "write it as http://host:port"),
        ("http://127.0.0.1", "write it as http://host:port"),
        ("ftp://127.0.0.1:21", "write it as http://host:port"),
        ("http://127.0.0.1:99999", "from 1 to 65535"),
        ("http://127.0.0.1:web", "from 1 to 65535"),
        ("http://me:secret@127.0.0.1:8101", "credentials"),
        ("http://[::1", "IPv6"),
    ],
)
def test_an_address_says_how_and_where(address: str, words: str) -> None:
    error = refused(STACK + f"      chat-3: {address!r}\n")
    assert error.where == "vagus.yaml:7"
    assert words in error.message
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("stack: [", "vagus.yaml:1"),
        ("stack:\n\tchat: x", "vagus.yaml:2"),
        ("a: *b", "vagus.yaml:1"),
        ("a: 1\n---\nb: 2", "vagus.yaml:2"),
        ("a: 1\n\x00", "vagus.yaml:2"),
        ("a: !!python/name:os.system x", "vagus.yaml:1"),
        ("a: !!timestamp 2024-01-01", "vagus.yaml:1"),
        ("? [a, b]\n: 1", "vagus.yaml:1"),
        ("a: " + "[" * 1500, "vagus.yaml"),
        ("- stack", "vagus.yaml"),
    ],
)
def test_broken_yaml_is_named_with_its_line(text: str, place: str) -> None:
    assert refused(text).where == place


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "vagus.yaml"
    file.parent.mkdir()
    file.write_text(
        STACK
        + "    runtime: {process: {supervisor: http://127.0.0.1:8090, token_file: t/token}}\n"
        + "gateway: {envoy: {admin: http://127.0.0.1:9901, dir: envoy, access_log: /log/a.jsonl}}\n"
        + "telemetry: {history: history}\nheartbeat: beat\nstate: sqlite:///state/v.db\n"
    )
    settings = config.load(file)
    runtime, gateway = settings.stack["chat"].runtime, settings.gateway
    assert runtime is not None
    assert gateway is not None
    assert runtime.process.token_file == file.parent / "t" / "token"
    assert gateway.envoy.dir == file.parent / "envoy"
    assert gateway.envoy.access_log == Path("/log/a.jsonl")
    assert settings.telemetry.history == file.parent / "history"
    assert settings.heartbeat == file.parent / "beat"
    assert settings.policy.kill_switch == file.parent / "vagus.stop"
    assert settings.state == f"sqlite:///{file.parent}/state/v.db"


@pytest.mark.parametrize("prepare", ["nothing", "folder", "latin-1"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, prepare: str) -> None:
    file = tmp_path / "vagus.yaml"
    if prepare == "folder":
        file.mkdir()
    elif prepare == "latin-1":
        file.write_bytes("stack: é".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        config.load(file)
    assert caught.value.where == str(file)
    assert caught.value.exit_code == 2


def test_settings_do_not_change_once_they_are_read() -> None:
    settings = config.parse(STACK)
    with pytest.raises(ValueError, match="frozen"):
        settings.mode = Mode.AUTO  # type: ignore[misc]


@pytest.mark.parametrize(("written", "seconds"), [("30d", 30 * 86400.0), ("1d", 86400.0)])
def test_how_long_the_details_of_what_is_over_are_kept(written: str, seconds: float) -> None:
    stack = "stack: {chat: {kind: cache}}\n"
    assert config.parse(stack).retention is None
    assert config.parse(f"{stack}retention: {written}\n").retention == seconds
    with pytest.raises(ConfigError, match=r"vagus\.yaml:2: retention: keep them for 1d at least"):
        config.parse(f"{stack}retention: 23h\n")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{recall: 100%}", "no approximate index keeps 100%"),
        ("{recall: 0%}", "between 0% and 100%"),
        ("{interval: 0s}", "are a load"),
        ("{interval_suspect: 1ms}", "are a load"),
        ("{k: 0}", "k"),
    ],
)
def test_what_can_not_be_promised_of_searches_is_refused(written: str, words: str) -> None:
    assert words in str(refused(f"{STACK}retrieval: {written}\n"))


def test_who_embeds_for_a_store_is_an_embedding_server() -> None:
    store = "  vectors: {kind: vector-store, collections: [a], embedded_by: chat}\n"
    assert "no embedding-server" in str(refused(STACK + store))
