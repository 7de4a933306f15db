#!/bin/sh
# Runs the benchmarks and writes RESULTS.md: sh tests/bench/run.sh [name...] (see README.md).
# MAILCHUTE: the program to measure, built with --buildtype=release; without it, it is built here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$dir/programs" "$dir/run"
cc=${CC:-cc}

if [ -z "${MAILCHUTE:-}" ]; then
	meson setup --buildtype=release -Dtests=false "$dir/build" "$top" >"$dir/log" 2>&1 &&
		meson compile -C "$dir/build" >>"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 70; }
	MAILCHUTE=$(find "$dir/build" -name mailchute -type f -perm -u+x | head -n 1)
fi
"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -o "$dir/programs/sink" "$here/sink.c" -lssl -lcrypto -pthread
"$cc" -std=gnu11 -O2 -static -o "$dir/programs/meter" "$here/meter.c"
"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -o "$dir/programs/delay" "$here/delay.c"

# The library is beside the program in its build directory; without it the C interface is not measured.
library=$(find "$(dirname "$MAILCHUTE")" -maxdepth 2 -name 'libmailchute*.a' | head -n 1)
if [ -n "$library" ]; then
	# shellcheck disable=SC2046 # the flags are words
	"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -I"$top/src" -o "$dir/programs/deep" "$here/deep.c" "$library" \
		$(pkg-config --libs libcurl libcjson) -pthread
fi

# A Python that is a shell wrapper would be measured with the wrapper: Debian's own where it is there.
python=/usr/bin/python3
[ -x "$python" ] || python=python3
set -- "$python" -B "$here/bench.py" "$dir/run" "$dir/programs" "$MAILCHUTE" "${RESULTS:-$here/RESULTS.md}" "$@"

# A CA, and a server certificate for 127.0.0.1, in $dir/run/ca.
make_certificates() {
	mkdir "$dir/run/ca"
	cd "$dir/run/ca"
	printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >extensions
	new="openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
	$new -x509 -keyout ca.key -out ca.pem -days 30 -subj "/CN=Bench CA" -addext keyUsage=critical,keyCertSign
	$new -keyout server.key -out server.csr -subj /CN=localhost
	openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
		-extfile extensions -out server.pem
	cd "$top"
}

# A copy of the system's CA store with our CA in it: as a file, by its hash, and in the bundle.
make_store() {
	cp -a /etc/ssl/certs "$dir/run/store"
	ca=$dir/run/ca/ca.pem
	cp "$ca" "$dir/run/store/bench.pem"
	ln -s bench.pem "$dir/run/store/$(openssl x509 -hash -noout -in "$ca").0"
	cat "$ca" >>"$dir/run/store/ca-certificates.crt"
}

if [ "$(id -u)" != 0 ]; then
	"$@"
	exit
fi
make_certificates >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 70; }
make_store
export dir
unshare -m sh -c 'mount --make-rprivate / && mount --bind "$dir/run/store" /etc/ssl/certs || exit 71; exec "$@"' sh "$@"
