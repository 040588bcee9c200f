#!/bin/sh
# Man pages and completions of shells, all printed by the program.
#
# usage: pages.sh make CACHET DIR        writes DIR/man/*.1 and DIR/completions/*
#        pages.sh install DIR            puts them where `meson install` installs to
set -eu

make_pages() { # CACHET DIR
    rm -rf "$2/man" "$2/completions"
    mkdir -p "$2/man" "$2/completions"
    "$1" man >"$2/man/cachet.1"
    for command in $("$1" man --list); do
        "$1" man "$command" >"$2/man/cachet-$command.1"
    done
    "$1" completion bash >"$2/completions/cachet.bash"
    "$1" completion zsh >"$2/completions/_cachet"
    "$1" completion fish >"$2/completions/cachet.fish"
}

install_pages() { # DIR
    share=$MESON_INSTALL_DESTDIR_PREFIX/share
    install -d "$share/man/man1"
    install -m 644 "$1"/man/*.1 "$share/man/man1"
    install -D -m 644 "$1/completions/cachet.bash" "$share/bash-completion/completions/cachet"
    install -D -m 644 "$1/completions/_cachet" "$share/zsh/site-functions/_cachet"
    install -D -m 644 "$1/completions/cachet.fish" "$share/fish/vendor_completions.d/cachet.fish"
}

case ${1:-} in
make) make_pages "$2" "$3" ;;
install) install_pages "$2" ;;
*) sed -n 's/^# usage: /usage: /p' "$0" >&2 && exit 2 ;;
esac
