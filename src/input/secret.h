#pragma once

/*
 * Secrets, resolved just before the first session and wiped after the last.
 *
 * From where they were asked for (literal, variable, file, command,
 * descriptor); else $CREDENTIALS_DIRECTORY/mailchute.password (systemd), then
 * ~/.netrc (only where username is set; the exact machine, never "default";
 * refused where others can read it), then a prompt on a terminal without echo.
 * A username with none of these is ERR_USAGE. One final newline is stripped;
 * CR, LF and NUL inside are refused (ERR_POLICY); an empty one too.
 *
 * Children (the command) run by /bin/sh -c within `timeout`, in their own process group, without the
 * variables that hold secrets in their environment, stdin from /dev/null; ERR_CONFIG where the command fails,
 * prints nothing, more than one line or over 64 KB, or hangs. No secret in any error text.
 */

#include "base/base.h"

struct err;
struct server_params;

struct credentials {
	char *username;         /* borrowed from server_params; NULL: none */
	char *password;         /* NULL: none. Wiped on clear. */
	char *token;            /* OAuth 2.0 bearer; NULL: none. Wiped on clear. */
};

/*
 * From here on no core dump and no debugger of another process of this user sees the memory. For whoever
 * may hold a literal secret long before it is used: composing may wait for standard input.
 */
void secret_harden(void);

/*
 * @host: the server's name for ~/.netrc (NULL with a Unix socket: no netrc), which is not used where the list
 * names other hosts as well. Once for a run: a variable, a descriptor and a terminal give their secret once.
 * Hardens the process (secret_harden()).
 */
int credentials_resolve(struct credentials *ret, const struct server_params *s, const char *host,
			struct err *e) MUST_CHECK;
/*
 * The server refused the token: one that comes from a command or a file is fetched anew; the command finds
 * TOKEN_REFUSED=1 in its environment then. 1: it is another one now; 0: it is not, or comes from elsewhere;
 * -1: it cannot be had any more.
 */
int credentials_renew(struct credentials *c, const struct server_params *s, struct err *e) MUST_CHECK;
void credentials_clear(struct credentials *c);
