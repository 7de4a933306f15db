#!/bin/sh
# Prints what made the mail transaction ours, as this machine's libcurl shows it; with --tap, as a test.
# Needs a C compiler and libcurl's headers; talks to 127.0.0.1 only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/facts.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP

if ! flags=$(pkg-config --cflags --libs libcurl 2>/dev/null); then
	echo "facts: libcurl's headers are missing (on Debian: apt-get install libcurl4-openssl-dev pkg-config)" >&2
	exit 69
fi
# shellcheck disable=SC2086 # the flags are words
"${CC:-cc}" -std=gnu11 -O1 -Wall -Wextra -o "$dir/facts" "$here/facts.c" "$here/server.c" $flags -pthread
"$dir/facts" "$@"
