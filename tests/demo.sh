#!/bin/sh
# From nothing to a delivered message, on a fresh Debian 12 as root: installs what is missing, builds mailchute,
# starts a real Postfix on the loopback (its own directories and ports; the system's is not touched), sends a message
# with text, HTML, an inline image and an attachment, and shows what arrived. Leaves nothing behind but the build.
#
#	sh tests/demo.sh [--keep FILE]      FILE: where to leave the message as it arrived
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
build=${BUILD:-$top/build}

sh tests/setup.sh build
[ -f "$build/build.ninja" ] || meson setup "$build" "$top" >/dev/null
# Only the program: the tests need more than the demo does.
ninja -C "$build" src/mailchute | tail -n 1

MAILCHUTE=$build/src/mailchute exec /usr/bin/python3 -B tests/demo.py "$@"
