"""Clients that go away, do not read, do not send, are too many, and a gateway that is stopped while they ask.

usage: test_clients.py FAKE_GATEWAY
"""
import http.client
import json
import random
import re
import signal
import socket
import struct
import sys
import threading
import time

from gateway import Gateway, check, chunks, events, finish, sanitized, text_of

program = sys.argv[1]
SOON = 0.2  # seconds until a client that is gone is noticed
# Of the tests' own threads and processes on a machine of two busy cores.
SLACK = 0.3


def gone_is_noticed(g, how, text, **more):
    """The client leaves after 300 ms; the request must be cancelled soon after."""
    number = len(re.findall("prompt tokens", g.log())) + 1
    s = g.open(text, **more)
    time.sleep(0.3)
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left = time.time()
    s.close()
    cancelled = g.when(rf"\[{number:016x}\] fake: cancel was asked for") - left
    check(-0.05 < cancelled < SOON + SLACK, f"{how} {text} {more}: cancelled after {cancelled:.3f} s")
    return cancelled


def leaving():
    times = []
    with Gateway(program, "--most-running", "1", "--most-waiting", "8") as g:
        for how in ["close", "reset"]:
            for stream in [True, False]:
                times.append(gone_is_noticed(g, how, "{prompt=60000}", stream=stream))
                times.append(gone_is_noticed(g, how, "{tokens=4000}{delay=5}", stream=stream))
                times.append(gone_is_noticed(g, how, "{tokens=100}{delay=60000}", stream=stream))
                times.append(gone_is_noticed(g, how, "{prompt=60000}{stall=300}", stream=stream, path="/v1/completions"))
        # Behind another one, which is not hurt.
        first = threading.Thread(target=lambda: check(g.chat("{tokens=30}{delay=50}").status == 200, "the request before was hurt"))
        first.start()
        time.sleep(0.1)
        s = g.open("{prompt=60000}", stream=True)
        time.sleep(0.2)
        s.close()
        first.join()
        g.wait_for("its client is gone(.|\n)*as long as asked")
        state = g.ask("GET", "/state").json()["requests"]
        check(state["running"] == 0 and state["waiting"] == 0, f"places are left over: {state}")
    times.sort()
    check(times[len(times) // 2] < SOON, f"half of the clients that left took more than {SOON} s: {times}")


def leaving_at_any_time():
    """200 clients that leave at random moments, while others stay: those get all they asked for, and no place is lost."""
    random.seed(11)
    moments, stayed = [(random.random() * 0.25, random.random() < 0.5, random.choice(["close", "reset"])) for _ in range(200)], []
    with Gateway(program, "--most-running", "6", "--most-waiting", "40", "--ping-seconds", "0.05", "--log-level", "error") as g:
        def leave(mine):
            for delay, stream, how in mine:
                s = g.open(f"{{prompt={random.randrange(150)}}}{{tokens=50}}{{delay=4}}{{stall=20}}", stream=stream)
                time.sleep(delay)
                if how == "reset":
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()

        def stay():
            for _ in range(6):
                stayed.append(text_of(g.chat("{tokens=20}{delay=5}", stream=True).body))
        threads = [threading.Thread(target=leave, args=(moments[i::8],)) for i in range(8)] + [threading.Thread(target=stay) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        until = time.time() + 5
        while (state := g.ask("GET", "/state").json()["requests"]) != {**state, "running": 0, "waiting": 0} and time.time() < until:
            time.sleep(0.05)
        check(state["running"] == 0 and state["waiting"] == 0, f"places are left over: {state}")
    check(stayed == ["".join(f"w{i} " for i in range(20))] * 18, f"those who stayed got {stayed}")


def whole_answers_outlast_patience():
    with Gateway(program, "--patience-seconds", "1", "--ping-seconds", "5") as g:
        check(g.chat("{prompt=2600}{tokens=2}").status == 200, "an answer that takes longer than the patience for readers")
        check(text_of(g.chat("{prompt=2600}{tokens=2}", stream=True).body) == "w0 w1 ", "a stream that is silent for longer than that")


def not_reading():
    with Gateway(program, "--patience-seconds", "1") as g:
        s = g.open("{tokens=4000}{delay=1}{size=300}", receive=4096, stream=True)
        begun = time.time()
        g.wait_for("fake: cancelled", 20)
        check(time.time() - begun < 10, "a reader that does not read is let go late")
        s.close()
        # One that reads slowly, but reads, gets everything.
        s = g.open("{tokens=300}{delay=1}", receive=4096, stream=True, stream_options={"include_obfuscation": False})
        got = b""
        while b"[DONE]" not in got:
            part = s.recv(4096)
            if not part:
                break
            got += part
            time.sleep(0.02)
        check(b"[DONE]" in got, "a slow reader was cut off")
        s.close()


def not_sending():
    with Gateway(program, "--request-seconds", "1") as g:
        begun, body = time.time(), "a" * 100
        dribbles = [b"GET /health HTTP/1.1\r\nHost: local", f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode(), b""]
        sockets = [socket.create_connection(("127.0.0.1", g.port), timeout=10) for _ in dribbles]
        for s, first in zip(sockets, dribbles):
            s.sendall(first)
        ended = set()
        while len(ended) < len(sockets) and time.time() < begun + 8:
            for s in set(sockets) - ended:
                s.settimeout(0.05)
                try:
                    if s is not sockets[2]:
                        s.sendall(b"x")
                    if s.recv(100) == b"":
                        ended.add(s)
                except (BrokenPipeError, ConnectionResetError):
                    ended.add(s)
                except TimeoutError:
                    pass
        check(len(ended) == len(sockets), f"{len(sockets) - len(ended)} connections without a request stay open")
        check(g.ask("GET", "/health").status == 200, "alive after slow senders")


def many():
    results = []
    with Gateway(program, "--most-running", "80", "--ping-seconds", "0.2") as g:
        def one(i):
            answer = g.chat(f"{{tokens=40}}{{delay=40}}{{prompt={20 * i}}}", stream=i % 4 != 0)
            results.append(text_of(answer.body) if i % 4 else answer.json()["choices"][0]["message"]["content"])
        threads = [threading.Thread(target=one, args=(i,)) for i in range(72)]
        for t in threads:
            t.start()
        time.sleep(0.8)
        begun = time.time()
        state = g.ask("GET", "/state").json()["requests"]
        check(state["running"] > 60 and time.time() - begun < 1, f"running {state}, asked for {time.time() - begun:.2f} s")
        for t in threads:
            t.join()
    check(results == ["".join(f"w{i} " for i in range(40))] * 72, f"{len(results)} answers, of them right {sum(r.startswith('w0 w1') for r in results)}")


def too_many():
    """Five times what is served, for some seconds: the rest is refused at once, and memory stays flat."""
    codes, resident = [], []
    with Gateway(program, "--most-running", "4", "--most-waiting", "4", "--log-level", "error") as g:
        until = time.time() + 6

        def ask(i):
            while time.time() < until:
                answer = g.chat("{tokens=10}{delay=5}" + "a" * 3000, stream=i % 2 == 0, max_tokens=20)
                codes.append(answer.status)
                if answer.status == 429:
                    check(answer.headers["Retry-After"] is not None and answer.error()["type"] == "rate_limit_error", f"429: {answer.body}")
                    time.sleep(0.02)
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(40)]
        for t in threads:
            t.start()
        time.sleep(2)
        while time.time() < until:
            resident.append(g.resident_kib())
            time.sleep(0.2)
        for t in threads:
            t.join()
        check(g.chat("a").status == 200, "alive after too many")
    check(set(codes) == {200, 429} and codes.count(200) > 50 and codes.count(429) > 50, f"{ {c: codes.count(c) for c in set(codes)} }")
    third = len(resident) // 3
    grown = max(resident[-third:]) - max(resident[:third])
    check(grown < 4096 or sanitized(program), f"memory grew by {grown} KiB: {resident}")


def connections():
    """More connections than are taken get a word, many more are closed, and neither shuts others out for good."""
    with Gateway(program, "--most-connections", "8", "--request-seconds", "2") as g:
        idle = [socket.create_connection(("127.0.0.1", g.port)) for _ in range(12)]
        time.sleep(0.1)
        refused = g.chat("a")
        check(refused.status == 503 and refused.error()["code"] == "too_many_connections", f"beside 12 of 8 connections: {refused.status}")
        check(g.ask("GET", "/health").status == 200, "health beside too many connections")
        idle += [socket.create_connection(("127.0.0.1", g.port)) for _ in range(40)]
        until, status = time.time() + 8, 0
        while status != 200 and time.time() < until:
            try:
                status = g.chat("a").status
            except (ConnectionError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        check(status == 200, "idle connections shut others out for good")
        for s in idle:
            s.close()


def stopping():
    answers = {}

    def ask(g, name, text, **more):
        def run():
            try:
                answers[name] = g.chat(text, **more)
            except (ConnectionError, http.client.HTTPException) as error:
                answers[name] = error
        t = threading.Thread(target=run)
        t.start()
        return t
    with Gateway(program, "--drain-seconds", "1.5", "--most-running", "1") as g:
        kept = http.client.HTTPConnection("127.0.0.1", g.port)
        kept.request("GET", "/health")
        kept.getresponse().read()
        threads = [ask(g, "short", "{tokens=10}{delay=60}", stream=True)]
        time.sleep(0.2)
        threads += [ask(g, "long", "{prompt=60000}", stream=True), ask(g, "whole", "{prompt=60000}")]
        time.sleep(0.2)
        g.process.send_signal(signal.SIGTERM)
        begun = time.time()
        g.wait_for("stopping: 3 requests")
        try:
            socket.create_connection(("127.0.0.1", g.port), timeout=1).close()
            check(False, "connections are taken while stopping")
        except ConnectionRefusedError:
            pass
        kept.request("POST", "/v1/completions", json.dumps({"prompt": "a"}), {"Content-Type": "application/json"})
        check(kept.getresponse().status == 503, "a new request is taken while stopping")
        kept.close()
        check(g.process.wait(10) == 0, f"exit code {g.process.returncode}")
        check(1.2 < time.time() - begun < 4, f"stopped after {time.time() - begun:.2f} s")
        for t in threads:
            t.join()
    check(events(answers["short"].body)[-1] == "data: [DONE]", f"a request that had time to end: {answers['short'].body[-200:]}")
    check(chunks(answers["long"].body)[-1]["error"]["code"] == "stopping", f"one that had not: {answers['long'].body[-300:]}")
    check(answers["whole"].status == 503 and answers["whole"].error()["code"] == "stopping", "one that had not, whole")


for part in [leaving, leaving_at_any_time, whole_answers_outlast_patience, not_reading, not_sending, many, too_many, connections, stopping]:
    part()
finish()
