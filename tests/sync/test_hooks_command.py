"""``hooks``: list, ensure, rotate and delete, against the stand-in that lets us manage them."""

import pytest
from commanded import command
from harbour import harbour

from state import tokens
from state.database import reading


@pytest.fixture
async def port(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    async with harbour(home) as port:
        port.text = "server: {public_url: https://ferry.example}\n" + port.text
        (home / "bookferry.yaml").write_text(port.yaml)
        yield port


def sealed(port):
    with reading(port.path) as tx:
        return [name.rpartition(":")[2] for name in tokens.names(tx, "hook:reviews:")]


async def hooks(port, *words, code=0):
    done, out, err = await command(port, "hooks", "reviews", *words)
    assert done == code, err
    return " ".join(out.split()), err


async def test_the_whole_life_of_a_webhook(port):
    assert (await hooks(port, "list"))[0] == "No webhook is registered."
    said, _ = await hooks(port, "ensure")
    (first,) = port.reviews.webhooks
    assert said == f"{first} https://ferry.example/hooks/reviews: enabled"
    assert (await hooks(port, "ensure"))[0] == said, "a second time changes nothing"
    assert sealed(port) == [first]
    said, _ = await hooks(port, "rotate")
    (second,) = set(port.reviews.webhooks) - {first}
    assert f"{second} https://ferry.example/hooks/reviews: enabled, new" in said
    assert f"{first} https://ferry.example/hooks/reviews: enabled, older: delete it once" in said
    assert set(sealed(port)) == {first, second}
    said, _ = await hooks(port, "delete", first)
    assert said == f"{second} https://ferry.example/hooks/reviews: enabled"
    assert (sealed(port), list(port.reviews.webhooks)) == ([second], [second])


async def test_a_webhook_that_is_not_there_is_not_said_to_be_deleted(port):
    await hooks(port, "ensure")
    (there,) = port.reviews.webhooks
    _, err = await hooks(port, "delete", there[:-1], code=1)
    assert f'did you mean "{there}"' in err
    assert (sealed(port), list(port.reviews.webhooks)) == ([there], [there])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("salon", "list"), "has no call that manages webhooks"),
        (("reviews", "delete"), "delete needs the ID"),
        (("reviews", "list", "x"), "delete needs the ID"),
        (("reviews", "lst"), "did you mean"),
        (("review", "list"), "did you mean"),
    ],
)
async def test_what_cannot_be_is_one_sentence(port, words, said):
    code, _, err = await command(port, "hooks", *words)
    assert code == 1
    assert said in err
    assert len([line for line in err.splitlines() if line.startswith("bookferry: ")]) == 1


async def test_without_a_public_address_none_is_made(port):
    file = port.path.with_name("bookferry.yaml")
    file.write_text(file.read_text().replace("server: {public_url: https://ferry.example}\n", ""))
    _, err = await hooks(port, "ensure", code=1)
    assert "server.public_url" in err
    assert port.reviews.webhooks == {}
