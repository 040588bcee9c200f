"""The page in a real browser: asked by keyboard, tokens and figures appear, stop stops; names, contrast of both themes, width of a phone.
Skips where there is no Chromium. With a directory as second argument it leaves pictures there.

usage: test_page.py FAKE_GATEWAY [DIRECTORY]
"""
import os
import sys
import tempfile

import browser
from gateway import Gateway, check, finish

program, pictures = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None

# Luminance contrast of every visible text against the nearest background, as WCAG counts it.
CONTRAST = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const poor = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length || e.disabled) continue;
    let at = e, back = [0, 0, 0, 0];
    while (at && !(back[3] === undefined || back[3] > 0)) { back = parse(getComputedStyle(at).backgroundColor); at = at.parentElement; }
    const a = light(parse(getComputedStyle(e).color)), b = light(back), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(e.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
  }
  return poor.join('; ');
})()"""
UNNAMED = """[...document.querySelectorAll('input, textarea, button, [role=region], section')].filter((e) => {
  const text = (e.labels && [...e.labels].map((l) => l.textContent).join('')) || e.getAttribute('aria-label') || e.textContent ||
    (document.getElementById(e.getAttribute('aria-labelledby')) || {}).textContent;
  return !text || !text.trim(); }).map((e) => e.outerHTML.slice(0, 80)).join('; ')"""
OUTSIDE = "performance.getEntriesByType('resource').filter((e) => !e.name.startsWith(location.origin)).length"


def picture(b, name):
    if pictures:
        os.makedirs(pictures, exist_ok=True)
        b.picture(os.path.join(pictures, name + ".png"))


def ask(b, text):
    b.js("document.getElementById('prompt').focus()")
    b.type(text)
    b.key("Enter", "\r", 13)


def text(b, identity):
    return b.js(f"document.getElementById('{identity}').textContent")


def use(g, b):
    check(b.until("document.getElementById('health-text').textContent === 'ready'"), "the page does not say that it is ready")
    check(text(b, "model") == "fake-model" and "4096" in text(b, "f-context") and text(b, "f-policy") == "refresh:budget=25", "what is served")
    check(b.js("document.querySelectorAll('#parties tr').length") == 3 and "0.8 ms" in text(b, "parties"), f"parties: {text(b, 'parties')}")
    picture(b, "begin")
    ask(b, "{tokens=24}{prompt=1500}{delay=80}{stop}")
    check(b.until("/^prompt \\d+.\\d+ rows, layer/.test(document.getElementById('progress').textContent)"), f"no progress: {text(b, 'progress')}")
    check(b.until("document.querySelectorAll('#chart rect').length > 2"), "no bars while tokens come")
    check(not b.js("document.getElementById('stop').disabled") and b.js("document.getElementById('send').disabled"), "buttons while it runs")
    picture(b, "running")
    check(b.until("document.getElementById('progress').textContent.startsWith('done')"), f"not done: {text(b, 'progress')}")
    answer = b.js("document.querySelector('.assistant span').textContent")
    check(answer == "".join(f"w{i} " for i in range(24)), f"answer: {answer}")
    check(text(b, "spoken").startswith("Answer: w0"), "the answer is not announced")
    check(text(b, "t-tokens") == "24" and text(b, "t-rounds") == str(24 * 483) and "MB" in text(b, "t-online"), f"totals: {text(b, 'totals')}")
    check(b.js("document.querySelectorAll('#chart rect').length") == 24 and b.js("document.querySelectorAll('#tokens tr').length") == 24, "figures of tokens")
    check("mean" in text(b, "chart-text") and b.js("document.activeElement.id") == "prompt", "caption, focus")
    for measure in ["online_bytes", "dealt_bytes", "rounds"]:
        b.js(f"document.querySelector('input[value={measure}]').click()")
        check(("MB" in text(b, "chart-text")) == (measure != "rounds"), f"caption of {measure}: {text(b, 'chart-text')}")
    # The conversation goes on: the next prompt holds the one before.
    ask(b, "And then? {tokens=2}{stop}")
    check(b.until("document.querySelectorAll('.assistant').length === 2 && !running"), "a second answer")
    ask(b, "{tokens=4000}{delay=100}")
    check(b.until("costs.length > 3"), "a long answer begins")
    b.js("document.getElementById('stop').click()")
    check(b.until("document.getElementById('progress').textContent.startsWith('stopped after')"), "stop")
    g.wait_for("fake: cancelled", 5)
    ask(b, "{fail=7}{at=2}<img src=x onerror=alert(1)>")
    check(b.until("document.querySelector('.error') !== null"), "an error is not shown")
    check("ordered" in b.js("document.querySelector('.error').textContent"), "the error's text")
    check(b.js("document.querySelectorAll('#log img').length") == 0, "text became HTML")
    picture(b, "error")


def look(b):
    for width, height, name in [(1280, 900, "wide"), (360, 740, "phone"), (768, 1024, "tablet")]:
        b.size(width, height)
        for dark in [False, True]:
            b.dark(dark)
            poor = b.js(CONTRAST)
            check(poor == "", f"contrast, {name}, dark {dark}: {poor}")
            picture(b, f"{name}-{'dark' if dark else 'light'}")
        check(b.js("document.documentElement.scrollWidth") <= width, f"{name}: wider than the window")
    check(b.js(UNNAMED) == "", f"without a name: {b.js(UNNAMED)}")
    check(b.js(OUTSIDE) == 0, "something is loaded from elsewhere")
    check(b.js("document.documentElement.lang") == "en" and b.js("document.querySelectorAll('h1').length") == 1, "language and heading")
    # Every control is reached by Tab, and can be seen when it is.
    b.js("document.activeElement.blur(); document.querySelectorAll('details').forEach((d) => d.open = true)")
    reached = set()
    for _ in range(40):
        b.key("Tab", code=9)
        reached.add(b.js("document.activeElement.id || document.activeElement.name || document.activeElement.className"))
    check({"prompt", "send", "clear", "max-tokens", "temperature", "seed", "raw", "measure", "log"} <= reached, f"reached by Tab: {reached}")


def with_key(t):
    path = os.path.join(t, "keys")
    with open(path, "w") as file:
        file.write("a-key-for-the-page\n")
    with Gateway(program, "--api-key-file", path) as g:
        b = browser.Browser(f"http://127.0.0.1:{g.port}/", 900, 700)
        check(b.until("!document.getElementById('key-field').hidden"), "the page does not ask for a key")
        b.js("document.getElementById('key').focus()")
        b.type("a-key-for-the-page")
        b.key("Tab", code=9)
        check(b.until("document.getElementById('model').textContent === 'fake-model'"), "the key is not used")
        ask(b, "{tokens=3}")
        check(b.until("document.getElementById('progress').textContent.startsWith('done, 3')"), f"with a key: {text(b, 'progress')}")
        b.close()


if browser.find() is None:
    print("skipped: no chromium here", file=sys.stderr)
    sys.exit(77)
with Gateway(program, "--ping-seconds", "0.1") as gateway:
    page = browser.Browser(f"http://127.0.0.1:{gateway.port}/")
    use(gateway, page)
    look(page)
    check(page.notes == [], f"the browser complains: {page.notes}")
    page.close()
with tempfile.TemporaryDirectory() as directory:
    with_key(directory)
finish()
