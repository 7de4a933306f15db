/*
 * Credentials and waivers of the configuration belong to the servers named
 * beside them there. A flag that sends the message elsewhere does not take
 * them along: whoever answers there must not learn a password that was written
 * down for somebody else, nor profit from a check that was switched off for him.
 */

#include "model/params_impl.h"

#include "base/xalloc.h"
#include "model/value.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_bound_to(const struct mail_params *p, const char *where)
{
	CLEANUP(freep) char *host = server_host_of(where);

	if (!p->bound_to.count)         /* named beside no server: then it is the default one */
		return !strcasecmp(host, "localhost");
	for (size_t i = 0; i < p->bound_to.count; i++) {
		CLEANUP(freep) char *other = server_host_of(p->bound_to.item[i]);

		if (!strcasecmp(host, other))
			return true;
	}
	return false;
}

static bool elsewhere(const struct mail_params *p)
{
	enum origin server = param_origin(p, "server"), path = param_origin(p, "unix_socket");

	if (path > ORIGIN_CONFIG && path >= server)
		return !is_bound_to(p, p->server.unix_socket);
	if (server <= ORIGIN_CONFIG)
		return false;
	for (size_t i = 0; i < p->server.server.count; i++)
		if (!is_bound_to(p, p->server.server.item[i]))
			return true;
	return false;
}

/* starttls and tls_min_version lower the guard with some of their values only. */
static bool is_waiver(const struct mail_params *p, const struct param *which)
{
	if (which->flags & PARAM_BOUND)
		return true;
	if (which->offset == offsetof(struct mail_params, server.starttls))
		return !p->server.starttls;
	return which->offset == offsetof(struct mail_params, server.tls_min_version) &&
	       p->server.tls_min_version < TLS_1_2;
}

void bound_settle(struct mail_params *p)
{
	size_t n;
	const struct param *table = param_table(&n);

	if (!memchr(p->origin, ORIGIN_CONFIG, sizeof(p->origin)) || !elsewhere(p))
		return;
	for (size_t i = 0; i < n; i++) {
		if (p->origin[i] != ORIGIN_CONFIG || !is_waiver(p, &table[i]))
			continue;
		p->bound_dropped |= table[i].offset == offsetof(struct mail_params, server.username);
		param_reset(p, &table[i]);
	}
}

bool setting_is_bound(const struct param *which, const struct value *v)
{
	if (which->flags & PARAM_BOUND)
		return true;
	if (!strcmp(which->name, "starttls"))
		return v->type == VALUE_BOOL && !v->boolean;
	return !strcmp(which->name, "tls_min_version") && v->type == VALUE_STR &&
	       (!strcmp(v->str, "1.0") || !strcmp(v->str, "1.1"));
}

void mail_params_bind(struct mail_params *p, const char *server)
{
	if (server)
		strlist_add(&p->bound_to, xstrdup(server));
	else
		strlist_clear(&p->bound_to);
}
