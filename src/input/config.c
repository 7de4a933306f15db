#include "input/config.h"

#include "base/xalloc.h"

#include <stdlib.h>

struct config { char *path; };

int config_read(struct config **ret, const char *path, struct err *e)
{
	*ret = xcalloc(1, sizeof(**ret));
	return 0;
}

int config_defaults(const struct config *c, struct mail_params *p, struct err *e)
{
	return 0;
}

int config_account(const struct config *c, struct mail_params *p, const char *from, struct err *e)
{
	return 0;
}

const char *config_path(const struct config *c)
{
	return c->path;
}

void config_free(struct config *c)
{
	free(c);
}
