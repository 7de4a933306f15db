/* Where messages go, and with whose credentials; see pool.h. */

#include "job/pool.h"

#include "base/err.h"
#include "base/xalloc.h"
#include "job/secrets.h"
#include "model/param_table.h"

#include <stdlib.h>
#include <string.h>

/* A line that says itself where it goes, or with what credentials. */
static bool says_own_server(const struct mail_params *params)
{
	size_t n;
	const struct param *table = param_table(&n);

	for (size_t i = 0; i < n; i++)
		if ((table[i].flags & PARAM_SERVER) && params->origin[i] == ORIGIN_LINE &&
		    strcmp(table[i].name, "account"))
			return true;
	return false;
}

static bool same_word(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

struct route *route_of(struct pool *p, const struct mail_params *params)
{
	bool shared = !says_own_server(params);
	struct route *r;

	pthread_mutex_lock(&p->lock);
	for (r = p->routes; r && shared; r = r->next)
		if (r->shared && same_word(r->params->account, params->account))
			break;
	if (!r || !shared) {
		r = xcalloc(1, sizeof(*r));
		r->shared = shared;
		r->params = params;
		pthread_mutex_init(&r->lock, NULL);
		if (shared) {
			r->next = p->routes;
			p->routes = r;
		}
	}
	r->held++;
	pthread_mutex_unlock(&p->lock);
	return r;
}

bool route_keeps(const struct route *r, const struct mail_params *params)
{
	return r && r->params == params;
}

int route_credentials(struct route *r, const struct session_credentials **ret, struct err *e)
{
	int rc = 0;

	*ret = NULL;
	if (!r->params->server.has_credentials)
		return 0;
	pthread_mutex_lock(&r->lock);
	if (!r->secrets) {
		struct secrets *s = xcalloc(1, sizeof(*s));

		s->server = &r->params->server;
		rc = secrets_resolve(s, e);
		if (rc < 0) {
			secrets_clear(s);
			free(s);
		} else {
			r->secrets = s;
		}
	}
	if (rc == 0)
		*ret = &r->secrets->cred;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

bool route_renew(struct route *r)
{
	bool first, other;

	pthread_mutex_lock(&r->lock);
	first = r->secrets && !r->renewed;
	r->renewed = true;
	other = first && secrets_renew(r->secrets);
	pthread_mutex_unlock(&r->lock);
	return other;
}

static void route_free(struct route *r)
{
	struct mail_params *own = (struct mail_params *)(uintptr_t)r->params;

	if (r->secrets) {
		secrets_clear(r->secrets);
		free(r->secrets);
	}
	pthread_mutex_destroy(&r->lock);
	mail_params_clear(own);
	free(own);
	free(r);
}

void route_hold(struct pool *p, struct route *r)
{
	pthread_mutex_lock(&p->lock);
	r->held++;
	pthread_mutex_unlock(&p->lock);
}

void route_drop(struct pool *p, struct route *r)
{
	bool last;

	if (!r)
		return;
	pthread_mutex_lock(&p->lock);
	last = --r->held == 0 && !r->shared;
	pthread_mutex_unlock(&p->lock);
	if (last)
		route_free(r);
}

void routes_free(struct route *all)
{
	while (all) {
		struct route *r = all;

		all = r->next;
		route_free(r);
	}
}
