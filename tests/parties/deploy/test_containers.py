"""The compose file and the Containerfile: they parse, every flag is one of the program, every service is confined alike, files are
mounted where the command looks for them, and every package has a name that Debian knows.

usage: test_containers.py CACHET SOURCE_ROOT
"""
import os
import re
import shutil
import subprocess
import sys

try:
    import yaml
except ImportError:
    print("skipped: the Python module yaml is missing (package python3-yaml)", file=sys.stderr)
    sys.exit(77)

CONFINED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "ulimits": {"core": 0}, "network_mode": "host"}


def help_of(program, *words):
    return subprocess.run([program, *words, "--help"], check=True, capture_output=True, text=True).stdout


def check_flags(program, name, words):
    command = words[0]
    if not re.search(rf"^  {command} ", help_of(program), re.M):
        print(f"{name}: this build has no command {command}", file=sys.stderr)
        return
    text = help_of(program, command)
    for word in words[1:]:
        if word.startswith("--"):
            assert word + "=" in text, f"{name}: cachet {command} has no flag {word}"


def check_service(program, name, service):
    for key, value in CONFINED.items():
        assert service.get(key) == value, f"{name}: {key} is {service.get(key)!r}, not {value!r}"
    assert not service["user"].startswith("0"), f"{name} runs as root unless told"
    check_flags(program, name, service["command"])
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD", f"{name}: {test}"
    if test[1] == "cachet":
        check_flags(program, name, test[2:])
    mounted = {}
    for volume in service["volumes"]:
        source, target, mode = re.fullmatch(r"\$\{CACHET_DIR:\?is not set\}/([^:]+):([^:]+):([^:]+)", volume).groups()
        assert mode == "ro", f"{name}: {target} can be written"
        mounted[target] = source
    for word in service["command"] + test:
        if word.startswith("/cachet/"):
            assert word in mounted, f"{name}: {word} is not mounted"
    end = "client" if name == "gateway" else name
    assert mounted["/cachet/own.key"] == f"{end}.key" and mounted["/cachet/shares"] == f"set/{end}", f"{name}: {mounted}"


def check_packages(words):
    if shutil.which("apt-cache") is None:
        return
    for package in words:
        known = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
        assert known.returncode == 0, f"Debian knows no package {package}"


def check_containerfile(path):
    text = open(path, encoding="utf-8").read().replace("\\\n", " ")
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert set(words) <= {"FROM", "RUN", "COPY", "USER", "ENTRYPOINT", "CMD"}, words
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert bases == ["docker.io/library/debian:12-slim"] * 2, bases
    last = lines[max(i for i, word in enumerate(words) if word == "FROM"):]
    assert "USER cachet" in last, "the image runs as root"
    assert not any("build-essential" in line or "-dev" in line or line.startswith("COPY") for line in last), "the image holds more than the package"
    for line in lines:
        for found in re.findall(r"apt-get install -y --no-install-recommends ([^&]*)", line):
            check_packages(word for word in found.split() if not word.startswith("/"))


def main(program, source):
    folder = os.path.join(source, "parties/deploy")
    with open(os.path.join(folder, "compose.yaml"), encoding="utf-8") as file:
        compose = yaml.safe_load(file)
    assert list(compose["services"]) == ["p0", "p1", "p2", "gateway"]
    for name, service in compose["services"].items():
        check_service(program, name, service)
        place = os.path.normpath(os.path.join(folder, service["build"]["context"]))
        assert os.path.samefile(os.path.join(place, service["build"]["dockerfile"]), os.path.join(folder, "Containerfile"))
    check_containerfile(os.path.join(folder, "Containerfile"))


main(sys.argv[1], sys.argv[2])
