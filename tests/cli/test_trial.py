"""What ``sandbox`` prints is a configuration."""

from connectors.platforms import PLATFORMS
from daemon.commands.trial import make, snippet
from mapping.load import load


def test_the_connections_of_all_stand_ins_can_be_pasted_as_they_are():
    text = "connections:\n" + "\n".join(snippet(make(name), "http://127.0.0.1:1") for name in PLATFORMS)
    config = load(text, name="x.yaml", platforms=PLATFORMS, env={}, read_file=str, credential=lambda _: None)
    assert {each.platform for each in config.connections.values()} == set(PLATFORMS)
