"""A headless Chromium, driven over the pipe of the DevTools protocol."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time


def find():
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    def __init__(self, url, width=1280, height=900):
        self.directory = tempfile.TemporaryDirectory()
        # The program reads commands from descriptor 3 and answers on 4.
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        high_read, high_write = os.dup(to_read), os.dup(from_write)
        command = (f'exec "$0" "$@" 3<&{high_read} 4>&{high_write}')
        self.process = subprocess.Popen(
            ["bash", "-c", command, find(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             "--no-first-run", f"--user-data-dir={self.directory.name}", "about:blank"],
            pass_fds=(high_read, high_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (to_read, from_write, high_read, high_write):
            os.close(fd)
        self.pending, self.number, self.session, self.notes = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Log.enable")
        self.call("Runtime.enable")
        self.call("Page.enable")
        self.size(width, height)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && typeof ask === 'function'")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_write, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.pending:
                part = os.read(self.from_read, 1 << 20)
                if not part:
                    raise RuntimeError("the browser has ended")
                self.pending += part
            one, self.pending = self.pending.split(b"\0", 1)
            answer = json.loads(one)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                self.notes.append(answer["params"])

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, expression, seconds=15):
        end = time.time() + seconds
        while time.time() < end:
            if self.js(expression):
                return True
            time.sleep(0.05)
        return False

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def dark(self, on):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if on else "light"}])

    def key(self, name, text=None, code=0, modifiers=0):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, modifiers=modifiers, windowsVirtualKeyCode=code, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name, modifiers=modifiers, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def picture(self, path, whole=True):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def close(self):
        self.session = None
        self.call("Browser.close")
        self.process.wait(20)
        os.close(self.to_write)
        os.close(self.from_read)
        # Its helpers may still write for a moment.
        for _ in range(40):
            try:
                self.directory.cleanup()
                return
            except OSError:
                time.sleep(0.1)
