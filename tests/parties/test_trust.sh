#!/bin/sh
# docs/trust.md is what the program prints.
#
# usage: test_trust.sh CACHET SOURCE_ROOT
set -u
"$1" check --trust | diff "$2/docs/trust.md" - || {
    echo "docs/trust.md has fallen behind: write it again with 'build/cachet check --trust > docs/trust.md'"
    exit 1
}
