"""The page in a real browser: asked by keyboard, tokens and figures appear, stop stops; names, contrast of both themes, width of a phone.
Skips where there is no Chromium. With --pictures DIRECTORY it leaves pictures there.

usage: test_page.py FAKE_GATEWAY [--pictures DIRECTORY]    over the stand-in
       test_page.py CACHET SOURCE_ROOT [--pictures DIRECTORY]    over three real parties
"""
import json
import os
import sys
import tempfile

import browser
from deployment import CONTEXT, SLOTS, Place, until_idle
from gateway import Gateway, check, chunks, finish

arguments = sys.argv[1:]
pictures = None
if "--pictures" in arguments:
    at = arguments.index("--pictures")
    pictures = arguments[at + 1]
    del arguments[at : at + 2]
program, root = (arguments + [None])[:2]

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


def number(shown):
    """3.21 MB as bytes, with half a unit of the last digit."""
    value, unit = shown.split()
    factor = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]
    return float(value) * factor, factor * 0.51 * 10 ** -len(value.partition(".")[2])


def use_real(g, b, place):
    """Over real parties: the words are the model's, the figures those that the API gives for the same request."""
    check(b.until("document.getElementById('health-text').textContent === 'ready'"), "the page does not say that it is ready")
    check(text(b, "f-context") == f"{CONTEXT} tokens" and text(b, "f-policy") == "full" and f"0 of {SLOTS} running" in text(b, "f-requests"), f"what is served: {text(b, 'facts')}")
    check(b.js("[...document.querySelectorAll('#parties tr')].every((row) => row.textContent.includes('connected') && /[0-9] ms/.test(row.textContent))"), f"links: {text(b, 'parties')}")
    prompt = "Once upon a time there was a little dog. It"
    twin = place.twin(prompt, 24)
    b.js("document.querySelectorAll('details').forEach((d) => d.open = true); document.getElementById('raw').click(); document.getElementById('max-tokens').value = 24")
    # What the page sends and gets passes by here.
    b.js("""window.seen = []; const real = fetch; fetch = (path, more) => { if (more && more.method === 'POST') seen.push(path, more.body); return real(path, more); }""")
    picture(b, "real-begin")
    ask(b, prompt)
    check(b.until("document.querySelectorAll('#chart rect').length > 4", 60), "no bars while tokens come")
    picture(b, "real-running")
    check(b.until("document.getElementById('progress').textContent.startsWith('done')", 60), f"not done: {text(b, 'progress')}")
    answer = b.js("document.querySelector('.assistant span').textContent")
    check(answer == twin, f"the page says {answer!r}, the twin {twin!r}")
    picture(b, "real-done")
    path, body = b.js("seen")
    costs = chunks(g.ask("POST", path, json.loads(body), {"X-Cachet-Costs": "1"}).body)
    total = costs[-1]["cachet"]
    # Sizes of one request are the same whenever it is asked; its time is not.
    check(text(b, "t-tokens") == "24" and text(b, "t-rounds") == str(total["rounds"]), f"{text(b, 'totals')} for {total}")
    for identity, name in ("t-online", "online_bytes"), ("t-dealt", "dealt_bytes"), ("t-client", "client_bytes"):
        value, unsure = number(text(b, identity))
        check(abs(value - total[name]) <= unsure, f"{name}: the page shows {text(b, identity)} for {total[name]}")
    check(0 < float(text(b, "t-seconds")) < 120, f"seconds: {text(b, 't-seconds')}")
    rows = b.js("[...document.querySelectorAll('#tokens tr')].map((row) => [...row.children].map((cell) => cell.textContent))")
    each = [chunk["cachet"] for chunk in costs[:-1] if "cachet" in chunk]
    check(len(rows) == len(each) == 24, f"{len(rows)} rows for {len(each)} tokens")
    for row, cost in zip(rows, each):
        value, unsure = number(row[3])
        check(int(row[2]) == cost["rounds"] and abs(value - cost["online_bytes"]) <= unsure and row[5] == "alone", f"the row {row} for {cost}")
    b.js("document.getElementById('raw').click()")
    ask(b, "Hello")
    check(b.until("document.querySelectorAll('.assistant').length === 2 && !running", 60), "a chat")
    check(b.js("document.querySelectorAll('.assistant span')[1].textContent").strip() != "", "a chat without an answer")
    b.js("document.getElementById('max-tokens').value = 128")
    ask(b, "And then?")
    check(b.until("costs.length > 3", 60), "a long answer begins")
    b.js("document.getElementById('stop').click()")
    check(b.until("document.getElementById('progress').textContent.startsWith('stopped after')"), "stop")
    check(until_idle(g) is not None, "a request that was stopped goes on")
    ask(b, "a dog " * 300)
    check(b.until("document.querySelector('.error') !== null"), "a prompt that is too long")
    check("context" in b.js("document.querySelector('.error').textContent"), "what is said of it")
    picture(b, "real-end")


def over_parties():
    with Place(program, root) as place, place.up("page") as g:
        b = browser.Browser(f"http://127.0.0.1:{g.port}/")
        use_real(g, b, place)
        look(b)
        check(all("400" in json.dumps(note) for note in b.notes), f"the browser complains: {b.notes}")
        b.close()


def over_stand_in():
    with Gateway(program, "--ping-seconds", "0.1") as g:
        b = browser.Browser(f"http://127.0.0.1:{g.port}/")
        use(g, b)
        look(b)
        check(b.notes == [], f"the browser complains: {b.notes}")
        b.close()
    with tempfile.TemporaryDirectory() as directory:
        with_key(directory)


if browser.find() is None:
    print("skipped: no chromium here", file=sys.stderr)
    sys.exit(77)
over_parties() if root else over_stand_in()
finish()
