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
# Only the program: the tests need more packages than the demo does. tests/run.sh adds them to the same directory.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { { [ -f "$build/build.ninja" ] || meson setup "$build" "$top" -Dtests=false; } &&
       ninja -C "$build" src/mailchute; } >"$log" 2>&1; then
	cat "$log"
	exit 1
fi
echo "Built $build/src/mailchute."
rm -f "$log"
trap - EXIT

MAILCHUTE=$build/src/mailchute exec /usr/bin/python3 -B tests/demo.py "$@"
