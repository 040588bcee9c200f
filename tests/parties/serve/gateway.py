"""A gateway as a process, for tests: started on a free port, asked over plain sockets, ended."""
import contextlib
import datetime
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

failures = []


def check(condition, text):
    if not condition:
        failures.append(text)
        print("not good:", text, file=sys.stderr)


def finish():
    if failures:
        sys.exit(f"{len(failures)} checks failed")


def sanitized(program):
    """A sanitizer keeps memory that was freed: how a process grows tells nothing then."""
    with open(program, "rb") as file:
        return re.search(rb"__[at]san_init", file.read()) is not None


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


class Gateway:
    """`with Gateway(program, *flags) as g`: it is ready inside, and has ended in order behind it. program: the stand-in, or the words of a real one."""

    def __init__(self, program, *flags, ready=True, **environment):
        self.lines, self.key = [], None
        self.directory = tempfile.TemporaryDirectory()
        words = program if isinstance(program, list) else [program, "--config", "none", "--key", "none", "--shares", self.directory.name]
        self.process = subprocess.Popen([*words, "--listen", "127.0.0.1:0", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.ready = self.process.stdout.readline() if ready else ""
        found = re.search(r"ready at http://\S+:(\d+)", self.ready) or self.wait_for(r"listening at http://\S+:(\d+)")
        self.port = int(found.group(1))

    def read(self):
        for line in self.process.stderr:
            self.lines.append((time.time(), line))

    def log(self):
        return "".join(line for _, line in self.lines)

    def wait_for(self, pattern, seconds=10):
        until = time.time() + seconds
        while time.time() < until:
            if found := re.search(pattern, self.log()):
                return found
            if self.process.poll() is not None and not self.reader.is_alive():
                break
            time.sleep(0.005)
        self.process.kill()
        sys.exit(f"no line like {pattern} in:\n{self.log()}")

    def when(self, pattern, seconds=10):
        """The moment that the gateway itself gave to a line."""
        self.wait_for(pattern, seconds)
        stamp = next(line for _, line in self.lines if re.search(pattern, line)).split()[0]
        return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()

    def headers(self, more=None):
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {**key, **(more or {})}

    def ask(self, method, path, body=None, headers=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if isinstance(body, (dict, list)):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body, self.headers(headers))
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def chat(self, text, headers=None, timeout=30, **more):
        return self.ask("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": text}], **more}, headers, timeout)

    def open(self, text, headers=None, path="/v1/chat/completions", receive=None, **more):
        """A socket on which a request has been sent and nothing is read yet."""
        body = json.dumps({"messages": [{"role": "user", "content": text}], **more} if "chat" in path else {"prompt": text, **more})
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers(headers).items())
        s = socket.socket()
        if receive:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        s.settimeout(30)
        s.connect(("127.0.0.1", self.port))
        s.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}"
                  f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        return s

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def stop(self, seconds=20):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(seconds)
        self.reader.join(5)
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                check(self.stop() == 0, f"the gateway ended with {self.process.returncode}: {self.log()[-2000:]}")
            if self.process.poll() is None:
                self.process.kill()
                check(False, "the gateway did not end after SIGTERM")
        check("were not released" not in self.log(), "requests were left over")
        check("Sanitizer" not in self.log(), f"a sanitizer spoke: {self.log()[-4000:]}")
        self.directory.cleanup()


def events(body):
    """The events of a stream as texts, comments included."""
    return [event for event in body.decode().split("\n\n") if event]


def chunks(body):
    return [json.loads(event[6:]) for event in events(body) if event.startswith("data: {")]


def text_of(body):
    return "".join((c["choices"][0].get("delta", c["choices"][0]).get("content") or c["choices"][0].get("text") or "")
                   for c in chunks(body) if c.get("choices"))
