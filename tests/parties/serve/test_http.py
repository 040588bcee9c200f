"""What the gateway answers: every route, every refusal, streams, keys, names of hosts.

usage: test_http.py FAKE_GATEWAY
"""
import errno
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile

from gateway import Gateway, check, chunks, events, finish, text_of

program = sys.argv[1]
CHAT = {"messages": [{"role": "user", "content": "Hello"}]}
JSON = {"Content-Type": "application/json"}


def routes(g):
    for method, path, status, kind in [("GET", "/health", 200, "application/json"), ("GET", "/v1/models", 200, "application/json"),
                                       ("GET", "/v1/models/fake-model", 200, "application/json"), ("GET", "/state", 200, "application/json"),
                                       ("GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
                                       ("GET", "/", 200, "text/html; charset=utf-8"), ("GET", "/page.css", 200, "text/css; charset=utf-8"),
                                       ("GET", "/page.js", 200, "text/javascript; charset=utf-8"), ("GET", "/?a=b", 200, "text/html; charset=utf-8")]:
        answer = g.ask(method, path)
        check(answer.status == status and answer.headers["Content-Type"] == kind, f"{path}: {answer.status} {answer.headers['Content-Type']}")
        check(answer.headers["X-Content-Type-Options"] == "nosniff" and "Access-Control-Allow-Origin" not in answer.headers, f"{path}: headers")
        head = g.ask("HEAD", path)
        check(head.status == 200 and head.body == b"", f"HEAD {path}: {head.status} {head.body[:40]}")
    check("default-src 'none'" in g.ask("GET", "/").headers["Content-Security-Policy"], "the page has no policy")
    check(g.ask("GET", "/v1/models").json()["data"][0]["id"] == "fake-model", "models")
    for path in ["/nothing", "/v1", "/v1/", "//", "/../etc/passwd", "/%2e%2e/etc/passwd", "/page.html", "/v1/models/other", "/v1/models/", "/health/",
                 "/v1/chat/completions/", "/" + "a" * 3000]:
        answer = g.ask("GET", path)
        check(answer.status == 404 and answer.error()["code"] in ("not_found", "model_not_found"), f"{path[:40]}: {answer.status}")
    for method, path, allow in [("GET", "/v1/chat/completions", "POST"), ("PUT", "/v1/completions", "POST"), ("DELETE", "/health", "GET"),
                                ("POST", "/metrics", "GET"), ("PATCH", "/", "GET"), ("POST", "/v1/models", "GET")]:
        answer = g.ask(method, path, "{}" if method != "DELETE" else None, JSON)
        check(answer.status == 405 and allow in answer.headers["Allow"] and answer.error()["type"] == "invalid_request_error", f"{method} {path}: {answer.status}")
    answer = g.ask("OPTIONS", "/v1/chat/completions")
    check(answer.status == 204 and "POST" in answer.headers["Allow"] and "Access-Control-Allow-Origin" not in answer.headers, f"OPTIONS: {answer.status}")


def refusals(g):
    def refused(status, code, body, headers=None, path="/v1/chat/completions", words=""):
        answer = g.ask("POST", path, body, headers)
        error = answer.error()
        check(answer.status == status and code in (None, error["code"]) and set(error) == {"message", "type", "param", "code"} and words in error["message"],
              f"{str(body)[:60]} {headers}: {answer.status} {error}")
    refused(415, "unsupported_media_type", json.dumps(CHAT), {"Content-Type": "text/plain"})
    refused(415, "unsupported_media_type", json.dumps(CHAT), {"Content-Type": "application/jsonx"})
    refused(415, "unsupported_media_type", json.dumps(CHAT))
    refused(400, None, "", JSON)
    refused(400, None, "{", JSON)
    refused(400, None, b"\xff\xfe\x00", JSON)
    refused(400, None, "[" * 100000, JSON)
    refused(400, None, {"messages": []})
    refused(400, None, {**CHAT, "n": 2})
    refused(400, None, {**CHAT, "tools": [{}]})
    refused(404, "model_not_found", {**CHAT, "model": "gpt-4"})
    refused(400, "context_length_exceeded", {"prompt": "a" * 4096}, None, "/v1/completions", "4097 tokens")
    refused(400, "context_length_exceeded", {"prompt": "a" * 4000, "max_tokens": 100}, None, "/v1/completions", "room for 95")
    refused(403, "host_not_allowed", CHAT, {"Host": "evil.example"})
    refused(403, "host_not_allowed", CHAT, {"Host": "127.0.0.1.evil.example"})
    refused(403, "host_not_allowed", CHAT, {"Host": f"localhost:{g.port}x"})
    refused(403, "origin_not_allowed", CHAT, {"Origin": "https://evil.example"})
    refused(403, "origin_not_allowed", CHAT, {"Origin": "null"})
    for host in ["localhost", "LOCALHOST:99", "127.1.2.3:80", "[::1]:8080"]:
        check(g.ask("GET", "/health", headers={"Host": host}).status == 200, f"Host: {host} is refused")
    check(g.ask("POST", "/v1/chat/completions", CHAT, {"Origin": f"http://127.0.0.1:{g.port}"}).status == 200, "the page's own origin is refused")
    # http.client sends a Host of its own, so this one by hand: HTTP/1.0 without Host.
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        check(b" 403 " in s.recv(4096).split(b"\r\n")[0], "no Host is not refused")


def said_to(g, text):
    """What the gateway says to these bytes until the connection ends: nothing where it ends first, which may be before all is sent."""
    said = b""
    with socket.create_connection(("127.0.0.1", g.port), timeout=10) as s:
        try:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                said += more
        except ConnectionError:
            pass
        except OSError as e:  # shutdown of a connection that the gateway has already reset
            if e.errno != errno.ENOTCONN:
                raise
    return said


def long_bodies(g):
    big = json.dumps({"prompt": "a" * (3 << 20)})
    answer = g.ask("POST", "/v1/completions", big, JSON)
    check(answer.status == 413 and answer.error()["code"] == "body_too_large", f"3 MiB: {answer.status}")
    connection = http.client.HTTPConnection("127.0.0.1", g.port, timeout=30)
    connection.request("POST", "/v1/completions", iter([big.encode()[i:i + 65536] for i in range(0, len(big), 65536)]), JSON, encode_chunked=True)
    check(connection.getresponse().status == 413, "3 MiB in chunks")
    for length in ["3000000", "99999999999999", "18446744073709551615"]:
        with socket.create_connection(("127.0.0.1", g.port), timeout=10) as s:
            s.sendall(f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
                      "Expect: 100-continue\r\n\r\n".encode())
            check(b" 413 " in s.recv(4096).split(b"\r\n")[0], f"an announced body of {length} bytes")
    one = g.ask("POST", "/v1/completions", json.dumps({"prompt": "a" * 1000000}), JSON)
    check(one.status == 400 and one.error()["code"] == "context_length_exceeded", f"a million characters: {one.status}")
    endless = said_to(g, b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: " + b"x" * 60000 + b"\r\nContent-Length: 2\r\n\r\n{}")
    check(endless == b"" or endless.split()[1] in (b"400", b"413", b"431"), f"endless headers: {endless}")
    check(g.ask("GET", "/health").status == 200, "alive after long bodies")


def hostile(g):
    """Bytes that are no HTTP, or two kinds of it at once: an answer or an end, and the next client is served."""
    random.seed(5)
    head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    texts = [b"\0" * 500, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"\r\n" * 2000, b"GET /" + b"a" * 100000,
             b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9000 + b"\r\n", head + b"Content-Length: -5\r\n\r\n{}", head + b"Content-Length: 5x\r\n\r\n{}",
             head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n",
             b"GET / HTTP/1.1\r\nHost: localhost\r\nA\0B: c\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"]
    texts += [bytes(random.randrange(256) for _ in range(random.randrange(1, 900))) for _ in range(60)]
    texts += [bytes(c if random.random() > 0.03 else random.randrange(256) for c in head + b"Content-Length: 14\r\n\r\n" + b'{"prompt":"a"}')
              for _ in range(120)]
    for text in texts:
        said_to(g, text)
    for lengths in [b"Content-Length: 14\r\nContent-Length: 15\r\n\r\n", b"Content-Length: 14\r\nTransfer-Encoding: chunked\r\n\r\n"]:
        with socket.create_connection(("127.0.0.1", g.port), timeout=10) as s:
            s.sendall(head + lengths + b"e\r\n" + b'{"prompt":"a"}\r\n0\r\n\r\n')
            check(s.recv(4096).split(b"\r\n")[0].split()[1] == b"400", f"two lengths: {lengths}")
    check(g.ask("GET", "/health").status == 200, "alive after bytes that are no HTTP")


def answers(g):
    whole = g.chat("{tokens=5}{stop}", model="fake-model", temperature=0)
    choice = whole.json()["choices"][0]
    check(whole.status == 200 and choice["message"]["content"] == "w0 w1 w2 w3 w4 " and choice["finish_reason"] == "stop", f"{whole.body}")
    check(whole.headers["X-Request-Id"] in whole.json()["id"], "the request's id")
    check(g.chat("{tokens=50}", max_tokens=3).json()["choices"][0]["finish_reason"] == "length", "max_tokens")
    text = g.ask("POST", "/v1/completions", {"prompt": "{echo} and back", "max_tokens": 100}).json()
    check(text["choices"][0]["text"] == "{echo} and back" and text["usage"]["prompt_tokens"] == 16, f"{text}")
    check(g.ask("POST", "/v1/completions", {"prompt": "a"}).json()["usage"]["completion_tokens"] == 8, "a completion")
    connection = http.client.HTTPConnection("127.0.0.1", g.port)
    for _ in range(3):  # over one connection
        connection.request("POST", "/v1/completions", json.dumps({"prompt": "a"}), JSON)
        check(connection.getresponse().read().count(b"w7") == 1, "a second request over a connection")


def streams(g):
    answer = g.chat("{tokens=20}{stop}{prompt=500}", stream=True, stream_options={"include_usage": True})
    check(answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream"), f"stream: {answer.status} {answer.headers}")
    check(text_of(answer.body) == "".join(f"w{i} " for i in range(20)), f"text: {text_of(answer.body)}")
    all_events = events(answer.body)
    check(all_events[-1] == "data: [DONE]", f"last: {all_events[-1]}")
    check(any(e.startswith(": prompt ") and "of about" in e for e in all_events), "no comment while the prompt is computed")
    check(chunks(answer.body)[-1]["usage"]["completion_tokens"] == 20 and chunks(answer.body)[-1]["choices"] == [], "usage")
    lengths = {len(e) for e in all_events if e.startswith("data: {")}
    check(len(lengths) == 1, f"lengths of events differ: {lengths}")
    check(not any("cachet" in c for c in chunks(answer.body)[:-2]), "figures of tokens that were not asked for")
    costs = g.chat("{tokens=12}", {"X-Cachet-Costs": "1"}, stream=True)
    tokens = [c["cachet"] for c in chunks(costs.body) if "index" in c.get("cachet", {})]
    check([t["index"] for t in tokens] == list(range(12)) and tokens[3]["rounds"] == 483, f"figures of tokens: {tokens[:2]}")
    check(len({len(e) for e in events(costs.body) if e.startswith("data: {")}) == 1, "lengths of events with figures differ")
    plain = g.ask("POST", "/v1/completions", {"prompt": "a", "stream": True, "stream_options": {"include_obfuscation": False}})
    check(b"obfuscation" not in plain.body and text_of(plain.body).startswith("w0 w1"), "a stream without padding")


def failed(g):
    for code, status, again in [(7, 500, False), (8, None, None), (10, 504, None), (11, 503, True), (12, 500, False)]:
        answer = g.chat(f"{{fail={code}}}")
        check(answer.status >= 500 and status in (None, answer.status), f"failure {code}: {answer.status}")
        check((answer.headers["x-should-retry"] == "false") == (answer.status == 500), f"failure {code} says ask again: {answer.headers}")
        check((answer.headers["Retry-After"] is not None) == (answer.status in (429, 503)), f"failure {code}: Retry-After")
        stream = g.chat(f"{{fail={code}}}{{at=3}}", stream=True)
        check("error" in chunks(stream.body)[-1] and b"[DONE]" not in stream.body and text_of(stream.body) == "w0 w1 w2 ", f"failed stream {code}: {stream.body[-300:]}")


def keys():
    with tempfile.TemporaryDirectory() as t:
        def written(text):
            path = f"{t}/keys{len(os.listdir(t))}"
            with open(path, "w") as file:
                file.write(text)
            return path

        def start(*flags):
            done = subprocess.run([program, "--config", "c", "--key", "k", "--shares", t, *flags], capture_output=True, text=True, timeout=20)
            check(done.stdout == "", f"{flags}: {done.stdout}")
            return done.returncode, done.stderr.splitlines()[-1]
        for code, words, flags in [(2, "--api-key-file", ["--listen", "0.0.0.0:0"]), (2, "--listen", ["--listen", "8080"]),
                                   (2, "--listen", ["--listen", "localhost:99999"]), (2, "host", ["--listen", ":80"]),
                                   (2, "cannot be found", ["--listen", "no.such.host.invalid:80"]), (4, "No such file", ["--api-key-file", f"{t}/none"]),
                                   (5, "line 2", ["--api-key-file", written("# keys\nshort\n")]),
                                   (2, "exclude", ["--api-key-file", written("0123456789abcdef\n"), "--no-api-key"]),
                                   (2, "chatml", ["--listen", "localhost:0", "--chat-template", "none"]), (2, "--most-waiting", ["--most-waiting", "-1"])]:
            got, line = start(*flags)
            check(got == code and words in line, f"{flags}: {got} {line}")
        got, line = start("--api-key-file", written("\n# nothing\n"))
        check(got == 5 and "no API key" in line, f"no key: {got} {line}")
        with Gateway(program, "--api-key-file", written("first-key-0123456789\nsecond-key-0123456789\n"), "--listen", "0.0.0.0:0") as g:
            for path, status in [("/health", 200), ("/", 200), ("/page.js", 200), ("/metrics", 401), ("/state", 401), ("/v1/models", 401)]:
                check(g.ask("GET", path).status == status, f"{path} without a key")
            for value in ["Bearer wrong-key-0123456789", "first-key-0123456789", "Basic first-key-0123456789", "Bearer ", "Bearer first-key-012345678",
                          "Bearer first-key-01234567890"]:
                answer = g.ask("POST", "/v1/chat/completions", CHAT, {"Authorization": value})
                check(answer.status == 401 and answer.error()["code"] == "invalid_api_key" and answer.headers["WWW-Authenticate"] == "Bearer", f"{value}: {answer.status}")
            for g.key in ["first-key-0123456789", "second-key-0123456789"]:
                check(g.ask("POST", "/v1/chat/completions", CHAT).status == 200 and g.ask("GET", "/metrics").status == 200, "a good key")
            check(g.ask("GET", "/health", headers={"Host": "gateway.example"}).status == 200, "beyond loopback any Host is taken")
            check("key-0123" not in g.log(), "a key in the log")
        with Gateway(program, "--host-name", "gateway.example") as g:
            own = {"Host": "gateway.example", "Origin": "https://gateway.example"}
            check(g.ask("POST", "/v1/chat/completions", CHAT, own).status == 200, "behind a proxy")
            check(g.ask("GET", "/health", headers={"Host": "evil.example"}).status == 403, "behind a proxy under another name")
            check(g.ask("POST", "/v1/chat/completions", CHAT, {**own, "Origin": "https://evil.example"}).status == 403, "another page behind a proxy")
        with Gateway(program, "--listen", "127.0.0.1:0") as first:
            got, line = start("--listen", f"127.0.0.1:{first.port}")
            check(got == 4 and "already in use" in line, f"a port that is taken: {got} {line}")


def names():
    with Gateway(program, "--model-name", "org/model of \u00fc") as g:
        check(g.ask("GET", "/v1/models").json()["data"][0]["id"] == "org/model of \u00fc", "the model's name")
        check(g.ask("GET", "/v1/models/org%2Fmodel%20of%20%C3%BC").status == 200 and g.ask("GET", "/v1/models/org/model").status == 404, "its path")
        check(g.chat("a", model="org/model of \u00fc").status == 200 and g.chat("a", model="fake-model").status == 404, "its name in requests")
    for bad in ["", "a\nb", "x" * 256]:
        done = subprocess.run([program, "--config", "c", "--key", "k", "--shares", ".", "--model-name", bad, "--listen", "127.0.0.1:0"],
                              capture_output=True, text=True, timeout=20)
        check(done.returncode == 2 and "--model-name" in done.stderr, f"--model-name {bad[:9]!r}: {done.returncode} {done.stderr}")


def not_ready():
    with Gateway(program, ready=False, FAKE_NOT_READY="60000") as g:
        health, chat = g.ask("GET", "/health"), g.chat("Hello")
        check(health.status == 503 and "P1" in health.error()["message"] and health.headers["Retry-After"], f"health: {health.status} {health.body}")
        check(chat.status == 503 and chat.headers["Retry-After"], f"chat: {chat.status}")
        check(b"cachet_ready 0\n" in g.ask("GET", "/metrics").body, "metrics say it is ready")


def buckets():
    with Gateway(program, "--prompt-bucket", "64") as g:
        for size in [1, 62, 63, 64, 200]:
            answer = g.ask("POST", "/v1/completions", {"prompt": "{echo}" + "a" * size, "max_tokens": 300}).json()
            length = -(-(size + 7) // 64) * 64
            check(answer["usage"]["prompt_tokens"] == length, f"{size}: {answer['usage']}")
            check(answer["choices"][0]["text"] == "\n" * (length - size - 7) + "{echo}" + "a" * size, "padding in the wrong place")
        answer = g.ask("POST", "/v1/completions", {"prompt": "a" * 4040})
        check(answer.status == 400 and answer.error()["code"] == "context_length_exceeded" and "--prompt-bucket" in answer.error()["message"], f"filled up beyond the context: {answer.status}")


def long_events():
    with Gateway(program, "--event-bytes", "3000") as g:
        lengths = {len(e) for e in events(g.chat("{size=1500}{tokens=3}", stream=True).body) if e.startswith("data: {")}
        check(len(lengths) == 1 and lengths.pop() > 3000, "--event-bytes")


def silence():
    canary = "zebra-canary-7391"
    with Gateway(program, "--log-level", "debug", "--json") as g:
        seen = []
        for more in [{}, {"stream": True}, {"model": canary * 9}, {"stop": canary}, {"n": canary}, {canary: 1}, {"user": canary}]:
            seen.append(g.chat(f"{canary} {{fail=7}}", **more).body if canary not in more else b"")
        seen += [g.ask("POST", "/v1/completions", '{"prompt": "' + canary, JSON).body, g.ask("GET", "/metrics").body, g.ask("GET", "/state").body]
        for line in g.log().splitlines():
            check(set(json.loads(line)) == {"time", "level", "who", "request", "message"}, f"log: {line}")
    check(canary not in g.log() and not any(canary.encode() in body for body in seen), "a prompt in a log, an error or a metric")


with Gateway(program, "--ping-seconds", "0.1") as gateway:
    for part in [routes, refusals, long_bodies, hostile, answers, streams, failed]:
        part(gateway)
for part in [keys, names, not_ready, buckets, long_events, silence]:
    part()
finish()
