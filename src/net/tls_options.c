/*
 * Certificates: which are trusted, which is ours, and the files that they come from.
 *
 * The files are looked at before anything is connected: what is wrong with them is a mistake of the settings
 * (78), not of the server, and a key that others can read is not used at all (77). What only the TLS library
 * can tell (a certificate and a key that do not match) it tells at the handshake.
 */

#include "net/opening.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PEM_MAX = 8 << 20,              /* all the world's CAs are a quarter of a megabyte */
	CURL_8_21 = 0x081500,           /* from here CAINFO=NULL and CAPATH=NULL mean the built-in ones */
};

static int pem_read(struct buf *out, const char *path, const char *name, struct stat *st, struct err *e)
{
	char piece[16384];
	ssize_t n;
	/* Not blocking: a FIFO must not hold us before it is refused. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, st) < 0) {
		const int saved = errno;

		if (fd >= 0)
			close(fd);
		return err_sys(e, ERR_CONFIG, saved, "%s: '%s'", name, path);
	}
	if (!S_ISREG(st->st_mode)) {
		close(fd);
		return err_set(e, ERR_CONFIG, "%s: '%s' is not a regular file", name, path);
	}
	while ((n = read(fd, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR && !io_signal_heard))
		if (n > 0 && buf_add(out, piece, (size_t)n) < 0)
			break;
	close(fd);
	explicit_bzero(piece, sizeof(piece));
	if (n != 0)
		return err_set(e, ERR_CONFIG, "%s: '%s' cannot be read, or is over 8 MiB", name, path);
	return 0;
}

static bool has(const struct buf *b, const char *text)
{
	return memmem(b->data, b->len, text, strlen(text)) != NULL;
}

static bool has_certificate(const struct buf *b)
{
	return has(b, "-----BEGIN CERTIFICATE-----") || has(b, "-----BEGIN TRUSTED CERTIFICATE-----") ||
	       has(b, "-----BEGIN X509 CERTIFICATE-----");
}

static int certificate_check(const char *path, const char *name, struct err *e)
{
	struct buf pem CLEANUP(buf_wipe) = BUF_INIT(PEM_MAX);
	struct stat st;

	if (pem_read(&pem, path, name, &st, e) < 0)
		return -1;
	if (!has_certificate(&pem))
		return err_set(e, ERR_CONFIG, "%s: '%s' has no certificate in PEM form%s", name, path,
			       pem.len == 0 ? " (it is empty)" : "");
	return 0;
}

static int key_check(const char *path, const char *name, struct err *e)
{
	struct buf pem CLEANUP(buf_wipe) = BUF_INIT(PEM_MAX);
	struct stat st;

	if (pem_read(&pem, path, name, &st, e) < 0)
		return -1;
	if (!has(&pem, "PRIVATE KEY-----"))
		return err_set(e, ERR_CONFIG, "%s: '%s' has no private key in PEM form", name, path);
	if (st.st_mode & S_IROTH)
		return err_set(e, ERR_POLICY,
			       "%s: '%s' can be read by every user of this machine: chmod o-rwx '%s'", name,
			       path, path);
	if (has(&pem, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(&pem, "Proc-Type: 4,ENCRYPTED"))
		return err_set(e, ERR_CONFIG, "%s: '%s' is under a pass phrase: make a copy without one "
			       "(openssl pkey -in ... -out ...)", name, path);
	return 0;
}

static bool given(const char *s)
{
	return s && *s;
}

int tls_files_check(const struct server_params *s, struct err *e)
{
	if (given(s->tls_ca_file) && certificate_check(s->tls_ca_file, "tls_ca_file", e) < 0)
		return -1;
	if (given(s->tls_key_file) && !given(s->tls_cert_file))
		return err_set(e, ERR_CONFIG, "tls_key_file: a key without a certificate (tls_cert_file)");
	if (!given(s->tls_cert_file))
		return 0;
	if (certificate_check(s->tls_cert_file, "tls_cert_file", e) < 0)
		return -1;
	return given(s->tls_key_file) ? key_check(s->tls_key_file, "tls_key_file", e)
				      : key_check(s->tls_cert_file, "tls_cert_file", e);
}

/* "a1b2c3d4.0", as c_rehash(1) names its links. */
static bool hash_name(const char *name)
{
	for (int i = 0; i < 8; i++)
		if (!isxdigit((unsigned char)name[i]))
			return false;
	return name[8] == '.' && isdigit((unsigned char)name[9]);
}

/* A directory that OpenSSL can look a CA up in by its hash. */
static bool hashed(const char *path)
{
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir)))
		found = hash_name(entry->d_name);
	closedir(dir);
	return found;
}

