#include "model/local_names.h"

#include "base/xalloc.h"

#include <stdlib.h>

struct local_names { int dummy; };

int local_names_make(struct local_names **ret, const struct mail_params *p, struct err *e)
{
	*ret = xcalloc(1, sizeof(**ret));
	return 0;
}

bool local_names_empty(const struct local_names *n)
{
	return true;
}

int local_names_recipient(const struct local_names *n, const struct mailbox *m, struct addressees *out,
			  struct err *e)
{
	return 0;
}

bool local_names_sender(const struct local_names *n, struct mailbox *m)
{
	return false;
}

void local_names_free(struct local_names *n)
{
	free(n);
}
