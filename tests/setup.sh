#!/bin/sh
# What a fresh Debian 12 needs, as root and with nothing else installed.
#
#	sh tests/setup.sh build     enough to build mailchute and to run tests/demo.sh
#	sh tests/setup.sh test      everything the tests use (the default)
#
# Installs only what is missing, so it is quick when all is there. No service is started: the tests start
# their own servers, with their own directories and ports.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
level=${1:-test}

build='gcc libc6-dev meson ninja-build pkg-config libcurl4-openssl-dev libcjson-dev libcsv-dev scdoc
	ca-certificates python3 openssl postfix maildrop'
tests='dovecot-core dovecot-lmtpd dovecot-submissiond libsasl2-modules
	swaks libnet-ssleay-perl libnet-dns-perl libio-socket-inet6-perl
	msmtp curl s-nail
	mblaze libgmime-3.0-dev python3-aiosmtpd python3-yaml opendkim-tools
	libpython3.11-testsuite golang-github-jhillyerd-enmime-dev
	valgrind strace faketime clang llvm libclang-rt-14-dev
	jq bash zsh fish bash-completion mandoc man-db
	procps psmisc iproute2 util-linux
	cron at mutt git-email libmailtools-perl liblockfile1 php-cli php-symfony-mailer nodejs node-nodemailer logwatch fail2ban
	build-essential debhelper dpkg-dev fakeroot lintian'
# What Exim needs besides what the above brings; Exim itself cannot be installed beside Postfix.
exim='libgnutls-dane0 libidn12 libnsl2 libpcre2-8-0 libdb5.3 libnss-wrapper'

case $level in
build) wanted=$build ;;
test) wanted="$build $tests $exim" ;;
*) echo "usage: sh tests/setup.sh [build|test]" >&2; exit 64 ;;
esac

# The packages of the list that are not installed.
missing() {
	for package in $*; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
		'install ok installed') ;;
		*) echo "$package" ;;
		esac
	done
}

policy=
clean_up() {
	[ -z "$policy" ] || rm -f "$policy"
	policy=
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 \
		-o DPkg::Lock::Timeout=300 "$@" </dev/null
}

updated=
update() {
	[ -n "$updated" ] || apt update
	updated=yes
}

need=$(missing $wanted)
if [ -n "$need" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "setup.sh: not root, and these packages are missing:" $need >&2
		exit 77
	fi
	echo "setup.sh: installing" $need
	# The packages' servers are not to be started by their installation.
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		policy=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' > "$policy"
		chmod 755 "$policy"
	fi
	update
	if command -v debconf-set-selections >/dev/null; then
		echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
	fi
	apt install -y --no-install-recommends $need
fi

# The third MTA, unpacked and run by path.
third=${MC_THIRD:-${BUILD:-$top/build}/third}
if [ "$level" = test ] && [ ! -x "$third/usr/sbin/exim4" ]; then
	mkdir -p "$third"
	download=$(mktemp -d)
	(
		cd "$download"
		chmod 755 .
		apt download exim4-daemon-light exim4-base 2>/dev/null || {
			update
			apt download exim4-daemon-light exim4-base
		}
		for package in *.deb; do
			dpkg -x "$package" "$third"
		done
	) || { rm -rf "$download"; exit 1; }
	rm -rf "$download"
fi

# Callers that cannot be installed beside others of their kind.
if [ "$level" = test ] && [ ! -x "$third/usr/bin/bsd-mailx" ]; then
	download=$(mktemp -d)
	(
		cd "$download"
		chmod 755 .
		apt download bsd-mailx systemd-cron 2>/dev/null || {
			update
			apt download bsd-mailx systemd-cron
		}
		for package in *.deb; do
			dpkg -x "$package" "$third"
		done
	) || { rm -rf "$download"; exit 1; }
	rm -rf "$download"
fi
