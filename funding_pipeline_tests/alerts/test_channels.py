"""Channels: their names, what they send, and that no secret leaves them."""

import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from funding_pipeline.alerts.channels import Channel, channels, send
from funding_pipeline.alerts.message import Message
from funding_pipeline.alerts.ping import ping
from funding_pipeline.settings import Settings
from funding_pipeline_tests.alerts.webhook import listening

MESSAGE = Message("Funding rates: 1 new problem", "bybit: <b>5</b> & *more* of a_b stale", "error")


def test_addresses_are_apart_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ["tgram://1:t/2", "mailto://u:p@h.org?to=a@b.c,d@e.f", "slack://a/b/c", "json://h/x,y"]
    for separator in (",", " ", ", ", "\n"):
        monkeypatch.setenv("FUNDING_ALERT_URLS", separator.join(urls) + separator)
        assert [url.get_secret_value() for url in Settings().alert_urls] == urls
    for empty in ("", " , "):
        monkeypatch.setenv("FUNDING_ALERT_URLS", empty)
        assert Settings().alert_urls == ()


def test_settings_do_not_tell_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNDING_ALERT_URLS", "tgram://123:SECRET/9")
    monkeypatch.setenv("FUNDING_PING_URL", "https://example.org/SECRET")
    assert "SECRET" not in f"{Settings()!r} {Settings().model_dump_json()}"


def test_names_tell_the_kind_alone() -> None:
    urls = ["slack://a/b", "json://h", "Slack://c/d", "123456:TOKEN", "a b c://x"]
    found = [channel.name for channel in channels([SecretStr(url) for url in urls])]
    assert found == ["slack", "json", "slack 2", "unknown", "unknown 2"]


def test_a_message_arrives_as_it_was_written() -> None:
    with listening() as hook:
        assert send(Channel("json", SecretStr(hook.url)), MESSAGE) is None
    (posted,) = hook.received
    assert (posted["title"], posted["message"]) == (MESSAGE.title, MESSAGE.body)
    assert posted["type"] == "failure"


class Log(logging.Handler):
    """What reaches a log that somebody set up for everything. (caplog hears also what is kept from
    it.)
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        # urllib3 tells paths where somebody asks for its debugging lines; that is not ours to stop.
        if not record.name.startswith("urllib3"):
            self.text += record.getMessage() + "\n"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    caplog.set_level(logging.DEBUG)
    handler = Log()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def test_why_a_channel_failed_is_told_without_its_secrets(
    log: Log, capfd: pytest.CaptureFixture[str]
) -> None:
    told = []
    with listening() as hook:
        hook.status = 500
        told.append(send(Channel("json", SecretStr(f"{hook.url}SECRET?x=SECRET")), MESSAGE))
        gone = hook.host
    told.append(send(Channel("json", SecretStr(f"json://me:SECRET@{gone}/SECRET")), MESSAGE))
    for url in ("tgram://SECRET", "slack://SECRET", "nosuch://SECRET", "SECRET"):
        told.append(send(Channel("x", SecretStr(url)), MESSAGE))
    assert told[0] is not None
    assert "500" in told[0]
    assert told[1] == "A Connection error occurred sending JSON notification to ***."
    assert set(told[2:]) == {
        "its address in FUNDING_ALERT_URLS is not one that Apprise understands"
    }
    assert "SECRET" not in log.text
    assert "SECRET" not in str(told)
    assert "SECRET" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(("status", "well"), [(200, True), (404, False), (503, False)])
def test_a_ping(status: int, well: bool, caplog: pytest.LogCaptureFixture) -> None:
    with listening() as hook:
        hook.status = status
        assert ping(SecretStr(f"http://{hook.host}/SECRET")) is well
    assert hook.got == ["/SECRET"]
    assert "SECRET" not in caplog.text
    assert (str(status) in caplog.text) is not well


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "no address", "ftp://x", "http://[::1"])
def test_a_ping_that_fails_harms_nothing(url: str, caplog: pytest.LogCaptureFixture) -> None:
    assert not ping(SecretStr(url))
    assert "did not answer" in caplog.text
