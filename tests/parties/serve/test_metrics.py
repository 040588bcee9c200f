"""Prometheus' own checker has nothing to say about the metrics, and they count what happened. Skips where promtool is missing.

usage: test_metrics.py FAKE_GATEWAY
"""
import shutil
import subprocess
import sys

from gateway import Gateway, check, finish

program = sys.argv[1]


def metrics():
    with Gateway(program, "--model-name", 'a "strange"\\ name') as g:
        g.chat("{tokens=4}{stop}")
        g.chat("{fail=7}")
        g.chat("a", n=7)
        text = g.ask("GET", "/metrics").body.decode()
        for line in ['cachet_requests_total{outcome="stop"} 1', 'cachet_requests_total{outcome="failed"} 1', 'cachet_requests_total{outcome="refused"} 1',
                     'cachet_http_responses_total{code="400"} 1', "cachet_time_to_first_token_seconds_count 1", "cachet_time_per_token_seconds_count 3",
                     "cachet_generated_tokens_total 4", 'cachet_party_rounds_total{party="P1"} 1932', 'cachet_party_steps_ahead{party="P0"} 12']:
            check(line + "\n" in text, f"metrics lack {line}")
    return text


if shutil.which("promtool") is None:
    print("skipped: promtool is not installed (Debian package prometheus)", file=sys.stderr)
    sys.exit(77)
done = subprocess.run(["promtool", "check", "metrics"], input=metrics(), capture_output=True, text=True, timeout=30)
check(done.returncode == 0 and done.stderr + done.stdout == "", f"promtool: {done.stdout}{done.stderr}")
finish()
