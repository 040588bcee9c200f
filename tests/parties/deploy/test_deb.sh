#!/bin/sh
# The Debian package: built by the one command, the same bytes when it is packed again, no path of the build in it, everything at its place, and
# a program that runs from it.
#
# usage: test_deb.sh SOURCE_ROOT
set -u
for tool in dpkg-deb dpkg-shlibdeps meson ninja strip git; do
    command -v "$tool" >/dev/null || {
        echo "skipped: $tool is missing (./run deb installs what it needs)" >&2
        exit 77
    }
done
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    git -C "$1" log -1 >/dev/null 2>&1 || {
        echo "skipped: no git commit to take the time from" >&2
        exit 77
    }
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/cachet-test-deb.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
failures=0
bad() {
    echo "$1" >&2
    failures=$((failures + 1))
}

# Kernels for GPUs, where nvcc is there, are the same objects as in the tree's own build.
package=$("$1/parties/deploy/deb" --build "$work/build" --out "$work/first" --cuda disabled) || exit 1
again=$("$1/parties/deploy/deb" --build "$work/build" --out "$work/second") || exit 1
cmp "$package" "$again" || bad "the same commit gives other bytes"
[ "$(ls "$work/first")" = "cachet_$(dpkg-deb -f "$package" Version)_$(dpkg --print-architecture).deb" ] || bad "named $(ls "$work/first")"

dpkg-deb -I "$package" >"$work/info" || bad "dpkg-deb cannot read it"
depends=$(dpkg-deb -f "$package" Depends)
for library in libc6 libsodium23 libzmq5 libcyaml1 adduser; do
    case ", $depends" in *", $library"*) ;; *) bad "it does not depend on $library: $depends" ;; esac
done
[ "$(dpkg-deb -I "$package" conffiles)" = /etc/default/cachet ] || bad "conffiles: $(dpkg-deb -I "$package" conffiles)"
dpkg-deb -c "$package" >"$work/list"
for file in usr/bin/cachet usr/lib/systemd/system/cachet-party.service usr/lib/systemd/system/cachet-gateway.service \
    usr/libexec/cachet/rehearse usr/share/doc/cachet/deploy.md usr/share/doc/cachet/copyright etc/default/cachet var/lib/cachet/; do
    grep -q " \./$file\$" "$work/list" || bad "$file is missing"
done
awk '$2 != "root/root"' "$work/list" | grep . && bad "files that are not root's"
[ "$(awk '{ print $4, $5 }' "$work/list" | sort -u | wc -l)" -eq 1 ] || bad "files of several times"

dpkg-deb -R "$package" "$work/root" || bad "it cannot be unpacked"
for script in postinst prerm postrm; do sh -n "$work/root/DEBIAN/$script" || bad "$script is no shell script"; done
(cd "$work/root" && md5sum --quiet -c DEBIAN/md5sums) || bad "md5sums do not hold"
version=$(dpkg-deb -f "$package" Version)
[ "$("$work/root/usr/bin/cachet" --version)" = "cachet $version" ] || bad "the program does not run, or is not $version"
grep -q '^ExecStart=/usr/bin/cachet ' "$work/root/usr/lib/systemd/system/cachet-party.service" || bad "the unit starts another program"
for path in "$work" "$(realpath "$1")"; do
    grep -qF -- "$path" "$work/root/usr/bin/cachet" && bad "the program holds the path $path"
done
[ $failures -eq 0 ]
