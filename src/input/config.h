#pragma once

/*
 * The configuration: one JSON object with comments, whose keys are settings,
 * besides "accounts" and "account" (the one to use where nothing else decides).
 *
 *   {
 *     // every setting is a default for all
 *     "mail_domain": "example.org",
 *     "accounts": {
 *       "work": { "server": "mail.example.org:587", "username": "me", "match": ["*@example.org"] },
 *       "list": { "inherits": "work", "from": "list@example.org" }
 *     },
 *     "account": "work"
 *   }
 *
 * An account is laid over what it inherits, and that over the whole; a later
 * layer's value replaces an earlier one's whole, lists too. A layer that names
 * another server leaves the credentials and waivers (PARAM_BOUND) of the layers
 * below behind. Paths are absolute or begin with "~/".
 */

#include "base/base.h"

struct config;
struct err;
struct mail_params;

/*
 * @path: --config or MAILCHUTE_CONFIG ("" for none), or NULL: $XDG_CONFIG_HOME/mailchute/config.json
 * (~/.config), then /etc/mailchute/config.json; the first that exists is the one, and none is no error (*ret is
 * an empty configuration). Opened once, judged by its descriptor: ERR_CONFIG for one that cannot be read, is no
 * regular file, over 8 MiB, owned by neither root nor the user, or has a literal secret and can be read by
 * others (with the command that mends it). "config.json:7:12: accounts.work.sever: unknown key, did you mean
 * 'server'?". All accounts are checked, also those that are not used.
 */
int config_read(struct config **ret, const char *path, struct err *e) MUST_CHECK;
/* What the configuration says before an account is known, with ORIGIN_CONFIG. */
int config_defaults(const struct config *c, struct mail_params *p, struct err *e) MUST_CHECK;
/* Does it depend on who the author is which account is taken? */
bool config_has_accounts(const struct config *c);
/*
 * The account: p->account where a flag, variable or JSON set it; else the one that has @from (an address; NULL:
 * unknown) in its "match" or as its `from`, the longest pattern first; else the configuration's own. Then
 * mail_params_drop(ORIGIN_CONFIG) and all layers anew, p->account and p->bound_to with them. ERR_CONFIG: no
 * such account (with the nearest).
 */
int config_account(const struct config *c, struct mail_params *p, const char *from, struct err *e) MUST_CHECK;
/* The file it came from, for -v and the doctor; NULL: none. */
const char *config_path(const struct config *c);
void config_free(struct config *c);             /* wipes */
DEFINE_CLEANUP(struct config *, config_free);