static const char *hashed_directory(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	if (hashed(v->capath))
		return v->capath;
	return hashed("/etc/ssl/certs") ? "/etc/ssl/certs" : NULL;
}

bool tls_store_missing(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	struct stat st;

	if (v->cainfo && stat(v->cainfo, &st) == 0 && st.st_size > 0)
		return false;
	return !hashed_directory();
}

/*
 * OpenSSL parses the whole bundle of 145 CAs before its first handshake: 17 ms and more, against 3 where it
 * looks up the one that it needs in a hashed directory. For GnuTLS it is the other way round.
 */
static bool lookup_is_faster(void)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	static const char *const kin[] = { "OpenSSL/", "LibreSSL/", "quictls/" };

	if (v->version_num >= CURL_8_21 || !v->ssl_version)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kin); i++)
		if (strncmp(v->ssl_version, kin[i], strlen(kin[i])) == 0)
			return true;
	return false;
}

/*
 * For "no directory of CAs": NULL brings the built-in one back from 8.21 on, so there it is one that can
 * hold none.
 */
static const char *no_directory(void)
{
	return curl_version_info(CURLVERSION_NOW)->version_num >= CURL_8_21 ? "/proc/self/task" : NULL;
}

static int set_trust(struct opening *o)
{
	const struct server_params *s = o->params;
	const char *directory;

	if (given(s->tls_ca_file)) {
		/* It replaces the store: left alone, the directory would still be trusted. */
		if (opening_set_ptr(o, CURLOPT_CAINFO, s->tls_ca_file, "tls_ca_file") < 0)
			return -1;
		return opening_set_ptr(o, CURLOPT_CAPATH, no_directory(), "CAPATH");
	}
	if (!s->tls_verify || !lookup_is_faster() || !(directory = hashed_directory()))
		return 0;
	if (opening_set_ptr(o, CURLOPT_CAINFO, NULL, "CAINFO") < 0)
		return -1;
	return opening_set_ptr(o, CURLOPT_CAPATH, directory, "CAPATH");
}

static int set_client(struct opening *o)
{
	const struct server_params *s = o->params;

	if (!given(s->tls_cert_file))
		return 0;
	/* An empty pass phrase, lest the TLS library asks for one on the terminal. */
	if (opening_set_ptr(o, CURLOPT_SSLCERT, s->tls_cert_file, "tls_cert_file") < 0 ||
	    opening_set_ptr(o, CURLOPT_KEYPASSWD, "", "KEYPASSWD") < 0)
		return -1;
	return opening_set_ptr(o, CURLOPT_SSLKEY, given(s->tls_key_file) ? s->tls_key_file : s->tls_cert_file,
			       "tls_key_file");
}

int tls_options_set(struct opening *o)
{
	static const long version[] = {
		[TLS_1_0] = CURL_SSLVERSION_TLSv1_0, [TLS_1_1] = CURL_SSLVERSION_TLSv1_1,
		[TLS_1_2] = CURL_SSLVERSION_TLSv1_2, [TLS_1_3] = CURL_SSLVERSION_TLSv1_3,
	};
	const struct server_params *s = o->params;

	if (opening_set_long(o, CURLOPT_SSLVERSION, version[s->tls_min_version], "tls_min_version") < 0 ||
	    opening_set_long(o, CURLOPT_SSL_VERIFYPEER, s->tls_verify, "tls_verify") < 0 ||
	    opening_set_long(o, CURLOPT_SSL_VERIFYHOST, s->tls_verify ? 2 : 0, "tls_verify") < 0 ||
	    opening_set_long(o, CURLOPT_SSL_ENABLE_ALPN, 0, "no ALPN") < 0)
		return -1;
	if (s->inspect && opening_set_long(o, CURLOPT_CERTINFO, 1, "a list of certificates") < 0)
		return -1;
	if (given(s->tls_pinned_key) &&
	    opening_set_ptr(o, CURLOPT_PINNEDPUBLICKEY, s->tls_pinned_key, "tls_pinned_key") < 0)
		return -1;
	return set_trust(o) < 0 ? -1 : set_client(o);
}
