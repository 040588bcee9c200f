"""The openai client for Python, unchanged, against the gateway: answers, streams, refusals, leaving. Skips where pip cannot get it.

usage: test_openai.py FAKE_GATEWAY VENV    over the stand-in
       test_openai.py CACHET VENV SOURCE_ROOT    over three real parties
"""
import fcntl
import os
import subprocess
import sys
import time

program, venv = sys.argv[1], os.path.abspath(sys.argv[2])
python = os.path.join(venv, "bin", "python")


def install():
    """One at a time: both tests have one client."""
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    with open(venv + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return install_alone()


def install_alone():
    if os.path.exists(python) and subprocess.run([python, "-c", "import openai"], capture_output=True).returncode == 0:
        return True
    try:
        return (subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, timeout=120).returncode == 0 and
                subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1", "openai==3.51.0"], capture_output=True, timeout=240).returncode == 0)
    except subprocess.TimeoutExpired:
        return False


# Started by any Python; goes on in the one that has the client.
if os.path.realpath(sys.prefix) != os.path.realpath(venv):
    there = install()
    if not there:
        print("skipped: pip cannot install the openai client here", file=sys.stderr)
        sys.exit(77)
    os.execv(python, [python, *sys.argv])

import openai  # noqa: E402

from deployment import Place, metric, until_idle  # noqa: E402
from gateway import Gateway, check, finish  # noqa: E402


def raises(kind, words, call):
    try:
        call()
    except kind as error:
        check(words in str(error), f"{kind.__name__} says {error}, not {words}")
        return
    except Exception as error:  # noqa: BLE001 any other is a failure of the test
        check(False, f"{type(error).__name__} in place of {kind.__name__}: {error}")
        return
    check(False, f"no {kind.__name__}")


def hello(text):
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def use(g, client):
    check([m.id for m in client.models.list()] == ["fake-model"] and client.models.retrieve("fake-model").id == "fake-model", "models")
    chat = client.chat.completions
    answer = chat.create(model="fake-model", messages=hello("{tokens=4}{stop}"), temperature=0.5, top_p=0.9, seed=3, max_tokens=20)
    check(answer.choices[0].message.content == "w0 w1 w2 w3 " and answer.choices[0].finish_reason == "stop", f"chat: {answer}")
    check(answer.usage.completion_tokens == 4 and answer.usage.total_tokens == answer.usage.prompt_tokens + 4, f"usage: {answer.usage}")
    check(answer._request_id and answer._request_id in answer.id, "the request's id")
    parts = [{"type": "text", "text": "{tokens=3}"}]
    check(chat.create(model="fake-model", messages=[{"role": "user", "content": parts}], max_completion_tokens=3).choices[0].message.content == "w0 w1 w2 ", "parts")

    pieces = list(chat.create(model="fake-model", messages=hello("{tokens=6}{prompt=1300}"), stream=True, stream_options={"include_usage": True}))
    check("".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == "w0 w1 w2 w3 w4 w5 ", "a stream")
    check(pieces[0].choices[0].delta.role == "assistant" and pieces[-1].usage.completion_tokens == 6, "its first and last piece")
    with client.chat.completions.stream(model="fake-model", messages=hello("{tokens=3}{stop}")) as stream:
        stream.until_done()
        check(stream.get_final_completion().choices[0].message.content == "w0 w1 w2 ", "the client's own collector")

    text = client.completions.create(model="fake-model", prompt="{echo} said", max_tokens=50)
    check(text.choices[0].text == "{echo} said", f"completion: {text}")
    check("".join(c.choices[0].text for c in client.completions.create(model="fake-model", prompt="{tokens=3}", stream=True)) == "w0 w1 w2 ", "a stream of one")

    raises(openai.NotFoundError, "fake-model", lambda: chat.create(model="gpt-4", messages=hello("a")))
    raises(openai.BadRequestError, "tools", lambda: chat.create(model="fake-model", messages=hello("a"), tools=[{"type": "function", "function": {"name": "f"}}]))
    raises(openai.BadRequestError, "max_tokens", lambda: chat.create(model="fake-model", messages=hello("a"), max_tokens=4090))
    raises(openai.InternalServerError, "ordered", lambda: chat.create(model="fake-model", messages=hello("{fail=7}")))
    raises(openai.APIError, "ordered", lambda: list(chat.create(model="fake-model", messages=hello("{fail=7}{at=2}"), stream=True)))
    check(g.log().count("P1: a failure that was ordered") == 2, "the client repeats a request that failed by itself")

    stream = chat.create(model="fake-model", messages=hello("{tokens=4000}{delay=20}"), stream=True)
    for _, _piece in zip(range(5), stream):
        pass
    stream.close()
    g.wait_for("fake: cancelled", 5)
    raises(openai.APITimeoutError, "", lambda: client.with_options(timeout=0.5, max_retries=0).chat.completions.create(model="fake-model", messages=hello("{prompt=60000}")))
    time.sleep(0.5)
    check(g.log().count("fake: cancelled") == 2, "a client that gives up is not noticed")


def use_real(g, client, place):
    """The same over real parties: what comes is what the model says in the clear."""
    prompt, model = "Once upon a time", client.models.list().data[0].id
    check(client.models.retrieve(model).id == model, "models")
    twin = place.twin(prompt, 8)
    ask = dict(model=model, prompt=prompt, max_tokens=8, temperature=0)
    answer = client.completions.create(**ask)
    check(answer.choices[0].text == twin and answer.choices[0].finish_reason == "length", f"completion: {answer.choices[0]}, the twin says {twin!r}")
    check(answer.usage.completion_tokens == 8 and answer.usage.total_tokens == 8 + answer.usage.prompt_tokens, f"usage: {answer.usage}")
    check(answer.model_extra["cachet"]["rounds"] > 0, "what it cost")
    pieces = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    check("".join(p.choices[0].text for p in pieces if p.choices) == twin and pieces[-1].usage.completion_tokens == 8, "a stream of it")
    chat = client.chat.completions
    whole = chat.create(model=model, messages=hello("Hello"), max_tokens=8, temperature=0)
    said = whole.choices[0].message.content
    # The client's own collector takes an answer that was cut at its length for an error.
    with chat.stream(model=model, messages=hello("Hello"), max_tokens=8, temperature=0, stop=[said[-4:]]) as stream:
        stream.until_done()
        collected = stream.get_final_completion().choices[0].message
    check(len(said) > 8 and collected.content == said[:said.index(said[-4:])] and collected.role == "assistant", f"chat: {whole.choices[0]}, as a stream {collected}")

    raises(openai.NotFoundError, model, lambda: chat.create(model="gpt-4", messages=hello("a")))
    raises(openai.BadRequestError, "tools", lambda: chat.create(model=model, messages=hello("a"), tools=[{"type": "function", "function": {"name": "f"}}]))
    raises(openai.BadRequestError, "context", lambda: client.completions.create(**{**ask, "prompt": "a dog " * 300}))

    stream = client.completions.create(**{**ask, "max_tokens": 200}, stream=True)
    for _, _piece in zip(range(3), stream):
        pass
    stream.close()
    check(until_idle(g) is not None, "a stream that was closed goes on")
    raises(openai.APITimeoutError, "", lambda: client.with_options(timeout=1, max_retries=0).completions.create(**{**ask, "max_tokens": 200}))
    check(until_idle(g) is not None and metric(g, 'cachet_requests_total{outcome="cancelled"}') == 2, "a client that gives up is not noticed")
    check(client.completions.create(**ask).choices[0].text == twin, "the answer behind those who left")


def over_parties(root):
    with Place(program, root) as place, place.up("openai") as g:
        use_real(g, openai.OpenAI(base_url=f"http://127.0.0.1:{g.port}/v1", api_key="any"), place)


def over_stand_in():
    with open(os.path.join(venv, "test-keys"), "w") as file:
        file.write("a-key-for-this-test\n")
    with Gateway(program, "--api-key-file", file.name, "--most-running", "1", "--most-waiting", "0") as gateway:
        gateway.key = "a-key-for-this-test"
        url = f"http://127.0.0.1:{gateway.port}/v1"
        use(gateway, openai.OpenAI(base_url=url, api_key="a-key-for-this-test"))
        raises(openai.AuthenticationError, "API key", lambda: openai.OpenAI(base_url=url, api_key="wrong").models.list())
        other = gateway.open("{prompt=60000}", stream=True)
        time.sleep(0.2)
        raises(openai.RateLimitError, "wait", lambda: openai.OpenAI(base_url=url, api_key=gateway.key, max_retries=0).chat.completions.create(model="fake-model", messages=hello("a")))
        other.close()


over_parties(sys.argv[3]) if len(sys.argv) > 3 else over_stand_in()
finish()
